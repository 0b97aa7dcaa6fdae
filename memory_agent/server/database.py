"""What the server itself keeps beside the store: API keys, hashed, and the answers to repeated requests.

One SQLite file, `server.sqlite`, in the store's folder. It holds nothing of what is remembered: the answers kept for
a repeated `Idempotency-Key`, for a day at most, are ids and counts.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "server.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS key (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL,
    salt BLOB NOT NULL, digest BLOB NOT NULL, created_at TEXT NOT NULL, revoked_at TEXT
);
CREATE TABLE IF NOT EXISTS answer (
    scope TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, at REAL NOT NULL,
    status INTEGER, media TEXT, body BLOB, PRIMARY KEY (scope, key)
);
"""


class Database:
    """A connection that threads share in turn; every write is durable when it returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / FILE
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        path.chmod(0o600)
        self._turn = threading.Lock()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def lent(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone; each statement commits by itself."""
        with self._turn:
            yield self._db

    def close(self) -> None:
        """Let go of the file."""
        with self._turn:
            self._db.close()
