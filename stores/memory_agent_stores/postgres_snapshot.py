"""A PostgresLedger as it was at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from memory_agent_stores.postgres import PostgresLedger, PostgresSpace
from memory_agent_stores.postgres_database import Link


class PostgresSnapshot:
    """A PostgresLedger as it was at one moment, as far as the role may see it."""

    def __init__(self, ledger: PostgresLedger, db: Link) -> None:
        self._ledger = ledger
        self._db = db

    def space(self, key: str) -> FrozenPostgresSpace:
        return FrozenPostgresSpace(self._ledger, key, self._db)

    def spaces(self) -> list[str]:
        rows = self._db.execute("SELECT key FROM space WHERE position > 0").fetchall()
        return sorted(key for (key,) in rows)


class FrozenPostgresSpace(PostgresSpace):
    """One space of a snapshot."""

    def __init__(self, ledger: PostgresLedger, key: str, db: Link) -> None:
        super().__init__(ledger, key)
        self._db = db

    @contextmanager
    def _lent(self) -> Iterator[tuple[Link, int | None]]:
        found = self._db.execute("SELECT id FROM space WHERE key = %s", (self._key,)).fetchone()
        yield self._db, int(found[0]) if found else None
