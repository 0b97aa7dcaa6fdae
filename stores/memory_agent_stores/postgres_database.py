"""Reaching a PostgreSQL server: the address, the pool, whose rows a connection may see, and errors in our words.

    postgresql://user@host/database?schema=memory_agent&folder=/srv/memory-agent

`schema` (default memory_agent) holds the tables, `folder` adapters and training jobs of this host; the
rest is libpq's. A password stays out of every message; leave it to PGPASSWORD or a password file.

Each connection names the tenant it works for in the setting `memory_agent.tenant`, and row-level
security shows it nothing else (`postgres_schema`). The pool needs sessions of its own: behind PgBouncer
use session pooling, as settings and job locks belong to the session.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, MissingExtra, StoreBusy, StoreCorrupt, StoreError

try:
    import psycopg
    from pgvector.psycopg import register_vector
    from psycopg import errors, sql
    from psycopg.conninfo import conninfo_to_dict
    from psycopg_pool import ConnectionPool, PoolTimeout
except ModuleNotFoundError as error:
    raise MissingExtra("the PostgreSQL store", "postgres") from error

if TYPE_CHECKING:
    from typing import Self

EVERYBODY = "*"
"""The tenant setting of work over the whole store: listing spaces, checking, the queue."""
_MOST = 10
"""Connections of one process."""
_SESSIONS = 4
"""Idle connections kept for job locks."""
_STALE = 5.0
"""Seconds of rest after which a connection is tried before it is lent."""
_log = logging.getLogger(__name__)


class Link(psycopg.Connection[Any]):
    """A connection that remembers how it was last set, and when it was last used."""

    tenant: str = ""
    """Whose rows it sees."""
    commits: str = "on"
    """The server's `synchronous_commit`: how durable a commit is."""
    durable: bool = True
    """Whether commits are as durable as that, or may be lost in a crash of the server."""
    used: float = 0.0
    held: frozenset[int] = frozenset()
    """Numbers of the job locks that it holds."""


@dataclass(frozen=True)
class Address:
    """Where a store is."""

    conninfo: str
    """What libpq takes."""
    schema: str
    folder: Path
    shown: str
    """For messages: without the password."""

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address that a URL names. Raises InvalidInput, without the URL's password."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        schema = options.pop("schema", "memory_agent")
        folder = options.pop("folder", "")
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", schema):
            raise InvalidInput(f"schema={schema!r}: a schema is up to 40 small letters, digits and underscores")
        conninfo = urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options)))
        try:
            known = conninfo_to_dict(conninfo)
        except psycopg.ProgrammingError as error:
            raise InvalidInput(f"that is no PostgreSQL URL ({str(error).strip()}): postgresql://user@host/db") from None
        place = f"{known.get('host', 'localhost')}:{known.get('port', 5432)}/{known.get('dbname', '')}"
        name = hashlib.sha256(f"{place}/{schema}".encode()).hexdigest()[:12]
        default = Settings().data_folder() / f"{schema}-{name}"
        home = Path(folder).expanduser().absolute() if folder else default
        return cls(conninfo, schema, home, f"postgresql://{place} (schema {schema})")


class Database:
    """The pool to one store. Safe to share between threads; every handle of a process on one store shares one."""

    _shared: ClassVar[dict[tuple[Address, int], Database]] = {}
    """By address and process: a forked child must not speak on its parent's connections."""
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, address: Address) -> None:
        """Open the store, making or migrating its tables if need be. Raises StoreError, StoreTooNew."""
        from memory_agent_stores.postgres_schema import migrate

        self.address = address
        self._own = threading.local()
        self._users = 0
        self._closed = False
        self._sessions: deque[Link] = deque()
        self.spaces: dict[str, int] = {}
        """Numbers of spaces that are known to be committed."""
        with self.translated(), self.direct() as db:
            migrate(db, address.schema, address.shown)
            self._warn(db)
        self._pool = ConnectionPool(
            address.conninfo,
            connection_class=Link,
            kwargs={"autocommit": True, "connect_timeout": 10, "application_name": "memory-agent"},
            min_size=0,
            max_size=_MOST,
            num_workers=1,
            configure=self._configure,
            check=_check,
            open=True,
        )

    @classmethod
    def shared(cls, address: Address) -> Self:
        """The process's pool to that store, opened by its first user and closed by its last."""
        with cls._guard:
            found = cls._shared.get((address, os.getpid()))
            if found is None or found._closed:
                found = cls._shared[address, os.getpid()] = cls(address)
            found._users += 1
            assert isinstance(found, cls)
            return found

    def close(self) -> None:
        """Give back one use; the last one closes the connections."""
        with self._guard:
            self._users -= 1
            if self._users > 0 or self._closed:
                return
            self._closed = True
            if self._shared.get((self.address, os.getpid())) is self:
                del self._shared[self.address, os.getpid()]
        self._pool.close()
        while self._sessions:
            with suppress(IndexError):
                self._sessions.pop().close()

    def direct(self) -> Link:
        """A connection of its own, outside the pool: for locks, maintenance and migrations."""
        db = self._connect()
        self._configure(db)
        return db

    def _connect(self) -> Link:
        return Link.connect(self.address.conninfo, autocommit=True, connect_timeout=10, application_name="memory-agent")

    @contextmanager
    def session(self) -> Iterator[Link]:
        """This thread's connection for job locks; what it holds is let go when the outermost block ends.

        A few are kept for the next, as each new one costs the server a process.
        """
        if self._closed:
            raise StoreError(f"{self.address.shown} is closed")
        outer: Link | None = getattr(self._own, "session", None)
        if outer is not None:
            with self.translated():
                yield outer
            return
        with self.translated():
            db = self._own.session = self._idle_session() or self._connect()
            try:
                yield db
            except psycopg.OperationalError:
                db.close()
                raise
            finally:
                self._own.session = None
                if not db.closed:
                    db.execute("SELECT pg_advisory_unlock_all(), set_config('application_name', 'memory-agent', false)")
                    db.used = time.monotonic()
                    if self._closed or len(self._sessions) >= _SESSIONS:
                        db.close()
                    else:
                        self._sessions.append(db)

    def _idle_session(self) -> Link | None:
        """A kept connection that still answers."""
        while self._sessions:
            with suppress(IndexError):  # another thread took the last
                db = self._sessions.pop()
                try:
                    _check(db)
                    return db
                except psycopg.OperationalError:
                    db.close()
        return None

    def _configure(self, db: Link) -> None:
        """Our schema first, then wherever pgvector lives; commits are durable whatever the server's default."""
        row = db.execute(
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'vector'"
        ).fetchone()
        if row is not None:
            register_vector(db)
        path = [self.address.schema, *([row[0]] if row else []), "public"]
        db.execute(sql.SQL("SET search_path TO {}").format(sql.SQL(", ").join(map(sql.Identifier, path))))
        row = db.execute("SHOW synchronous_commit").fetchone()
        if row is not None and row[0] != "off":
            db.commits = row[0]
        else:
            db.execute("SET synchronous_commit TO 'on'")

    def _warn(self, db: Link) -> None:
        row = db.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").fetchone()
        if row and row[0]:
            _log.info("the role at %s passes by row-level security; see docs/how-to/postgres.md", self.address.shown)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors into ours, naming the store and the way out."""
        where = self.address.shown
        try:
            yield
        except (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected) as error:
            raise StoreBusy(
                f"another process is writing to {where}; try again, or wait longer (MEMORY_AGENT_LOCK_WAIT)"
            ) from error
        except PoolTimeout as error:
            raise StoreBusy(f"all {_MOST} connections to {where} are in use, or it cannot be reached") from error
        except (errors.DataCorrupted, errors.IndexCorrupted) as error:
            raise StoreCorrupt(f"{where} is damaged ({_said(error)}): restore it from a backup") from error
        except errors.InsufficientPrivilege as error:
            raise StoreError(f"{where}: the role may not do that ({_said(error)})") from error
        except psycopg.DataError as error:
            raise InvalidInput(f"{where} cannot hold that: {_said(error)}") from error
        except psycopg.Error as error:
            raise StoreError(f"{where}: {_said(error)}") from error

    @contextmanager
    def lend(self, tenant: str, wait: float = 30.0, *, durable: bool = True) -> Iterator[Link]:
        """A connection for this thread that sees the rows of `tenant`; each statement commits by itself.

        Without `durable` a commit does not wait for the disk: a crash of the server may undo it, in order, with
        those after it. That is for what is derived, or found out again by itself.
        """
        if self._closed:
            raise StoreError(f"{self.address.shown} is closed")
        with self.translated(), self._pool.connection(timeout=max(wait, 1.0)) as db:
            if (db.tenant, db.durable) != (tenant, durable):
                db.execute(
                    "SELECT set_config('memory_agent.tenant', %s, false), set_config('synchronous_commit', %s, false)",
                    (tenant, db.commits if durable else "off"),
                )
                db.tenant, db.durable = tenant, durable
            try:
                yield db
            finally:
                db.used = time.monotonic()

    @contextmanager
    def writing(self, tenant: str, wait: float, *, durable: bool = True) -> Iterator[Link]:
        """A connection within a transaction that commits when the block ends well; raise `psycopg.Rollback` to undo.

        `durable`: see `lend`.
        """
        if self.joined() is not None:
            raise StoreError("a transaction is already open in this thread; put everything into that one")
        begin = f"BEGIN; SET LOCAL lock_timeout = {max(int(wait * 1000), 1)}"
        if not durable:
            begin += "; SET LOCAL synchronous_commit = off"
        with self.lend(tenant, wait) as db:
            self._own.db = db
            try:
                # In one exchange with the server, which `Connection.transaction` is not.
                db.execute(begin, prepare=False)
                yield db
                db.commit()
            except BaseException as error:
                with suppress(psycopg.Error):  # the connection may be what broke
                    db.rollback()
                if not isinstance(error, psycopg.Rollback):
                    raise
            finally:
                self._own.db = None

    def joined(self) -> Link | None:
        """The connection of the transaction that this thread has open, if any."""
        found: Link | None = getattr(self._own, "db", None)
        return found

    def space_id(self, db: Link, key: str) -> int | None:
        """The number of a space, or None before anything was written to it."""
        if key not in self.spaces:
            found = db.execute("SELECT id FROM space WHERE key = %s", (key,)).fetchone()
            if found is None:
                return None
            if self.joined() is None:
                self.spaces[key] = found[0]
            return int(found[0])
        return self.spaces[key]

    def enter_space(self, db: Link, key: str) -> int:
        """The number of a space, made if need be and locked until the transaction ends."""
        number = self.space_id(db, key)
        if number is None:
            db.execute(
                "INSERT INTO space (tenant, key) VALUES (%s, %s) ON CONFLICT (key) DO NOTHING", (tenant_of(key), key)
            )
        row = db.execute("SELECT id FROM space WHERE key = %s FOR UPDATE", (key,)).fetchone()
        return int(self._allowed(row, key)[0])

    def enter_ledger(self, db: Link, key: str) -> tuple[int, int, int, str]:
        """As `enter_space`, with the position that the transaction has, and the length and head of the audit chain."""
        if key not in self.spaces:
            self.enter_space(db, key)
        # The position is drawn under the lock. A space that was moved here may be ahead of this store's sequence.
        row = db.execute(
            "WITH held AS MATERIALIZED (SELECT id, position, audited, head FROM space WHERE key = %s FOR UPDATE)"
            " SELECT id, greatest(nextval('ledger_position'), position + 1), audited, head FROM held",
            (key,),
        ).fetchone()
        id, position, audited, head = self._allowed(row, key)
        return int(id), int(position), int(audited), str(head)

    def _allowed(self, row: tuple[Any, ...] | None, key: str) -> tuple[Any, ...]:
        if row is None:
            raise StoreError(f"{self.address.shown}: the role may not work on space {key}")
        return row


def tenant_of(key: str) -> str:
    """The tenant's part of a space's key, as row-level security compares it."""
    return key.partition("/")[0]


def _check(db: Link) -> None:
    if time.monotonic() - db.used > _STALE:
        db.execute("")


def _said(error: psycopg.Error) -> str:
    """The server's first line; it holds no values of ours and no password."""
    message = error.diag.message_primary or str(error)
    return message.strip().splitlines()[0] if message.strip() else type(error).__name__
