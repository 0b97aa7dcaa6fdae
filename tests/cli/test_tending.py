"""Verbs that tend the graph and carry it, each through the whole command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memory_agent import Memory
from memory_agent.cli import exits
from memory_agent.testing.extractor import MarkedExtractor

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(tmp_path: Path, command: Run) -> Run:
    """The command on a small store, "a"; (exit code, what it wrote as JSON)."""
    with Memory.open(tmp_path / "a", user="bo") as memory:
        said = ["{Ana Abel | lives_in | Rome}", "{Anita | likes | tea} {Anita | likes | chess}"]
        memory.add([{"role": "user", "id": f"t{n}", "content": text} for n, text in enumerate(said)], session="s")
        memory.consolidate(extractor=MarkedExtractor())

    def call(*arguments: object, store: str = "a") -> tuple[int, Any]:
        return command(tmp_path / store, *arguments)

    return call


def test_two_names_become_one_and_two_again(run: Run) -> None:
    names = {entity["name"] for entity in run("entities")[1]}
    assert {"Ana Abel", "Anita", "Rome"} <= names
    assert run("merge", "Anita", "Ana")[0] == exits.NOT_FOUND
    code, found = run("merge", "Anita", "Ana Abel")
    assert (code, found["name"]) == (0, "Ana Abel")
    (summary,) = run("summary", "Anita")[1]
    assert summary["lines"][0]["text"] == "Ana Abel lives in Rome."
    assert len(summary["lines"][1]["of"]) == 2
    assert run("split", "Anita")[1]["merged_into"] is None


def test_what_was_forgotten_is_proved_gone(run: Run) -> None:
    assert run("verify", "--forgotten", "t1")[0] == exits.FAILED
    run("forget", "t1")
    code, found = run("verify", "--forgotten", "t1", "--word", "chess")
    assert (code, found["clean"], found["residue"]) == (0, True, {})


def test_a_memory_is_carried_out_and_in(run: Run, tmp_path: Path) -> None:
    assert run("facts")[1]
    whole = tmp_path / "whole.jsonl"
    assert run("export", whole)[0] == 0
    for format in ("graphml", "turtle", "csv"):
        file = tmp_path / f"g.{format}"
        written = run("export", file, "--format", format)[1]["files"]
        assert any("Rome" in Path(each).read_text("utf-8") for each in written)
        assert run("import", file, "--format", format, store=format)[1]["records"] > 5
        assert [f["text"] for f in run("facts", store=format)[1]] == [f["text"] for f in run("facts")[1]]
        assert run("export", file, "--format", format, "--current")[0] == 0
        code, said = run("import", file, "--format", format, store=f"{format}-now")
        assert code == exits.USAGE, said
    assert run("import", whole, "--from", "mem0", "--format", "csv")[0] == exits.USAGE
    assert run("export", whole, "--format", "word")[0] == exits.USAGE
    assert run("import", whole, store="b")[1]["records"] > 5
    assert [f["text"] for f in run("facts", store="b")[1]] == [f["text"] for f in run("facts")[1]]
    mem0 = tmp_path / "mem0.json"
    mem0.write_text(json.dumps({"results": [{"id": "1", "memory": "User lives in Porto"}]}))
    assert run("import", mem0, "--from", "mem0")[1]["turns"] == 1
    assert run("import", whole, "--from", "zep")[0] == exits.USAGE
