"""Vectors in PostgreSQL with pgvector, beside the rows they are of.

Within a space the search is exact: a space is one user's, and comparing some thousand vectors takes
milliseconds and overlooks nothing, where a graph over everybody's vectors, filtered by user, would.

Vectors and the state they are true to are written in one transaction; called within an open transaction
of this thread's ledger, in that one. Deleting an episode or fact from the ledger deletes its vector too.

A transaction of its own does not wait for the disk: what a crash of the server undoes of it, it undoes with
the state, and catching up does it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np

from memory_agent.errors import StoreError
from memory_agent.protocols import IndexState, Vectors
from memory_agent_stores.mixing import KINDS, embedder_changed
from memory_agent_stores.postgres_database import Database, Link, tenant_of

_WAIT = 60.0
"""Seconds to wait for another writer of the space."""


class PostgresIndex:
    """The vectors of every space of a store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def space(self, key: str) -> PostgresSpaceIndex:
        return PostgresSpaceIndex(self._database, key)

    def compact(self) -> None:
        """Give space back: the table is written anew while it is small, else vacuumed (see PostgresLedger.compact)."""
        from memory_agent_stores.postgres import vacuum

        vacuum(self._database, ("embedding", "vector_state"))

    def close(self) -> None:
        """Give back the connections, unless the ledger still uses them."""
        self._database.close()


class PostgresSpaceIndex:
    """The vectors of one space."""

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self._key = key

    @contextmanager
    def _lent(self, kind: str) -> Iterator[tuple[Link, int | None]]:
        """A connection for reading and the space's number; None before anything was written."""
        _known(kind)
        joined = self._database.joined()
        lent = nullcontext(joined) if joined is not None else self._database.lend(tenant_of(self._key))
        with lent as db:
            yield db, self._database.space_id(db, self._key)

    @contextmanager
    def _writing(self) -> Iterator[tuple[Link, int]]:
        """The transaction this thread has open, or one of its own, and the space's number; the space is locked."""
        joined = self._database.joined()
        if joined is not None:
            with self._database.translated():
                yield joined, self._database.enter_space(joined, self._key)
            return
        with self._database.writing(tenant_of(self._key), _WAIT, durable=False) as db:
            yield db, self._database.enter_space(db, self._key)

    def state(self, kind: str | None = None) -> IndexState | None:
        """What `kind` is true to, or both kinds (the lower position); None until applied to."""
        wanted = [kind] if kind else list(KINDS)
        with self._lent(wanted[0]) as (db, space):
            rows = db.execute(
                "SELECT model, dimension, position, metric FROM vector_state WHERE space = %s AND kind = ANY(%s)",
                (space, wanted),
            ).fetchall()
        states = [IndexState(*row) for row in rows]
        return min(states, key=lambda state: state.position) if len(states) == len(wanted) else None

    def apply(
        self, kind: str, upserts: Sequence[str], vectors: Vectors, deletes: Sequence[str], *, state: IndexState
    ) -> None:
        """Upsert `vectors` (len(upserts), dimension) and delete ids, then record `state`.

        Raises EmbedderChanged when `state` names another model or dimension than the stored one.
        """
        _known(kind)
        tenant = tenant_of(self._key)
        with self._writing() as (db, space):
            held = db.execute(
                "SELECT model, dimension, position, metric FROM vector_state WHERE space = %s AND kind = %s",
                (space, kind),
            ).fetchone()
            if held is not None and (held[0], held[1]) != (state.model, state.dimension):
                raise embedder_changed(IndexState(*held), state)
            if deletes:
                db.execute(
                    "DELETE FROM embedding WHERE space = %s AND kind = %s AND id = ANY(%s)",
                    (space, kind, list(deletes)),
                )
            if len(upserts):
                last = dict(zip(upserts, np.asarray(vectors, dtype=np.float32), strict=True))
                db.execute(
                    "INSERT INTO embedding (tenant, space, kind, id, vector)"
                    " SELECT %s, %s, %s, * FROM unnest(%s::text[], %b::vector[])"
                    " ON CONFLICT (space, kind, id) DO UPDATE SET vector = excluded.vector",
                    (tenant, space, kind, list(last), list(last.values())),
                )
            db.execute(
                "INSERT INTO vector_state VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (space, kind)"
                " DO UPDATE SET position = excluded.position, metric = excluded.metric",
                (tenant, space, kind, state.model, state.dimension, state.position, state.metric),
            )

    def query(self, kind: str, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """The nearest ids with their cosine similarity, best first."""
        if limit <= 0:
            return []
        with self._lent(kind) as (db, space):
            rows = db.execute(
                "SELECT id, 1 - (vector <=> %s) AS near FROM embedding WHERE space = %s AND kind = %s"
                " ORDER BY near DESC, id LIMIT %s",
                (np.asarray(vector, dtype=np.float32).reshape(-1), space, kind, limit),
            ).fetchall()
        return [(id, 0.0 if near is None or near != near else float(near)) for id, near in rows]

    def ids(self, kind: str) -> set[str]:
        with self._lent(kind) as (db, space):
            found = db.execute("SELECT id FROM embedding WHERE space = %s AND kind = %s", (space, kind))
            return {id for (id,) in found}

    def count(self, kind: str) -> int:
        with self._lent(kind) as (db, space):
            found = db.execute(
                "SELECT count(*) FROM embedding WHERE space = %s AND kind = %s", (space, kind)
            ).fetchone()
            return int(found[0]) if found else 0

    def vectors(self, kind: str, ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored vectors, each (dimension,), of those ids that have one."""
        with self._lent(kind) as (db, space):
            rows = db.execute(
                "SELECT id, vector FROM embedding WHERE space = %s AND kind = %s AND id = ANY(%s)",
                (space, kind, list(ids)),
                binary=True,
            ).fetchall()
        return {id: vector.to_numpy() for id, vector in rows}

    def clear(self) -> None:
        """Drop everything of this space, the state included."""
        with self._lent(KINDS[0]) as (_, space):
            if space is None:
                return
        with self._writing() as (db, space):
            db.execute("DELETE FROM embedding WHERE space = %s", (space,))
            db.execute("DELETE FROM vector_state WHERE space = %s", (space,))


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise StoreError(f"vectors are kept of {', '.join(KINDS)}, not of {kind!r}")
