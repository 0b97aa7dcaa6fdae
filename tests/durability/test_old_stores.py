"""Ledgers written by earlier releases open for ever: one file for each step the schema went through.

Each was written by the code of its time, and is the ledger alone: the index is derived. A new step in
`memory_agent_stores.migrations` wants a new file here, written before the step was added.
"""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lives import memory_of, said

from memory_agent.backup import backup, restore
from memory_agent.doctor import examine
from memory_agent.records import Episode, Fact
from memory_agent.testing.extractor import MarkedExtractor
from memory_agent_stores.migrations import MIGRATIONS

FILES = sorted((Path(__file__).parents[1] / "data" / "ledgers").glob("*.sqlite.gz"))


def put(file: Path, folder: Path) -> Path:
    """A store with that ledger in it."""
    folder.mkdir()
    (folder / "ledger.sqlite").write_bytes(gzip.decompress(file.read_bytes()))
    return folder


def steps(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as db:
        return [name for (name,) in db.execute("SELECT name FROM migration ORDER BY name")]


def test_there_is_a_file_for_every_step() -> None:
    assert [file.name.removesuffix(".sqlite.gz") for file in FILES] == [s.__name__.lstrip("_") for s in MIGRATIONS]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_ledger_of_that_time_opens_and_goes_on(file: Path, tmp_path: Path) -> None:
    store = put(file, tmp_path / "store")
    assert steps(store)[-1] == file.name.removesuffix(".sqlite.gz")
    with memory_of(store) as memory:
        assert {turn.id for turn in memory.space.ledger.select(Episode)} == {"t1", "t2", "t3"}
        memory.consolidate(extractor=MarkedExtractor())
        examine(memory.backend, [memory.space], repair=True)
        assert examine(memory.backend, [memory.space]).problems == ()
        assert [f.object for f in memory.facts("Alice", predicate="lives_in")] == ["Porto"]
        assert memory.search("fado").hits
        memory.blocks.put("human", "Alice sings.")
        memory.add([said("t4", "{Alice | likes | tea}")])
        memory.consolidate(extractor=MarkedExtractor())
        memory.forget("t1", reason="asked for")
        facts = {fact.id for fact in memory.space.ledger.select(Fact)}
        assert examine(memory.backend, [memory.space]).problems == ()
    assert steps(store) == [step.__name__.lstrip("_") for step in MIGRATIONS]
    backup(str(store), tmp_path / "b")
    restore(tmp_path / "b", str(tmp_path / "new"))
    with memory_of(tmp_path / "new") as memory:
        assert {fact.id for fact in memory.space.ledger.select(Fact)} == facts
