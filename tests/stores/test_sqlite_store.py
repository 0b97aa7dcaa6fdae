"""What only the SQLite ledger promises: its file, its migrations, and that nothing deleted stays in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from memory_agent.errors import InvalidInput, StoreCorrupt, StoreError, StoreTooNew
from memory_agent.protocols import Query
from memory_agent.records import STORED, Episode, Fact
from memory_agent.space import open_backend
from memory_agent.testing.conformance import a_fact, an_episode, one_of_each
from memory_agent_stores import migrations
from memory_agent_stores.chroma import ChromaIndex
from memory_agent_stores.sqlite import SqliteLedger


def filled(folder: Path) -> None:
    ledger = SqliteLedger(folder)
    with ledger.space("default/alice").transaction() as transaction:
        transaction.put(*one_of_each())
        transaction.audit("add", ["e1"])
    ledger.close()


def on_file(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)


def problems(folder: Path) -> list[str]:
    ledger = SqliteLedger(folder)
    try:
        return ledger.check()
    finally:
        ledger.close()


def test_the_file_is_in_wal_mode_and_writes_are_synced(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    with ledger.writing(1) as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert db.execute("PRAGMA secure_delete").fetchone()[0] == 1
        assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    ledger.close()


def test_every_column_that_records_name_has_its_indexed_column(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(on_file(tmp_path)) as db:
        for kind in STORED:
            columns = {row[1] for row in db.execute(f"PRAGMA table_info({kind.kind})")}
            indexes = {row[1] for row in db.execute(f"PRAGMA index_list({kind.kind})")}
            assert set(kind.columns) <= columns
            assert {f"{kind.kind}_{column}" for column in kind.columns} <= indexes


def test_an_old_file_is_migrated_and_keeps_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)

    def _9001_notes(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE episode ADD COLUMN note TEXT")
        db.execute("UPDATE episode SET note = 'migrated'")

    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, _9001_notes))
    for _ in range(2):
        ledger = SqliteLedger(tmp_path)
        assert [episode.id for episode in ledger.space("default/alice").select(Episode)] == ["e1"]
        ledger.close()
    with closing(on_file(tmp_path)) as db:
        assert db.execute("SELECT note FROM episode").fetchall() == [("migrated",)]
        assert [name for (name,) in db.execute("SELECT name FROM migration")] == [
            "0001_tables",
            "0002_block_versions",
            "0003_items",
            "9001_notes",
        ]


def test_a_migration_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)

    def _9001_breaks(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE episode ADD COLUMN note TEXT")
        db.execute("UPDATE no_such_table SET x = 1")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, _9001_breaks))
        with pytest.raises(StoreError, match="no_such_table"):
            SqliteLedger(tmp_path)
    assert problems(tmp_path) == []


def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(on_file(tmp_path)) as db:
        db.execute("INSERT INTO migration VALUES ('0099_from_the_future', '2030-01-01')")
    with pytest.raises(StoreTooNew, match=r"0099_from_the_future.*upgrade"):
        SqliteLedger(tmp_path)


def test_a_damaged_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no database" * 500)
    with pytest.raises(StoreCorrupt, match=r"ledger\.sqlite is damaged.*backup.*recover"):
        SqliteLedger(tmp_path)


def test_a_damaged_page_is_found_by_check(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    with closing(on_file(tmp_path)) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'episode_session'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    content[(page - 1) * size : (page - 1) * size + 200] = b"\xff" * 200
    path.write_bytes(bytes(content))
    assert problems(tmp_path)


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        ("UPDATE audit SET action = 'nothing'", "audit entry 1"),
        ("DELETE FROM audit", "audit chain"),
        ("DELETE FROM episode", "word index holds 1 episodes that are gone"),
        ("INSERT INTO words_1_fact (words_1_fact) VALUES ('delete-all')", "1 facts are missing"),
    ],
)
def test_tampering_is_found_by_check(tmp_path: Path, tamper: str, found: str) -> None:
    filled(tmp_path)
    assert problems(tmp_path) == []
    with closing(on_file(tmp_path)) as db:
        db.execute(tamper)
    assert any(found in problem for problem in problems(tmp_path))


def test_no_byte_of_what_was_deleted_stays_in_any_file(tmp_path: Path) -> None:
    secrets = ["zanzibarquartz", "Xylophonist", "heliotropewink"]
    backend = open_backend(str(tmp_path / "store"))
    space = backend.ledger.space("default/alice")
    with space.transaction() as transaction:
        transaction.put(*(an_episode(f"k{n}", f"talk of the weather {n}") for n in range(300)))
        transaction.put(an_episode("e1", f"my {secrets[0]} is here", speaker=secrets[1]))
        transaction.put(a_fact("f1", f"Alice has a {secrets[2]}."), a_fact("f2"))
    with space.transaction() as transaction:
        transaction.delete(Episode, ["e1"])
        transaction.delete(Fact, ["f1"])
    assert space.match(secrets, limit=5) == []
    backend.ledger.compact()
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            for secret in secrets:
                assert secret.lower().encode() not in content, f"{secret} in {path.name}"
                assert secret.lower().encode()[:8] not in content, f"a part of {secret} in {path.name}"
    assert space.count(Episode) == 300
    assert backend.ledger.check() == []
    backend.ledger.close()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    space = ledger.space("default/alice")
    with space.transaction() as transaction:
        transaction.put(an_episode("kept"))
    with ledger.writing(1) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 20}")

    def fill() -> None:
        with space.transaction() as transaction:
            transaction.put(*(an_episode(f"e{n}", "too long for this disk " * 100) for n in range(200)))

    with pytest.raises(StoreError, match="full"):
        fill()
    assert [episode.id for episode in space.select(Episode)] == ["kept"]
    assert space.match(["disk"], limit=5) == []
    assert ledger.check() == []
    ledger.close()


def test_a_selection_takes_any_number_of_ids(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    space = ledger.space("default/alice")
    with space.transaction() as transaction:
        transaction.put(*(an_episode(f"e{n}") for n in range(5)))
    ids = [f"e{n}" for n in range(100_000)]
    assert space.count(Episode, Query(ids=ids)) == 5
    assert space.count(Episode, Query(where={"session": ids})) == 0
    ledger.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path)
    ledger.close()
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.space("default/alice").select(Episode)
    with pytest.raises(StoreError, match="closed"), ledger.space("default/alice").transaction():
        pass


def test_paths_and_urls_open_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("here", "sqlite:///here", f"sqlite:///{tmp_path}/here", str(tmp_path / "here")):
        backend = open_backend(url)
        assert backend.folder == tmp_path / "here"
        assert isinstance(backend.index, ChromaIndex)
        backend.ledger.close()
    assert not (tmp_path / "here" / "chroma").exists(), "opening made a vector index nobody asked for"


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="a store is a folder"):
        open_backend(str(tmp_path / "file"))
    with pytest.raises(InvalidInput, match="names no folder"):
        open_backend("sqlite:///")
    with pytest.raises(StoreError, match="cannot be made a store"):
        open_backend(str(tmp_path / "file" / "below"))


def test_a_throw_away_store_leaves_nothing(tmp_path: Path) -> None:
    backend = open_backend("memory://")
    with backend.ledger.space("default/alice").transaction() as transaction:
        transaction.put(an_episode())
    assert open_backend("memory://").ledger.spaces() == []
    folder = backend.folder
    assert folder.is_dir()
    backend.ledger.close()
    assert not folder.exists()
