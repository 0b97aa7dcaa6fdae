"""Writing rows into PostgreSQL, each batch in one statement.

Rows travel as columns, an array a parameter: one exchange with the server whatever their number, in a statement whose
text is always the same, so that it is planned once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_agent.records import AuditEntry, Stored
from memory_agent_stores.rows import KEYS
from memory_agent_stores.text import SEARCHED

if TYPE_CHECKING:
    from memory_agent_stores.postgres_database import Link

_TYPES = {
    "version": "int", "seq": "bigint", "texted": "bigint", "length": "int", "expiring": "int", "n": "int",
    "position": "bigint",
}  # fmt: skip
"""Types of columns; the others are text."""


def put_rows(db: Link, kind: type[Stored], rows: Sequence[Sequence[object]]) -> None:
    """Insert or replace rows: tenant, space, key, seq, of searched kinds texted, length and words, columns, body.

    No two may have one key.
    """
    key = KEYS.get(kind.kind, ("id",))
    searched = ("texted", "length", "words") if kind in SEARCHED else ()
    names = ("tenant", "space", *key, "seq", *searched, *kind.columns, "body")
    replaced = ", ".join(f"{name} = excluded.{name}" for name in names if name not in ("tenant", "space", *key))
    _insert(db, kind.kind, names, rows, f" ON CONFLICT (space, {', '.join(key)}) DO UPDATE SET {replaced}")


def _insert(db: Link, table: str, names: Sequence[str], rows: Sequence[Sequence[object]], conflict: str = "") -> None:
    """Insert rows that begin with one tenant and space, in one statement: a column a parameter, so its text is one."""
    if not rows:
        return
    taken = ", ".join(f"{name}::tsvector" if name == "words" else name for name in names[2:])
    arrays = ", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in names[2:])
    columns = [list(column) for column in zip(*(row[2:] for row in rows), strict=True)]
    db.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT %s, %s, {taken}"
        f" FROM unnest({arrays}) AS given ({', '.join(names[2:])}){conflict}",
        (*rows[0][:2], *columns),
    )


def add_entries(db: Link, tenant: str, space: int, entries: Sequence[tuple[int, AuditEntry]]) -> None:
    """Append numbered entries to a space's audit chain; its length and head are the transaction's to note."""
    names = (
        "tenant", "space", "n", "position", "at", "actor", "action", "ids", "detail", "previous", "digest",
    )  # fmt: skip
    rows = [
        (
            tenant, space, n, entry.position, entry.at.isoformat(), entry.actor, entry.action,
            json.dumps(entry.ids), entry.detail, entry.previous, entry.digest,
        )
        for n, entry in entries
    ]  # fmt: skip
    _insert(db, "audit", names, rows)
