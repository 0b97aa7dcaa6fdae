"""Merging by name, and proof that something was forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.testing import HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor


@pytest.fixture
def memory(tmp_path: Path):
    with Memory.open(tmp_path / "m", user="bo", embedder=HashEmbedder()) as opened:
        said = ["{Ana Abel | lives_in | Rome}", "{Anita | lives_in | Zembrook}"]
        opened.add([{"role": "user", "id": f"t{n}", "content": text} for n, text in enumerate(said)], session="s")
        opened.consolidate(extractor=MarkedExtractor())
        yield opened


def test_a_merge_by_name_and_its_undoing(memory: Memory) -> None:
    before = [(f.id, f.text) for f in memory.facts()]
    with pytest.raises(NotFound, match="in full"):
        memory.merge("Anita", "Ana")
    assert memory.merge("Anita", "Ana Abel").name == "Ana Abel"
    assert {f.object for f in memory.facts("Anita")} == {"Zembrook"}
    assert memory.split("Anita").name == "Anita"
    assert [(f.id, f.text) for f in memory.facts()] == before
    with pytest.raises(InvalidInput):
        memory.split(memory.facts("Anita")[0].subject_id)


def test_what_was_forgotten_is_proved_gone_and_what_was_not_is_named(memory: Memory) -> None:
    standing = memory.verify("t1", words=["Zembrook"])
    assert not standing.clean
    assert standing.standing == ("episode",)
    assert any(name.startswith("claim") for name in standing.referring)
    assert "Zembrook" in standing.residue
    memory.forget("t1", reason="test")
    assert memory.verify("t1", words=["Zembrook", "zembrook"]).clean
    assert not memory.verify("never-was").forgotten
