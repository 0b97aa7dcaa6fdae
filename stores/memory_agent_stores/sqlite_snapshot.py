"""A SqliteLedger as it was at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from memory_agent_stores.sqlite import SqliteLedger, SqliteSpace


class SqliteSnapshot:
    """A SqliteLedger as it was at one moment."""

    def __init__(self, ledger: SqliteLedger, db: sqlite3.Connection) -> None:
        self._ledger = ledger
        self._db = db

    def space(self, key: str) -> FrozenSqliteSpace:
        return FrozenSqliteSpace(self._ledger, key, self._db)

    def spaces(self) -> list[str]:
        return [key for (key,) in self._db.execute("SELECT key FROM space ORDER BY key")]


class FrozenSqliteSpace(SqliteSpace):
    """One space of a snapshot."""

    def __init__(self, ledger: SqliteLedger, key: str, db: sqlite3.Connection) -> None:
        super().__init__(ledger, key)
        self._db = db

    @contextmanager
    def _lent(self) -> Iterator[tuple[sqlite3.Connection, int | None]]:
        found = self._db.execute("SELECT id FROM space WHERE key = ?", (self._key,)).fetchone()
        yield self._db, int(found[0]) if found else None
