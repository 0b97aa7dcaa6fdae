"""LangGraph's own store tests, pointed at our store:

    git clone --depth 1 https://github.com/langchain-ai/langgraph /tmp/langgraph && pip install pytest-mock
    python tests/integrations/langgraphs_own.py /tmp/langgraph

Its files are copied, and the only thing changed in them is where the stores are imported from: here.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from memory_agent import Memory, Settings
from memory_agent.integrations.langgraph import MemoryStore
from memory_agent.testing import HashEmbedder

TESTS = {
    "libs/checkpoint/tests": ("embed_test_utils.py", "test_store.py"),
    "libs/checkpoint-sqlite/tests": ("test_store.py", "test_async_store.py"),
}
SqliteIndexConfig = dict
BaseSqliteStore = MemoryStore
NS_MATCH_FUNCTION = "none"


def _opened(where: str = "memory://") -> Memory:
    return Memory.open(where, user="alice", embedder=HashEmbedder(64), settings=Settings(student="none"))


class InMemoryStore(MemoryStore):
    """Ours, made as LangGraph's store in memory is."""

    def __init__(self, index: Any = None, **more: Any) -> None:
        super().__init__(_opened(), index=False if index is None else index, **more)


class SqliteStore(MemoryStore):
    """Ours, made as LangGraph's SQLite store is; in a file, ours is SQLite with Chroma."""

    MIGRATIONS = ()

    @classmethod
    @contextmanager
    def from_conn_string(cls, conn_string: str, *, index: Any = None, ttl: Any = None) -> Iterator[Any]:
        told = {**index, "fields": index.get("text_fields") or index.get("fields")} if index else False
        with _opened("memory://" if conn_string == ":memory:" else tempfile.mkdtemp()) as memory:
            yield cls(memory, index=told, ttl=ttl)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Nothing to do."""


class AsyncSqliteStore(MemoryStore):
    """As `SqliteStore`, for asyncio."""

    @classmethod
    @asynccontextmanager
    async def from_conn_string(cls, conn_string: str, *, index: Any = None, ttl: Any = None) -> AsyncIterator[Any]:
        told = {**index, "fields": index.get("text_fields") or index.get("fields")} if index else False
        with _opened("memory://" if conn_string == ":memory:" else tempfile.mkdtemp()) as memory:
            yield cls(memory, index=told, ttl=ttl)  # type: ignore[arg-type]

    async def setup(self) -> None:
        """Nothing to do."""


def _own(*_: object) -> str:
    """A function of their SQL, which ours has not."""
    raise NotImplementedError("this is a function of LangGraph's SQLite store, not of a store")


_escape_glob_literal = _namespace_match_pattern = _own


def copied(repository: Path, folder: Path, files: tuple[str, ...], to: Path) -> None:
    """Their files as a package `tests`, the stores imported from here."""
    (to / "tests").mkdir(parents=True)
    (to / "tests" / "__init__.py").touch()
    for name in files:
        text = (repository / folder / name).read_text("utf-8")
        for theirs in ("langgraph.store.memory", "langgraph.store.sqlite.base", "langgraph.store.sqlite"):
            text = text.replace(f"from {theirs} import", f"from {Path(__file__).stem} import")
        (to / "tests" / name).write_text(text, "utf-8")


if __name__ == "__main__":
    import subprocess

    here = Path(__file__).resolve().parent
    ended = []
    with tempfile.TemporaryDirectory() as work:
        for number, (folder, files) in enumerate(TESTS.items()):
            place = Path(work) / str(number)
            copied(Path(sys.argv[1]), Path(folder), files, place)
            (place / "pytest.ini").write_text(f"[pytest]\nasyncio_mode = auto\npythonpath = {here} {place}\n", "utf-8")
            command = [sys.executable, "-m", "pytest", "-q", "--tb=line", *sys.argv[2:], "tests"]
            ended.append(subprocess.run(command, cwd=place, check=False).returncode)
    sys.exit(max(ended))
