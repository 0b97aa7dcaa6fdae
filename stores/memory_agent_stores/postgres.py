"""The ledger in PostgreSQL, for users who outgrow one machine: many processes and hosts on one store.

Writers of one space take turns (its row in `space` is locked), those of different spaces do not meet,
and readers never wait. Positions come from one sequence: within a space they grow in the order of its
commits. Rows, word index, counts and audit chain are written in one transaction, and deleting an
episode or a fact deletes its vector in the same one.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg import errors, sql

from memory_agent.errors import StoreBusy
from memory_agent.protocols import LedgerRow, Query, R, Snapshot
from memory_agent.records import AuditEntry, Fact, Stored
from memory_agent_stores.postgres_database import EVERYBODY, Database, Link, tenant_of
from memory_agent_stores.postgres_rows import add_entries, put_rows
from memory_agent_stores.postgres_words import Cutter, Words, best_matches
from memory_agent_stores.rows import (
    SHIFT,
    Dialect,
    audit_entry,
    broken_links,
    encode,
    in_batches,
    key_of,
    must_be_empty,
    next_entry,
    parse,
    where,
)
from memory_agent_stores.text import SEARCHED, searched_text

DIALECT = Dialect("%s", "= ANY(%s)", list)
_FULL = 256 * 1024 * 1024
"""Bytes up to which a table is written anew by `compact`, which stops everybody's work on it meanwhile."""
_log = logging.getLogger(__name__)


class PostgresLedger:
    """The store of record in a schema of a PostgreSQL database. Safe to share between threads, processes and hosts."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.cutter = Cutter()

    def space(self, key: str) -> PostgresSpace:
        return PostgresSpace(self, key)

    def spaces(self) -> list[str]:
        """The keys of all spaces that were written to, as far as the role may see them."""
        with self.database.lend(EVERYBODY) as db:
            rows = db.execute("SELECT key FROM space WHERE position > 0").fetchall()
            return sorted(key for (key,) in rows)

    def check(self) -> list[str]:
        """Problems in the audit chains and the word indexes, as far as the role may see; empty when all is whole."""
        problems: list[str] = []
        with self.database.lend(EVERYBODY) as db:
            for number, key, audited, head in db.execute("SELECT id, key, audited, head FROM space").fetchall():
                entries = _chain(db, number)
                problems += [f"space {key}: {problem}" for problem in broken_links(entries, head)]
                if len(entries) != audited:
                    problems.append(f"space {key}: the audit chain holds {len(entries)} entries of {audited}")
                for kind in SEARCHED:
                    problems += [f"space {key}: {problem}" for problem in _check_words(db, number, kind)]
        return problems

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The ledger as it is now, read in one transaction that nobody waits for."""
        from memory_agent_stores.postgres_snapshot import PostgresSnapshot

        with self.database.translated(), self.database.direct() as db:
            db.execute("SELECT set_config('memory_agent.tenant', %s, false)", (EVERYBODY,))
            db.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield PostgresSnapshot(self, db)

    def compact(self) -> None:
        """Give space back and drop what was deleted.

        Tables of up to 256 MB are written anew, so that no byte of a deleted row is left in the files of
        this database; larger ones are vacuumed, and their freed pages are overwritten as new rows come.
        The server's write-ahead log, its replicas and backups keep what they hold until they are recycled.
        """
        tables = [kind.kind for kind in _kinds()]
        vacuum(self.database, [*tables, "audit", "space", "word_count"])

    def close(self) -> None:
        """Give back the connections. A ledger may be closed twice."""
        self.database.close()


def _kinds() -> tuple[type[Stored], ...]:
    from memory_agent.records import STORED

    return STORED


def vacuum(database: Database, tables: Sequence[str]) -> None:
    """Vacuum tables; small ones are written anew if nobody holds them for five seconds."""
    with database.translated(), database.direct() as db:
        db.execute("SET lock_timeout = '5s'")
        for table in tables:
            size = db.execute("SELECT pg_total_relation_size(%s::regclass)", (table,)).fetchone()
            name = sql.Identifier(database.address.schema, table)
            if size is not None and size[0] <= _FULL:
                try:
                    db.execute(sql.SQL("VACUUM (FULL) {}").format(name))
                    continue
                except errors.LockNotAvailable:
                    _log.warning("%s is in use; it was vacuumed without being written anew", table)
            db.execute(sql.SQL("VACUUM {}").format(name))


def _chain(db: Link, space: int) -> list[AuditEntry]:
    rows = db.execute(
        "SELECT position, at, actor, action, ids, detail, previous, digest FROM audit WHERE space = %s ORDER BY n",
        (space,),
    )
    return [audit_entry(row) for row in rows]


def _check_words(db: Link, space: int, kind: type[Stored]) -> list[str]:
    """Whether a word index holds the rows that it should, and only those, and counts them right."""
    due = "retired_at IS NULL" if kind is Fact else "true"
    row = db.execute(
        f"SELECT count(*) FILTER (WHERE {due} AND words IS NULL),"
        f" count(*) FILTER (WHERE NOT ({due}) AND words IS NOT NULL),"
        f" count(words), coalesce(sum(length), 0) FROM {kind.kind} WHERE space = %s",
        (space,),
    ).fetchone()
    counted = db.execute(
        "SELECT texts, words FROM word_count WHERE space = %s AND kind = %s", (space, kind.kind)
    ).fetchone() or (0, 0)
    assert row is not None
    problems = []
    if row[0]:
        problems.append(f"{row[0]} {kind.kind}s are missing from the word index")
    if row[1]:
        problems.append(f"the word index holds {row[1]} {kind.kind}s that are gone")
    if (row[2], row[3]) != tuple(counted):
        problems.append(
            f"the word index of {kind.kind}s counts {tuple(counted)} texts and words, not {(row[2], row[3])}"
        )
    return problems


class _Rows:
    """Selection within one space; each statement names the space."""

    def _lent(self) -> AbstractContextManager[tuple[Link, int | None]]:
        raise NotImplementedError

    def select(self, kind: type[R], query: Query = Query()) -> list[R]:
        """The records of that kind that fit the query. Unknown columns raise InvalidInput."""
        condition, values = where(kind, query, DIALECT)
        order = "DESC" if query.newest_first else "ASC"
        limit = "" if query.limit is None else f" LIMIT {max(int(query.limit), 0)}"
        with self._lent() as (db, space):
            if space is None:
                return []
            rows = db.execute(
                f"SELECT body FROM {kind.kind} WHERE space = %s{condition} ORDER BY seq {order}{limit}",
                (space, *values),
            ).fetchall()
        return [parse(kind, body) for (body,) in rows]

    def count(self, kind: type[Stored], query: Query = Query()) -> int:
        """How many records of that kind fit the query, its `limit` apart."""
        condition, values = where(kind, query, DIALECT)
        with self._lent() as (db, space):
            if space is None:
                return 0
            found = db.execute(f"SELECT count(*) FROM {kind.kind} WHERE space = %s{condition}", (space, *values))
            row = found.fetchone()
            return int(row[0]) if row else 0


class PostgresSpace(_Rows):
    """One space of a PostgresLedger."""

    def __init__(self, ledger: PostgresLedger, key: str) -> None:
        self._ledger = ledger
        self._database = ledger.database
        self._key = key
        self._tenant = tenant_of(key)

    @contextmanager
    def _lent(self) -> Iterator[tuple[Link, int | None]]:
        with self._database.lend(self._tenant) as db:
            yield db, self._database.space_id(db, self._key)

    @contextmanager
    def transaction(self, *, wait: float = 30.0) -> Iterator[PostgresTransaction]:
        """Begin an exclusive transaction; an exception inside rolls it back. Raises StoreBusy after `wait` seconds."""
        with self._database.writing(self._tenant, wait) as db:
            transaction = PostgresTransaction(db, self._ledger, self._key)
            yield transaction
            if not transaction.finish():
                raise psycopg.Rollback

    def match(
        self, words: Sequence[str], *, limit: int, kinds: Sequence[str] = ("episode", "fact")
    ) -> list[tuple[str, float]]:
        """Ids of episodes and current facts that hold any of the words, best BM25 first (higher is better)."""
        phrases = [tuple(cut) for cut in self._ledger.cutter.cut(list(dict.fromkeys(words))) if cut]
        if not phrases or limit <= 0:
            return []
        found: list[tuple[str, float]] = []
        with self._lent() as (db, space):
            for kind in SEARCHED:
                if space is not None and kind.kind in kinds:
                    found += best_matches(db, space, kind.kind, phrases, limit)
        found.sort(key=lambda pair: (-pair[1], pair[0]))
        return found[:limit]

    def position(self) -> int:
        """The position of the last committed transaction of this space; 0 before the first."""
        with self._lent() as (db, space):
            row = db.execute("SELECT position FROM space WHERE id = %s", (space,)).fetchone()
            return int(row[0]) if row else 0

    def audit_chain(self) -> list[AuditEntry]:
        """Every entry, oldest first."""
        with self._lent() as (db, space):
            return [] if space is None else _chain(db, space)

    def rows(self, kind: type[Stored], *, after: int = -1, limit: int = 1000) -> list[LedgerRow]:
        """Rows of one kind in ledger order, beyond that `seq`."""
        texted = "texted" if kind in SEARCHED else "NULL"
        with self._lent() as (db, space):
            found = db.execute(
                f"SELECT body, seq, {texted} FROM {kind.kind} WHERE space = %s AND seq > %s ORDER BY seq LIMIT %s",
                (space, after, limit),
            )
            return [LedgerRow(kind, *row) for row in found]

    def restore(self, rows: Iterable[LedgerRow], audit: Sequence[AuditEntry], position: int) -> None:
        """Fill this empty space with what another ledger held, in one transaction. Raises InvalidInput if it is not."""
        must_be_empty(self._key, self.position())
        with self._database.writing(self._tenant, 30.0) as db:
            PostgresTransaction(db, self._ledger, self._key).restore(rows, audit, position)

    @contextmanager
    def lock(self, name: str, *, wait: float = 0.0) -> Iterator[None]:
        """A lock for one job in this space, across hosts; the server frees it when its holder's connection ends.

        Raises StoreBusy naming the holder. A host that vanishes is noticed within about a minute.
        """
        number = _lock_number(self._database.address.schema, self._key, name)
        with self._database.session() as db:
            until = time.monotonic() + max(wait, 0)
            # The server would give a session the same lock twice.
            while number in db.held or not _try_lock(db, number):
                if time.monotonic() >= until:
                    raise StoreBusy(
                        f"{name} is already running{_holder(db, number)}; wait for it to end, or end that process"
                    )
                time.sleep(0.02)
            db.held |= {number}
            try:
                yield
            finally:
                db.held -= {number}
                if db.held and not db.closed:  # with the last one the session is given back, which frees it
                    db.execute("SELECT pg_advisory_unlock(%s)", (number,))


def _lock_number(schema: str, key: str, name: str) -> int:
    digest = hashlib.sha256(f"{schema}\0{key}\0{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _try_lock(db: Link, number: int) -> bool:
    """Take the lock if it is free; say in the connection's name who has it, and have the server look if we live."""
    now = datetime.now(UTC).isoformat("T", "seconds")
    name = f"memory-agent {os.getpid()} {now} {socket.gethostname()}"
    row = db.execute(
        "SELECT pg_try_advisory_lock(%s), set_config('application_name', %s, false),"
        " set_config('tcp_keepalives_idle', '30', false), set_config('tcp_keepalives_interval', '10', false),"
        " set_config('tcp_keepalives_count', '3', false)",
        (number, name[:63]),
    ).fetchone()
    return bool(row and row[0])


def _holder(db: Link, number: int) -> str:
    """Who holds a lock, in words; empty when it was let go meanwhile or may not be seen."""
    row = db.execute(
        "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory'"
        " AND l.granted AND l.objsubid = 1 AND ((l.classid::bigint << 32) | l.objid::bigint) = %s",
        (number,),
    ).fetchone()
    told = row[0].split(" ", 3) if row and row[0] else []
    return f" (process {told[1]} on {told[3]}, since {told[2]})" if len(told) == 4 else ""


@dataclass
class _Counts:
    """By how much a word index grew."""

    texts: int = 0
    words: int = 0


class PostgresTransaction(_Rows):
    """What may be written while a transaction is open; made by `PostgresSpace.transaction`."""

    def __init__(self, db: Link, ledger: PostgresLedger, key: str) -> None:
        self._db = db
        self._ledger = ledger
        self._tenant = tenant_of(key)
        self._used = 0
        self._wrote = False
        self._space, self.position, self._audited, self._head = ledger.database.enter_ledger(db, key)

    @contextmanager
    def _lent(self) -> Iterator[tuple[Link, int | None]]:
        with self._ledger.database.translated():
            yield self._db, self._space

    def finish(self) -> bool:
        """Move the position and the head of the audit chain on; False, for rolling back, when nothing was written."""
        if self._wrote:
            self._move_on(self.position)
        return self._wrote

    def _move_on(self, position: int) -> None:
        self._db.execute(
            "UPDATE space SET position = %s, audited = %s, head = %s WHERE id = %s",
            (position, self._audited, self._head, self._space),
        )

    def put(self, *records: Stored) -> None:
        """Insert, or replace the row of the same key; the last of two with one key stands."""
        groups: dict[type[Stored], dict[tuple[object, ...], tuple[int, Stored]]] = {}
        for record in records:
            groups.setdefault(type(record), {})[key_of(record)] = (self._used, record)
            self._used += 1
        with self._ledger.database.translated():
            for kind, group in groups.items():
                self._put_kind(kind, group)

    def _put_kind(self, kind: type[Stored], group: dict[tuple[object, ...], tuple[int, Stored]]) -> None:
        self._wrote = True
        changed = self._changed(kind, group) if kind in SEARCHED else {}
        rows = []
        for key, (place, record) in group.items():
            columns = [encode(getattr(record, column)) for column in kind.columns]
            body = record.model_copy(update={"position": self.position}).model_dump_json()
            rows.append(
                (
                    self._tenant,
                    self._space,
                    *key,
                    (self.position << SHIFT) + place,
                    *changed.get(key, ()),
                    *columns,
                    body,
                )
            )
        put_rows(self._db, kind, rows)

    def _changed(
        self, kind: type[Stored], group: dict[tuple[object, ...], tuple[int, Stored]]
    ) -> dict[tuple[object, ...], tuple[int, int | None, str | None]]:
        """For each key what `texted`, `length` and `words` become; the counts are kept level."""
        old = self._old(kind, [str(key[0]) for key in group])
        texts = {key: searched_text(record) for key, (_, record) in group.items()}
        known = [key for key, text in texts.items() if text is not None]
        cut = dict(zip(known, self._ledger.cutter.words(self._space, [texts[key] or "" for key in known]), strict=True))
        counts = _Counts()
        found: dict[tuple[object, ...], tuple[int, int | None, str | None]] = {}
        for key, (_, record) in group.items():
            texted, length, text, day = old.get(key) or (-1, None, None, None)
            same = texted >= 0 and (text, day) == (texts[key], getattr(record, "at", None))
            words: Words | None = cut.get(key)
            _count(counts, length, words.length if words else None)
            found[key] = (texted if same else self.position, *((words.length, words.vector) if words else (None, None)))
        self._add_counts(kind, counts)
        return found

    def _old(
        self, kind: type[Stored], ids: list[str]
    ) -> dict[tuple[object, ...], tuple[int, int | None, str | None, object]]:
        """`texted`, `length`, searched text and day of the rows already there, by key."""
        found = {}
        for texted, length, body in self._db.execute(
            f"SELECT texted, length, body FROM {kind.kind} WHERE space = %s AND id = ANY(%s)", (self._space, ids)
        ):
            record = kind.model_validate_json(body)
            found[key_of(record)] = (texted, length, searched_text(record), getattr(record, "at", None))
        return found

    def _add_counts(self, kind: type[Stored], counts: _Counts) -> None:
        if counts.texts or counts.words:
            self._db.execute(
                "INSERT INTO word_count AS c VALUES (%s, %s, %s, %s, %s) ON CONFLICT (space, kind) DO UPDATE"
                " SET texts = c.texts + excluded.texts, words = c.words + excluded.words",
                (self._tenant, self._space, kind.kind, counts.texts, counts.words),
            )

    def delete(self, kind: type[Stored], ids: Sequence[str]) -> None:
        """Remove rows (all versions), and the vectors of episodes and facts."""
        with self._ledger.database.translated():
            if kind not in SEARCHED:
                gone = self._db.execute(
                    f"DELETE FROM {kind.kind} WHERE space = %s AND id = ANY(%s)", (self._space, list(ids))
                )
                self._wrote = self._wrote or gone.rowcount > 0
                return
            lengths = self._db.execute(
                f"DELETE FROM {kind.kind} WHERE space = %s AND id = ANY(%s) RETURNING length", (self._space, list(ids))
            ).fetchall()
            counts = _Counts()
            for (length,) in lengths:
                _count(counts, length, None)
            self._add_counts(kind, counts)
            self._db.execute(
                "DELETE FROM embedding WHERE space = %s AND kind = %s AND id = ANY(%s)",
                (self._space, kind.kind, list(ids)),
            )
            self._wrote = self._wrote or bool(lengths)

    def restore(self, rows: Iterable[LedgerRow], audit: Sequence[AuditEntry], position: int) -> None:
        """Write another ledger's rows as they are; positions go on beyond theirs."""
        for kind, batch in in_batches(rows):
            records = [kind.model_validate_json(row.body) for row in batch]
            texts = [searched_text(record) if kind in SEARCHED else None for record in records]
            cut = iter(self._ledger.cutter.words(self._space, [text for text in texts if text is not None]))
            counts, made = _Counts(), []
            for row, record, text in zip(batch, records, texts, strict=True):
                words = next(cut) if text is not None else None
                _count(counts, None, words.length if words else None)
                searched = (row.texted, *((words.length, words.vector) if words else (None, None)))
                columns = [encode(getattr(record, column)) for column in kind.columns]
                start = (self._tenant, self._space, *key_of(record), row.seq)
                made.append((*start, *(searched if kind in SEARCHED else ()), *columns, row.body))
            put_rows(self._db, kind, made)
            self._add_counts(kind, counts)
        add_entries(self._db, self._tenant, self._space, list(enumerate(audit, 1)))
        if audit:
            self._audited, self._head = len(audit), audit[-1].digest
        self._move_on(position)

    def audit(self, action: str, ids: Sequence[str] = (), *, actor: str = "memory", detail: str = "") -> None:
        """Append to the audit chain. `detail` holds no content of a memory."""
        self._wrote = True
        with self._ledger.database.translated():
            entry = next_entry(self.position, datetime.now(UTC), actor, action, ids, detail, self._head)
            self._audited, self._head = self._audited + 1, entry.digest
            add_entries(self._db, self._tenant, self._space, [(self._audited, entry)])


def _count(counts: _Counts, old: int | None, new: int | None) -> None:
    """A text of `old` words becomes one of `new`; None is no text."""
    counts.texts += (new is not None) - (old is not None)
    counts.words += (new or 0) - (old or 0)
