"""The default vector index: one Chroma folder beside the ledger, a collection per space and kind.

Chroma keeps ids and vectors, never a text. It is derived: what is damaged or gone is dropped, and
`state()` is None until somebody fills it again from the ledger.

Two processes that write one Chroma folder ruin it, and a kill in the middle of its writing may
leave a torn graph file. Hence every write, and the first look into a collection, is done alone:

    locks/chroma.lock      held by the system while writing; one process at a time
    locks/chroma.writing   names the collection being written; found by the next, its writer was
                           killed, and if a graph file was touched since, that collection is dropped
    chroma/generation      changes with every write; who sees another one reopens its client

The state of a collection is kept in its own metadata, in the same database as its log of vectors,
and written after them: after a kill it may lag behind them but never claims what is not there.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from memory_agent.errors import StoreBusy, StoreError
from memory_agent.protocols import Vectors
from memory_agent_stores import purge
from memory_agent_stores.chroma_client import DATABASE, chroma_failed, client, pages
from memory_agent_stores.chroma_space import ChromaSpace
from memory_agent_stores.exact import Matrix, Recent
from memory_agent_stores.graph_files import clear_unused
from memory_agent_stores.unwritable import unwritable

_WAIT = 60.0
_WARM = 100
"""Collections whose graphs are open at once; Chroma keeps about 200 and then drops the least used."""
_HANDLES = 2000
"""Collections whose handles are kept; a handle is a few names and numbers."""
_BUILD, _ASK = 32, 1000
"""Candidates that Chroma's graph keeps while a vector is put in, and while one is looked for.

Every vector is put in and only collections above `exact` are asked, so the work lies where it is seldom done: 64 and
200 find as much (docs/benchmarks/scale.md), and putting in takes half as long again.
"""
_HELD = 500_000
"""Vectors held in memory at once, of all collections together, to be compared one by one."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class ChromaIndex:
    """Vectors of every space in `folder`/chroma. Opened when first needed; safe between threads and processes."""

    def __init__(self, folder: Path, *, sync_threshold: int = 1000, exact: int = 250_000) -> None:
        """`sync_threshold`: vectors after which Chroma moves its log into the graph files.

        `exact`: vectors up to which a collection is compared one by one, in memory: nothing is
        overlooked (among near-equal texts Chroma's graph misses even the text that is asked for).
        """
        self.folder = folder / "chroma"
        self.sync_threshold = sync_threshold
        self.exact = exact
        self._lock_path = folder / "locks" / "chroma.lock"
        self._mark = folder / "locks" / "chroma.writing"
        self._guard = threading.RLock()
        self._client: Any = None
        self._seen = ""
        self._warm: set[str] = set()
        self._written: set[str] = set()
        """Collections that this client has read, and written."""
        self._collections: dict[str, Any] = {}
        """Handles, and None where there is no collection; Chroma looks one up in several queries. As `_matrices`."""
        self._recent = Recent()
        """Vectors that were just written and that a search is about to ask for. As `_matrices`."""
        self._matrices: dict[str, Matrix] = {}
        """Level with what this client wrote and saw; all go when another process wrote."""

    def space(self, key: str) -> ChromaSpace:
        return ChromaSpace(self, hashlib.sha256(key.encode()).hexdigest()[:32])

    def close(self) -> None:
        """Let go of the files. The index opens again when it is used again."""
        with self._guard:
            if self._client is not None:
                self._client.close()
            self._client = None
            self._warm.clear()
            self._written.clear()
            self._collections.clear()
            self._recent.clear()
            self._matrices.clear()

    def compact(self) -> None:
        """Write anew each collection from which something was deleted, and shrink the database."""
        with self._guard:
            names = [path.name for path in self._stale().glob("*")] if self._stale().is_dir() else []
            if not names:
                return
            with self._writing(",".join(names), everywhere=True):
                for name in names:
                    self._rewrite(name)
                    (self._stale() / name).unlink()
                self.close()
                segments = _purge(self.folder / DATABASE)
                for path in self.folder.glob("*-*-*-*-*"):  # Chroma leaves the files of a deleted collection behind
                    if path.name not in segments:
                        shutil.rmtree(path)

    def _stale(self) -> Path:
        """A folder with a file for each collection that holds deleted vectors."""
        return self.folder / "stale"

    def _rewrite(self, name: str) -> None:
        """Replace a collection by one that holds only its living vectors; its state is recorded last."""
        old = self.collection(name)
        if old is None:
            return
        metadata = dict(old.metadata)
        held = list(pages(old))
        self._client.delete_collection(name)
        self._recent.drop(name)
        new = self.create(name, {**metadata, "position": 0})
        for ids, vectors in held:
            self.upsert(new, ids, vectors)
        new.modify(metadata=metadata)

    def read(self, name: str, look: Callable[[Any], T], missing: T, *, graph: bool = True) -> T:
        """`look(collection)`, or `missing` when there is none; a collection that cannot be read is dropped.

        `graph`: whether `look` may make Chroma open the collection's graph, which is done alone the first time.
        """
        with self._guard:
            open = not graph or name in self._warm or name in self._matrices
            if self._client is not None and open and self._generation() == self._seen:
                try:
                    found = self.collection(name)
                    return missing if found is None else look(found)
                except BaseException as error:
                    if not chroma_failed(error):
                        raise
                    # Another process may have written since: once more, alone, before anything counts as damaged.
            if not self.folder.is_dir():
                return missing
            with self._writing(name, changes=False):
                found = self.collection(name)
                if found is None:
                    return missing
                if len(self._warm) >= _WARM:
                    self._warm.clear()
                self._warm.add(name)
                return self._guarded(name, lambda: look(found), missing)

    @contextmanager
    def write(self, name: str) -> Iterator[ChromaIndex]:
        """This index while no other process writes to it."""
        with self._guard, self._writing(name):
            try:
                yield self
            except BaseException:
                self._let_go(name)  # half of it may have been written
                raise

    def collection(self, name: str) -> Any:
        """The collection, or None. Only within `read` and `write`."""
        from chromadb.errors import NotFoundError

        if name not in self._collections:
            if len(self._collections) >= _HANDLES:
                self._collections.clear()
            try:
                self._collections[name] = self._client.get_collection(name, embedding_function=None)
            except NotFoundError:
                self._collections[name] = None
        return self._collections[name]

    def create(self, name: str, metadata: dict[str, object]) -> Any:
        """A new, empty collection. Only within `write`."""
        self._collections[name] = made = self._client.create_collection(
            name,
            embedding_function=None,
            metadata=metadata,
            configuration={
                "hnsw": {
                    "space": "cosine",
                    "max_neighbors": 16,
                    "ef_construction": _BUILD,
                    "ef_search": _ASK,
                    "batch_size": min(100, self.sync_threshold),
                    "sync_threshold": self.sync_threshold,
                }
            },
        )
        return made

    def upsert(self, collection: Any, ids: Sequence[str], vectors: Vectors) -> None:
        """Put vectors in, at most as many at a time as Chroma takes. Only within `write`."""
        most = int(self._client.get_max_batch_size())
        for start in range(0, len(ids), most):
            collection.upsert(ids=list(ids[start : start + most]), embeddings=vectors[start : start + most])
        self._recent.put(collection.name, ids, vectors)
        if (matrix := self._matrices.get(collection.name)) is not None:
            matrix.put(ids, vectors)

    def delete(self, collection: Any, ids: Sequence[str]) -> None:
        """Take vectors out. Only within `write`."""
        self.mark_stale(collection.name)
        collection.delete(ids=list(ids))
        self._recent.remove(collection.name, ids)
        if (matrix := self._matrices.get(collection.name)) is not None:
            matrix.remove(ids)

    def matrix(self, name: str, collection: Any) -> Matrix | None:
        """The vectors of a collection, to be compared one by one; None of a large one. Only within `read`."""
        if (held := self._matrices.pop(name, None)) is not None and len(held) <= self.exact:
            self._matrices[name] = held
            return held
        count = collection.count()
        if count > self.exact:
            return None
        matrix = Matrix()
        for ids, vectors in pages(collection):
            matrix.put(ids, vectors)
        while self._matrices and sum(map(len, self._matrices.values())) + count > _HELD:
            del self._matrices[next(iter(self._matrices))]
        self._matrices[name] = matrix
        return matrix

    def count(self, name: str, collection: Any) -> int:
        """How many vectors a collection holds. Only within `read`."""
        matrix = self._matrices.get(name)
        return len(matrix) if matrix is not None else int(collection.count())

    def just_written(self, name: str, ids: Sequence[str]) -> dict[str, Vectors] | None:
        """The vectors of those ids when all of them were written a moment ago, else None."""
        return self.read(name, lambda _: self._recent.get(name, ids), None, graph=False)

    def drop(self, name: str) -> None:
        """Remove a collection. Only within `write`."""
        if self.collection(name) is not None:
            self._client.delete_collection(name)
            self.mark_stale(name)
        self._let_go(name)

    def _let_go(self, name: str) -> None:
        """Keep nothing of a collection in memory."""
        self._warm.discard(name)
        self._collections.pop(name, None)
        self._recent.drop(name)
        self._matrices.pop(name, None)

    def mark_stale(self, name: str) -> None:
        """Note that deleted vectors may still lie in the files of a collection."""
        self._stale().mkdir(exist_ok=True)
        (self._stale() / name).touch()

    def _guarded(self, name: str, work: Callable[[], T], missing: T) -> T:
        """`work()`, or `missing` after dropping the collection that made Chroma fail."""
        try:
            return work()
        except BaseException as error:
            if not chroma_failed(error):
                raise
            with self._writing(name):
                self.give_up(name, error)
            return missing

    def give_up(self, name: str, error: BaseException) -> None:
        """Drop a collection that Chroma cannot work with, or the whole folder when even that fails."""
        _log.warning("vector collection %s is damaged (%s); it is dropped, to be filled anew", name, error)
        try:
            self.drop(name)
        except BaseException as error:
            if not chroma_failed(error):
                raise
            self._start_over(error)

    @contextmanager
    def _writing(self, name: str, *, changes: bool = True, everywhere: bool = False) -> Iterator[None]:
        """Alone with the folder, the client fresh; leaves the mark behind only if this process is killed.

        Unused places are cleared at the end in the graph files that were written meanwhile, or `everywhere`.
        """
        if self._mark_held:
            yield
            return
        with unwritable(self.folder, "what the ledger holds stands, and is embedded when there is room"):
            yield from self._alone(name, changes, everywhere)

    def _alone(self, name: str, changes: bool, everywhere: bool) -> Iterator[None]:
        lock = self._acquire()
        try:
            self._refresh()
            # A client that touches a collection for the first time writes its graph files. They are written as well
            # when Chroma's log is full; what is in their unused places then, goes with the next `compact`.
            first = everywhere or not changes or name not in self._written
            before = -1 if everywhere else self._newest_graph() if first else 0
            self._mark.write_text(name, "utf-8")
            self._mark_held = True
            if changes:
                self._renew()
            try:
                yield
            finally:
                changed = first and self._newest_graph() != before
                if changed:
                    self._clear(since=before)
                if changes and not everywhere:
                    self._written.add(name)
                if changes or changed:
                    self._renew()
                self._mark_held = False
                self._mark.unlink(missing_ok=True)
        finally:
            lock.release()

    _mark_held = False

    def _acquire(self) -> FileLock:
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock_path)
        try:
            lock.acquire(timeout=_WAIT, poll_interval=0.01)
        except Timeout as error:
            raise StoreBusy(
                f"another process has been writing vectors to {self.folder} for over {_WAIT:g} s; try again"
            ) from error
        return lock

    def _refresh(self) -> None:
        """A client that sees the files as they are. Only under the lock."""
        suspects = self._suspects()
        generation = self._generation()
        if self._client is None or generation != self._seen or suspects:
            self.close()
            self._open()
            self._seen = generation
        for name in suspects:
            self.give_up(name, StoreError("a process was killed while it wrote graph files"))
        self._mark.unlink(missing_ok=True)

    def _suspects(self) -> list[str]:
        """The collections whose writer was killed while a graph file was being written."""
        try:
            names = self._mark.read_text("utf-8").split(",")
            began = self._mark.stat().st_mtime_ns
        except FileNotFoundError:
            return []
        return [name for name in names if name] if self._newest_graph() >= began else []

    def _newest_graph(self) -> int:
        """When a graph file was last written, in nanoseconds."""
        times = [path.stat().st_mtime_ns for path in self.folder.glob("*/*") if path.suffix in (".bin", ".pickle")]
        return max(times, default=0)

    def _clear(self, *, since: int) -> None:
        """Leave nothing in the unused places of graph files written after `since`. Only under the lock."""
        for header in self.folder.glob("*/header.bin"):
            if header.stat().st_mtime_ns > since:
                clear_unused(header.parent)

    def _generation(self) -> str:
        try:
            return (self.folder / "generation").read_text("utf-8")
        except FileNotFoundError:
            return ""

    def _renew(self) -> None:
        self._seen = secrets.token_hex(8)
        (self.folder / "generation").write_text(self._seen, "utf-8")

    def _open(self) -> None:
        try:
            self._client = client(self.folder)
        except BaseException as error:
            if not chroma_failed(error):
                raise
            self._start_over(error)

    def _start_over(self, error: BaseException) -> None:
        """Throw the folder away, as it can be filled again from the ledger, and begin an empty one."""
        _log.warning("%s cannot be read (%s); it is removed, to be filled anew", self.folder, error)
        self.close()
        for _ in range(2):  # a client that was closed may still be deleting its log
            with suppress(FileNotFoundError):
                shutil.rmtree(self.folder)
        self._client = client(self.folder)


def _purge(database: Path) -> set[str]:
    """What `purge` does and returns, in a process of its own. Raises StoreError."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", purge.__file__, str(database)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StoreError(f"{database} could not be cleared of what was deleted: {done.stderr.strip()[-500:]}")
    return set(done.stdout.split())
