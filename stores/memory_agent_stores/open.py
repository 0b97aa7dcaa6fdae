"""The doors of the built-in stores, found through the entry points `memory_agent.stores`."""

from __future__ import annotations

from pathlib import Path

from memory_agent.errors import InvalidInput, StoreError
from memory_agent.protocols import Backend
from memory_agent_stores.chroma import ChromaIndex
from memory_agent_stores.memory import MemoryIndex, MemoryLedger
from memory_agent_stores.sqlite import SqliteLedger


def sqlite(url: str) -> Backend:
    """The store in the folder of `sqlite:///relative` or `sqlite:////absolute`: SQLite ledger, Chroma index.

    Raises InvalidInput on a URL without a folder, and what SqliteLedger raises. Chroma is opened when first needed.
    """
    path = url.removeprefix("sqlite://").removeprefix("/")
    if not path:
        raise InvalidInput(f"{url!r} names no folder: sqlite:///my-memory, or just ./my-memory")
    folder = Path(path).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; a store is a folder: name another path")
    return Backend(SqliteLedger(folder), ChromaIndex(folder), folder)


def postgres(url: str) -> Backend:
    """The store in a PostgreSQL database with pgvector: `postgresql://user@host/database`, as ledger and index.

    `?schema=` names its schema and `?folder=` where this host keeps adapters. Raises MissingExtra without the
    extra `postgres`, InvalidInput on a URL that is none, and StoreError when the server cannot be reached.
    """
    from memory_agent_stores.postgres import PostgresLedger
    from memory_agent_stores.postgres_database import Address, Database
    from memory_agent_stores.postgres_index import PostgresIndex
    from memory_agent_stores.postgres_queue import PostgresQueue

    address = Address.parse(url)
    ledger = PostgresLedger(Database.shared(address))
    return Backend(ledger, PostgresIndex(Database.shared(address)), address.folder, PostgresQueue(ledger.database))


def in_memory(url: str) -> Backend:
    """A store that lives in this process and goes with it; its folder, for adapters and jobs, is temporary."""
    ledger = MemoryLedger()
    return Backend(ledger, MemoryIndex(), ledger.folder)
