"""Chroma's client, what is read through it page by page, and which errors are its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from memory_agent.protocols import Vectors
from memory_agent_stores.unwritable import is_unwritable

DATABASE = "chroma.sqlite3"
_PAGE = 4096
"""Vectors read from Chroma at a time: it hands out numbers as Python objects, 20 times their size."""


def client(folder: Path) -> Any:
    """A Chroma client over `folder`, its telemetry off, that shares nothing with others in this process.

    Chroma keeps one system for each path as it is spelt, also one that failed to start: a client made
    again would see what the old one saw.
    """
    os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient
    from chromadb.config import Settings

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / DATABASE).exists():
        _begin(folder / DATABASE)
    path = str(folder)
    while path in SharedSystemClient._identifier_to_system:
        path += "/."
    try:
        return chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))
    except BaseException:
        SharedSystemClient._identifier_to_system.pop(path, None)
        raise


def _begin(database: Path) -> None:
    """An empty database with a write-ahead log, which Chroma then fills and keeps.

    Chroma holds the interpreter, and so every thread and event loop, until a write is on disk: a small one took 12
    syncs with SQLite's rollback journal and takes 3 with the log. Only a new file is opened here (see `purge`).
    """
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("VACUUM")


def chroma_failed(error: BaseException) -> bool:
    """Whether what Chroma keeps is to blame: one of its errors, or a panic of its native part (no Exception at all).

    A full or read-only disk is not: nothing is thrown away for that.
    """
    from chromadb.errors import ChromaError

    own = isinstance(error, (ChromaError, sqlite3.Error)) or type(error).__name__ == "PanicException"
    return own and not is_unwritable(error)


def pages(collection: Any) -> Iterator[tuple[list[str], Vectors]]:
    """All ids and vectors of a collection, some thousands at a time."""
    for start in range(0, int(collection.count()), _PAGE):
        page = collection.get(include=["embeddings"], limit=_PAGE, offset=start)
        yield list(page["ids"]), np.asarray(page["embeddings"], dtype=np.float32)
