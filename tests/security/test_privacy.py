"""Everything of a person in one archive, and an erasure that proves itself."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.encryption import Key, Unsealer
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.memories import Memories
from memory_agent.privacy import check
from memory_agent.records import Adapter, Episode
from memory_agent.testing import HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

KEY = Key.of("a key that nobody else would think of")


def lived(memory: Memory) -> None:
    memory.add(
        [
            {"role": "user", "id": "t1", "content": "{Ana Abel | lives_in | Rome} by the old harbour wall"},
            {"role": "user", "id": "t2", "content": "{Ana Abel | likes | tea} in the afternoon, always"},
        ],
        session="s",
    )
    memory.blocks.put("persona", "A quiet helper who speaks in short sentences.")
    memory.consolidate(extractor=MarkedExtractor())


def test_an_archive_holds_every_record_and_says_what_is_in_it(memory: Memory, tmp_path: Path) -> None:
    lived(memory)
    (memory.space.folder / "adapters" / "a").mkdir(parents=True)
    (memory.space.folder / "adapters" / "a" / "weights").write_bytes(b"w")
    found = memory.privacy.export(tmp_path / "alice.zip")
    with zipfile.ZipFile(tmp_path / "alice.zip") as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(inside.pop("manifest.json"))["sha256"]
    assert told == found.files == {name: hashlib.sha256(data).hexdigest() for name, data in inside.items()}
    assert b"old harbour wall" in inside["memory.jsonl"]
    assert b"A quiet helper" in inside["memory.jsonl"]
    assert inside["files/adapters/a/weights"] == b"w"
    assert len(inside["audit.jsonl"].splitlines()) == len(memory.space.ledger.audit_chain())
    with pytest.raises(InvalidInput, match="exists"):
        memory.privacy.export(tmp_path / "alice.zip")


def test_an_archive_under_a_key_is_read_with_that_key(memory: Memory, tmp_path: Path) -> None:
    lived(memory)
    assert memory.privacy.export(tmp_path / "sealed", key=KEY).encrypted
    assert b"old harbour" not in (tmp_path / "sealed").read_bytes()
    with (tmp_path / "sealed").open("rb") as file:
        (tmp_path / "open.zip").write_bytes(Unsealer(file, KEY).read())
    assert "memory.jsonl" in zipfile.ZipFile(tmp_path / "open.zip").namelist()


def test_a_person_is_erased_and_the_certificate_proves_it(memory: Memory, tmp_path: Path) -> None:
    lived(memory)
    memory.privacy.export(tmp_path / "alice.zip")
    with memory.space.ledger.transaction() as tx:
        tx.put(Adapter(id="a" * 64, shard="s", state="promoted", base="b", facts=(), sha256="a" * 64,
                       created_at=memory.space.clock.now()))  # fmt: skip
    folder = memory.space.folder / "adapters" / ("a" * 64)
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"old harbour wall")
    paper = memory.privacy.erase("user:alice", reason="asked", key=KEY)
    assert paper.clean
    assert paper.removed["episode"] == ("t1", "t2")
    assert paper.adapters_off == ("a" * 64,)
    assert paper.adapters_left == ()
    assert set(paper.after) == {"tombstone"}
    assert (paper.residue.found, paper.residue.paths) == (0, ())
    assert paper.residue.pieces >= 5
    assert paper.residue.bytes > 10_000
    with zipfile.ZipFile(tmp_path / "alice.zip") as archive:
        assert paper.before_sha256 == hashlib.sha256(archive.read("memory.jsonl")).hexdigest()
    text = paper.model_dump_json()
    assert "harbour" not in text
    assert check(text, KEY) == paper
    with pytest.raises(InvalidInput, match="altered"):
        check(text.replace('"asked"', '"tidied"'), KEY)
    with pytest.raises(InvalidInput, match="not of this key"):
        check(text, Key.of("another key that nobody would think of"))
    with pytest.raises(InvalidInput, match="no certificate"):
        check("{}", KEY)


def test_residue_is_found_where_somebody_left_it(memory: Memory) -> None:
    lived(memory)
    (memory.backend.folder / "notes.txt").write_text("he said {Ana Abel | lives_in | Rome} by the old harbour wall")
    paper = memory.privacy.erase("t1", reason="asked")
    assert not paper.clean
    assert paper.residue.paths == ("notes.txt",)
    assert paper.signature == ""
    assert memory.space.ledger.count(Episode) == 1


def test_one_turn_is_erased_and_the_rest_stands(memory: Memory) -> None:
    lived(memory)
    paper = memory.privacy.erase("t1", reason="asked")
    assert paper.clean
    assert paper.removed["episode"] == ("t1",)
    assert [f.object for f in memory.facts()] == ["tea"]
    with pytest.raises(NotFound):
        memory.privacy.erase("t1", reason="again")


def test_erasing_one_user_leaves_the_others(tmp_path: Path) -> None:
    with Memories(str(tmp_path / "store"), embedder=HashEmbedder(16), settings=Settings()) as memories:
        for user in ("alice", "bob"):
            lived(memories.of(user, tenant="acme"))
        memories.of("bob", tenant="acme").add([{"role": "user", "content": "Only Bob says zanzibar things here."}])
        paper = memories.of("bob", tenant="acme").privacy.erase("user:bob", reason="asked")
        assert paper.standing == paper.referring == paper.indexed == ()
        assert memories.of("alice", tenant="acme").facts(about="Ana Abel")
        held = [path for path in (tmp_path / "store").rglob("*") if path.is_file() and b"zanzibar" in path.read_bytes()]
        assert held == []
