"""The ledger's schema as numbered steps, each applied once and recorded by name.

A step, once released, is never edited: stores exist that went through it. It therefore spells out
its tables and does not look at today's records.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime

from memory_agent.errors import StoreTooNew

_FIRST: dict[str, tuple[str, ...]] = {
    "episode": ("session", "role", "speaker", "at", "run", "digest"),
    "claim": ("episode_id", "subject_id", "predicate", "object_id"),
    "rejection": ("episode_id", "reason", "run"),
    "entity": ("name", "merged_into"),
    "fact": ("subject_id", "predicate", "object_id", "status", "recorded_at", "retired_at"),
    "block": ("label", "agent"),
    "summary": ("about",),
    "run": ("job", "state", "started_at"),
    "adapter": ("shard", "state", "run"),
    "tombstone": ("of_kind", "of_id"),
}


def _0001_tables(db: sqlite3.Connection) -> None:
    """A table per kind of record: its columns, indexed, and the whole record as JSON.

    `seq` is the ledger position shifted left by 24 bits plus the place within the transaction;
    `texted` the position at which the searched text last changed.
    """
    db.execute("CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), position INTEGER NOT NULL)")
    db.execute("INSERT INTO store VALUES (1, 0)")
    db.execute(
        "CREATE TABLE space (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, position INTEGER NOT NULL,"
        " audited INTEGER NOT NULL DEFAULT 0, head TEXT NOT NULL DEFAULT '')"
    )
    db.execute(
        "CREATE TABLE audit (space INTEGER NOT NULL REFERENCES space (id), n INTEGER NOT NULL,"
        " position INTEGER NOT NULL, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
        " ids TEXT NOT NULL, detail TEXT NOT NULL,"
        " previous TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (space, n)) WITHOUT ROWID"
    )
    for table, columns in _FIRST.items():
        version = "version INTEGER NOT NULL, " if table == "fact" else ""
        key = "space, id, version" if table == "fact" else "space, id"
        texted = "texted INTEGER NOT NULL, " if table in ("episode", "fact") else ""
        db.execute(
            f"CREATE TABLE {table} (row INTEGER PRIMARY KEY, space INTEGER NOT NULL REFERENCES space (id),"
            f" id TEXT NOT NULL, {version}seq INTEGER NOT NULL, {texted}"
            + "".join(f"{column}, " for column in columns)
            + f"body TEXT NOT NULL, UNIQUE ({key}))"
        )
        for column in ("seq", *(["texted"] if texted else []), *columns):
            db.execute(f"CREATE INDEX {table}_{column} ON {table} (space, {column})")


def _0002_block_versions(db: sqlite3.Connection) -> None:
    """The history of blocks, and the turns of a session by their time."""
    db.execute(
        "CREATE TABLE block_version (row INTEGER PRIMARY KEY, space INTEGER NOT NULL REFERENCES space (id),"
        " id TEXT NOT NULL, seq INTEGER NOT NULL, block_id TEXT, body TEXT NOT NULL, UNIQUE (space, id))"
    )
    for column in ("seq", "block_id"):
        db.execute(f"CREATE INDEX block_version_{column} ON block_version (space, {column})")
    db.execute("CREATE INDEX episode_session_at ON episode (space, session, at)")


def _0003_items(db: sqlite3.Connection) -> None:
    """What applications keep: values under a namespace and a key."""
    db.execute(
        "CREATE TABLE item (row INTEGER PRIMARY KEY, space INTEGER NOT NULL REFERENCES space (id),"
        " id TEXT NOT NULL, seq INTEGER NOT NULL, collection, first, second, expiring,"
        " body TEXT NOT NULL, UNIQUE (space, id))"
    )
    for column in ("seq", "collection", "first", "second", "expiring"):
        db.execute(f"CREATE INDEX item_{column} ON item (space, {column})")
    db.execute("CREATE INDEX item_place ON item (space, collection, first, second, seq)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_0001_tables, _0002_block_versions, _0003_items)
"""In the order they are applied; a step's name is its function's."""


def migrate(db: sqlite3.Connection, where: str) -> list[str]:
    """Apply what is missing, all or nothing; return the names applied.

    `db` is in autocommit mode and nobody else is migrating. Raises StoreTooNew when the store at
    `where` went through a step that this release does not know.
    """
    db.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY, at TEXT NOT NULL)")
    done = {name for (name,) in db.execute("SELECT name FROM migration")}
    names = [step.__name__.lstrip("_") for step in MIGRATIONS]
    unknown = sorted(done - set(names))
    if unknown:
        raise StoreTooNew(
            f"{where} was written by a newer release (it knows {', '.join(unknown)}): pip install --upgrade slowwave"
        )
    missing = [(name, step) for name, step in zip(names, MIGRATIONS, strict=True) if name not in done]
    if not missing:
        return []
    db.execute("BEGIN IMMEDIATE")
    try:
        for name, step in missing:
            step(db)
            db.execute("INSERT INTO migration VALUES (?, ?)", (name, datetime.now(UTC).isoformat()))
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return [name for name, _ in missing]
