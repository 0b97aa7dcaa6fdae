"""The default ledger: one SQLite file in WAL mode, with FTS5 beside the tables in the same file.

Writers take turns (BEGIN IMMEDIATE), readers never wait. Each space has word indexes of its own, so
neither a hit nor a score can tell anything of another space. This module knows nothing of vectors.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from memory_agent.errors import StoreBusy, StoreCorrupt, StoreError, StoreUnwritable
from memory_agent.protocols import LedgerRow, Query, R, Snapshot
from memory_agent.records import AuditEntry, Stored
from memory_agent_stores.locks import job_lock
from memory_agent_stores.migrations import migrate
from memory_agent_stores.rows import (
    KEYS,
    SHIFT,
    check_chain,
    encode,
    in_batches,
    key_of,
    must_be_empty,
    next_entry,
    parse,
    read_chain,
    where,
)
from memory_agent_stores.sqlite_words import check_words, optimize_words, rewrite_words, words_table, write_words
from memory_agent_stores.text import SEARCHED, match_expression, searched_text, segment
from memory_agent_stores.unwritable import is_unwritable, unwritable

FILE = "ledger.sqlite"
_BUSY = ("database is locked", "database table is locked", "database schema is locked")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, naming the file and the way out."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error) in _BUSY:
            raise StoreBusy(
                f"another process is writing to {path}; try again, or wait longer (MEMORY_AGENT_LOCK_WAIT)"
            ) from error
        if "malformed" in str(error) or "Could not decode" in str(error):
            raise _corrupt(path, error) from error
        if is_unwritable(error):
            raise StoreUnwritable(f"{path}: {error}; nothing was written, and what was there stands") from error
        raise StoreError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
            raise StoreError(f"{path}: {error}") from error
        raise _corrupt(path, error) from error


def _corrupt(path: Path, error: Exception) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} is damaged ({error}): move {path.parent} away and put a backup in its place with "
        "`memory-agent restore`, or save what can be read with "
        f"`sqlite3 {path.name} .recover | sqlite3 recovered.sqlite`"
    )


class SqliteLedger:
    """The store of record in `folder`/ledger.sqlite. Safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Open or make the store. Raises StoreCorrupt, StoreTooNew, StoreError."""
        self.folder = folder
        self.path = folder / FILE
        self._idle: deque[sqlite3.Connection] = deque()
        self._turn = threading.Lock()
        self._writer_thread: int | None = None
        self._spaces: dict[str, int] = {}
        self._closed = False
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "locks").mkdir(exist_ok=True)
        except OSError as error:
            raise StoreUnwritable(f"{folder} cannot be made a store: {error.strerror or error}") from error
        with _translated(self.path), self._alone("open"):
            self._writer = self._connect()
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                migrate(self._writer, str(self.path))
            except BaseException:
                self._writer.close()
                raise

    def _alone(self, name: str) -> AbstractContextManager[object]:
        lock = FileLock(self.folder / "locks" / f"{name}.lock", timeout=30)
        try:
            with unwritable(self.folder, "nothing was changed; a store is only opened where it can be written"):
                return lock.acquire()
        except Timeout as error:
            raise StoreBusy(f"another process has been opening {self.path} for 30 s; try again") from error

    def _connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA cache_size = -16000")
        if read_only:
            db.execute("PRAGMA query_only = ON")
        else:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON")
        return db

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, lent to this thread alone."""
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        with _translated(self.path):
            try:
                db = self._idle.pop()
            except IndexError:
                db = self._connect(read_only=True)
            try:
                yield db
            finally:
                if self._closed:
                    db.close()
                else:
                    self._idle.append(db)

    @contextmanager
    def writing(self, wait: float) -> Iterator[sqlite3.Connection]:
        """The writer's connection within a transaction that commits when the block ends well."""
        if self._closed:
            raise StoreError(f"{self.path} is closed")
        if self._writer_thread == threading.get_ident():
            raise StoreError("a transaction is already open in this thread; put everything into that one")
        began = time.monotonic()
        if not self._turn.acquire(timeout=max(wait, 0)):
            raise StoreBusy(f"another thread has been writing to {self.path} for over {wait:g} s; try again")
        try:
            self._writer_thread = threading.get_ident()
            with _translated(self.path):
                left = max(wait - (time.monotonic() - began), 0)
                self._writer.execute(f"PRAGMA busy_timeout = {int(left * 1000)}")
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    if self._writer.in_transaction:
                        self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
        finally:
            self._writer_thread = None
            self._turn.release()

    def space(self, key: str) -> SqliteSpace:
        return SqliteSpace(self, key)

    def spaces(self) -> list[str]:
        with self.reading() as db:
            return [key for (key,) in db.execute("SELECT key FROM space ORDER BY key")]

    def space_id(self, db: sqlite3.Connection, key: str) -> int | None:
        """The number of a space, or None before its first transaction."""
        if key not in self._spaces:
            found = db.execute("SELECT id FROM space WHERE key = ?", (key,)).fetchone()
            if found is None:
                return None
            if not db.in_transaction:
                self._spaces[key] = found[0]
            return int(found[0])
        return self._spaces[key]

    def check(self) -> list[str]:
        """Problems in the file, the keys, the audit chains and the word indexes; empty when all is whole."""
        try:
            with self.reading() as db:
                problems = [f"file: {line}" for (line,) in db.execute("PRAGMA integrity_check") if line != "ok"]
                problems += [f"foreign key: {row}" for row in db.execute("PRAGMA foreign_key_check")]
                for number, key in db.execute("SELECT id, key FROM space").fetchall():
                    problems += check_chain(db, number, key)
                    for kind in SEARCHED:
                        problems += check_words(db, number, key, kind)
        except StoreCorrupt as error:
            return [str(error)]
        return problems

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The ledger as it is now, copied page by page into a temporary file without a name; nobody waits for it."""
        from memory_agent_stores.sqlite_snapshot import SqliteSnapshot

        with self.reading() as db, closing(sqlite3.connect("", check_same_thread=False)) as copy:
            db.backup(copy)
            yield SqliteSnapshot(self, copy)

    def repair(self) -> None:
        """Write the lookup and word indexes anew from the rows, in one transaction."""
        with self.writing(30.0) as db:
            db.execute("REINDEX")
            for number, _ in db.execute("SELECT id, key FROM space").fetchall():
                for kind in SEARCHED:
                    rewrite_words(db, number, kind)

    def compact(self) -> None:
        """Give space back and leave no byte of what was deleted in any file.

        Raises StoreBusy while another process has the store open in the middle of a read or write.
        """
        with self._turn, _translated(self.path):
            db = self._writer
            db.execute("PRAGMA busy_timeout = 30000")
            for number, _ in db.execute("SELECT id, key FROM space").fetchall():
                for kind in SEARCHED:
                    optimize_words(db, number, kind)
            db.execute("VACUUM")
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise StoreBusy(f"{self.path} is being read by another process; compact again when it is not")

    def close(self) -> None:
        """Give back every connection. A ledger may be closed twice."""
        with self._turn:
            self._closed = True
            while self._idle:
                with suppress(IndexError):
                    self._idle.pop().close()
            self._writer.close()


class _Rows:
    """Selection within one space; each statement names the space."""

    def _lent(self) -> AbstractContextManager[tuple[sqlite3.Connection, int | None]]:
        raise NotImplementedError

    def select(self, kind: type[R], query: Query = Query()) -> list[R]:
        """The records of that kind that fit the query. Unknown columns raise InvalidInput."""
        condition, values = where(kind, query)
        order = "DESC" if query.newest_first else "ASC"
        limit = "" if query.limit is None else f" LIMIT {max(int(query.limit), 0)}"
        # With ids given, "+" keeps SQLite from walking the whole index of seq for the sake of the order.
        key = "seq" if query.ids is None else "+seq"
        with self._lent() as (db, space):
            if space is None:
                return []
            rows = db.execute(
                f"SELECT body FROM {kind.kind} WHERE space = ?{condition} ORDER BY {key} {order}{limit}",
                (space, *values),
            ).fetchall()
        return [parse(kind, body) for (body,) in rows]

    def count(self, kind: type[Stored], query: Query = Query()) -> int:
        """How many records of that kind fit the query, its `limit` apart."""
        condition, values = where(kind, query)
        with self._lent() as (db, space):
            if space is None:
                return 0
            found = db.execute(f"SELECT count(*) FROM {kind.kind} WHERE space = ?{condition}", (space, *values))
            return int(found.fetchone()[0])


class SqliteSpace(_Rows):
    """One space of a SqliteLedger."""

    def __init__(self, ledger: SqliteLedger, key: str) -> None:
        self._ledger = ledger
        self._key = key

    @contextmanager
    def _lent(self) -> Iterator[tuple[sqlite3.Connection, int | None]]:
        with self._ledger.reading() as db:
            yield db, self._ledger.space_id(db, self._key)

    @contextmanager
    def transaction(self, *, wait: float = 30.0) -> Iterator[SqliteTransaction]:
        """Begin an exclusive transaction; an exception inside rolls it back. Raises StoreBusy after `wait` seconds."""
        with self._ledger.writing(wait) as db:
            transaction = SqliteTransaction(db, self._ledger, self._key)
            yield transaction
            transaction.finish()

    def match(
        self, words: Sequence[str], *, limit: int, kinds: Sequence[str] = ("episode", "fact")
    ) -> list[tuple[str, float]]:
        """Ids of episodes and current facts that hold any of the words, best BM25 first (higher is better)."""
        expression = match_expression(words)
        if not expression or limit <= 0:
            return []
        found: list[tuple[str, float]] = []
        with self._lent() as (db, space):
            for kind in SEARCHED:
                table = words_table(db, space, kind) if space is not None and kind.kind in kinds else None
                if table is None:
                    continue
                found += db.execute(
                    f"SELECT r.id, -w.rank FROM (SELECT rowid, rank FROM {table} WHERE {table} MATCH ?"
                    f" ORDER BY rank LIMIT ?) w JOIN {kind.kind} r ON r.row = w.rowid AND r.space = ?",
                    (expression, limit, space),
                ).fetchall()
        found.sort(key=lambda pair: (-pair[1], pair[0]))
        return found[:limit]

    def position(self) -> int:
        """The position of the last committed transaction of this space; 0 before the first."""
        with self._lent() as (db, space):
            if space is None:
                return 0
            return int(db.execute("SELECT position FROM space WHERE id = ?", (space,)).fetchone()[0])

    def audit_chain(self) -> list[AuditEntry]:
        """Every entry, oldest first."""
        with self._lent() as (db, space):
            return [] if space is None else read_chain(db, space)

    def rows(self, kind: type[Stored], *, after: int = -1, limit: int = 1000) -> list[LedgerRow]:
        """Rows of one kind in ledger order, beyond that `seq`."""
        texted = "texted" if kind in SEARCHED else "NULL"
        with self._lent() as (db, space):
            found = db.execute(
                f"SELECT body, seq, {texted} FROM {kind.kind} WHERE space = ? AND seq > ? ORDER BY seq LIMIT ?",
                (space, after, limit),
            )
            return [LedgerRow(kind, *row) for row in found]

    def restore(self, rows: Iterable[LedgerRow], audit: Sequence[AuditEntry], position: int) -> None:
        """Fill this empty space with what another ledger held, in one transaction. Raises InvalidInput if it is not."""
        must_be_empty(self._key, self.position())
        with self._ledger.writing(30.0) as db:
            SqliteTransaction(db, self._ledger, self._key).restore(rows, audit, position)

    def lock(self, name: str, *, wait: float = 0.0) -> AbstractContextManager[None]:
        """A lock across processes for one job in this space. Raises StoreBusy naming the holder."""
        return job_lock(self._ledger.folder / "locks", self._key, name, wait)


class SqliteTransaction(_Rows):
    """What may be written while a transaction is open; made by `SqliteSpace.transaction`."""

    def __init__(self, db: sqlite3.Connection, ledger: SqliteLedger, key: str) -> None:
        self._db = db
        self._used = 0
        self._rows: dict[str, int] = {}
        self._wrote = False
        db.execute("INSERT OR IGNORE INTO space (key, position) VALUES (?, 0)", (key,))
        found = ledger.space_id(db, key)
        assert found is not None
        self._space = found
        self.position = int(db.execute("SELECT position FROM store").fetchone()[0]) + 1

    @contextmanager
    def _lent(self) -> Iterator[tuple[sqlite3.Connection, int | None]]:
        yield self._db, self._space

    def finish(self) -> None:
        """Move the positions on, or roll back when nothing was written."""
        if not self._wrote:
            self._db.execute("ROLLBACK")
            return
        self._db.execute("UPDATE store SET position = ?", (self.position,))
        self._db.execute("UPDATE space SET position = ? WHERE id = ?", (self.position, self._space))

    def put(self, *records: Stored) -> None:
        """Insert, or replace the row of the same key; the last of two with one key stands."""
        groups: dict[type[Stored], dict[tuple[object, ...], tuple[int, Stored]]] = {}
        for record in records:
            groups.setdefault(type(record), {})[key_of(record)] = (self._used, record)
            self._used += 1
        for kind, group in groups.items():
            self._put_kind(kind, group)

    def _put_kind(self, kind: type[Stored], group: dict[tuple[object, ...], tuple[int, Stored]]) -> None:
        self._wrote = True
        searched = kind in SEARCHED
        names = ["row", "space", *KEYS.get(kind.kind, ("id",)), "seq", *(["texted"] if searched else []), *kind.columns]
        old = self._old(kind, [str(key[0]) for key in group]) if searched else {}
        rows: list[tuple[object, ...]] = []
        gone: list[tuple[int, str]] = []
        come: list[tuple[int, str]] = []
        for key, (place, record) in group.items():
            row, texted = None, []
            if searched:
                text, day = searched_text(record), getattr(record, "at", None)
                row, last, old_text, old_day = old.get(key) or (self._next_row(kind.kind), -1, None, None)
                same = last >= 0 and (text, day) == (old_text, old_day)
                texted = [last if same else self.position]
                if old_text is not None and old_text != text:
                    gone.append((row, segment(old_text)))
                if text is not None and old_text != text:
                    come.append((row, segment(text)))
            columns = [encode(getattr(record, column)) for column in kind.columns]
            body = record.model_copy(update={"position": self.position}).model_dump_json()
            rows.append((row, self._space, *key, (self.position << SHIFT) + place, *texted, *columns, body))
        self._insert(kind, names, rows)
        write_words(self._db, self._space, kind, gone, come)

    def _insert(self, kind: type[Stored], names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Insert or replace rows: the columns `names`, then the body."""
        names = [*names, "body"]
        replaced = ", ".join(f"{name} = excluded.{name}" for name in names if name != "row")
        self._db.executemany(
            f"INSERT INTO {kind.kind} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            f" ON CONFLICT (space, {', '.join(KEYS.get(kind.kind, ('id',)))}) DO UPDATE SET {replaced}",
            rows,
        )

    def restore(self, rows: Iterable[LedgerRow], audit: Sequence[AuditEntry], position: int) -> None:
        """Write another ledger's rows as they are; positions go on beyond theirs."""
        for kind, batch in in_batches(rows):
            searched = kind in SEARCHED
            names = ["row", "space", *KEYS.get(kind.kind, ("id",)), "seq", *(["texted"] if searched else [])]
            made: list[tuple[object, ...]] = []
            come: list[tuple[int, str]] = []
            for row in batch:
                record, number = parse(kind, row.body), self._next_row(kind.kind)
                columns = [encode(getattr(record, column)) for column in kind.columns]
                texted = [row.texted] if searched else []
                made.append((number, self._space, *key_of(record), row.seq, *texted, *columns, row.body))
                if searched and (text := searched_text(record)) is not None:
                    come.append((number, segment(text)))
            self._insert(kind, [*names, *kind.columns], made)
            write_words(self._db, self._space, kind, [], come)
        for n, entry in enumerate(audit, 1):
            self._add_entry(n, entry)
        self._db.execute("UPDATE store SET position = max(position, ?)", (position,))
        self._db.execute("UPDATE space SET position = ? WHERE id = ?", (position, self._space))

    def _old(self, kind: type[Stored], ids: list[str]) -> dict[tuple[object, ...], tuple[int, int, str | None, object]]:
        """Row number, `texted`, searched text and day of the rows already there, by key."""
        found = {}
        for row, texted, body in self._db.execute(
            f"SELECT row, texted, body FROM {kind.kind} WHERE space = ? AND id IN (SELECT value FROM json_each(?))",
            (self._space, json.dumps(ids)),
        ):
            record = parse(kind, body)
            found[key_of(record)] = (row, texted, searched_text(record), getattr(record, "at", None))
        return found

    def _next_row(self, table: str) -> int:
        if table not in self._rows:
            self._rows[table] = int(self._db.execute(f"SELECT coalesce(max(row), 0) FROM {table}").fetchone()[0])
        self._rows[table] += 1
        return self._rows[table]

    def delete(self, kind: type[Stored], ids: Sequence[str]) -> None:
        """Remove rows (all versions); nothing of them stays readable in the file after `compact`."""
        listed = json.dumps(list(ids))
        if kind in SEARCHED:
            old = self._old(kind, list(ids)).values()
            write_words(
                self._db, self._space, kind, [(row, segment(text)) for row, _, text, _ in old if text is not None], []
            )
        deleted = self._db.execute(
            f"DELETE FROM {kind.kind} WHERE space = ? AND id IN (SELECT value FROM json_each(?))", (self._space, listed)
        )
        self._wrote = self._wrote or deleted.rowcount > 0
        self._rows.pop(kind.kind, None)

    def audit(self, action: str, ids: Sequence[str] = (), *, actor: str = "memory", detail: str = "") -> None:
        """Append to the audit chain. `detail` holds no content of a memory."""
        self._wrote = True
        n, head = self._db.execute("SELECT audited, head FROM space WHERE id = ?", (self._space,)).fetchone()
        entry = next_entry(self.position, datetime.now(UTC), actor, action, ids, detail, head)
        self._add_entry(n + 1, entry)

    def _add_entry(self, n: int, entry: AuditEntry) -> None:
        """Append an entry to the chain and move its head on."""
        self._db.execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._space, n, entry.position, entry.at.isoformat(), entry.actor, entry.action,
                json.dumps(entry.ids), entry.detail, entry.previous, entry.digest,
            ),
        )  # fmt: skip
        self._db.execute("UPDATE space SET audited = ?, head = ? WHERE id = ?", (n, entry.digest, self._space))
