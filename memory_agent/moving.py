"""Moving a store into another kind of store, and back, without loss.

What is copied of each space: every row with its place, the audit chain, the vectors with what they are true
to, and the folder with adapters. The source is only read, and held still while a space of it is copied.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field

from memory_agent.errors import InvalidInput, StoreError
from memory_agent.protocols import Backend, FrozenSpace, LedgerRow, Portable, Progress, SpaceLedger
from memory_agent.records import STORED, Record
from memory_agent.space import open_backend, space_folder

_BATCH = 1000
_INDEXED = ("episode", "fact")


class MoveReport(Record):
    """What was copied."""

    spaces: tuple[str, ...] = ()
    already_there: tuple[str, ...] = ()
    """Spaces that the target held already, row for row."""
    rows: Mapping[str, int] = Field(default_factory=dict)
    """By kind."""
    vectors: int = 0
    files: int = 0


def move(source: str, target: str, *, space: str | None = None, progress: Progress | None = None) -> MoveReport:
    """Copy every space of the store `source` (or the one named) to the store `target`; both are paths or URLs.

    Each space is written in one transaction and compared afterwards, so a killed run is repeated and goes on.
    Raises InvalidInput, before anything is written, when the target holds other memories of a space, or
    the stores are one or cannot be moved; StoreError when what was written differs from what was read.
    """
    here = open_backend(source)
    try:
        there = open_backend(target)
        try:
            return _Moving(here, there, progress).run(here.ledger.spaces() if space is None else [space])
        finally:
            _close(there)
    finally:
        _close(here)


def _close(backend: Backend) -> None:
    backend.index.close()
    backend.ledger.close()


class _Moving:
    """One move."""

    def __init__(self, here: Backend, there: Backend, progress: Progress | None) -> None:
        self._here = here
        self._there = there
        self._progress = progress
        self._rows: dict[str, int] = {}
        self._vectors = 0
        self._files = 0

    def run(self, keys: list[str]) -> MoveReport:
        """Copy these spaces."""
        if self._here.folder == self._there.folder:
            raise InvalidInput("both stores keep their files in one folder; give the target another (?folder=)")
        already = [key for key in keys if self._is_there(key)]
        due = [key for key in keys if key not in already]
        for n, key in enumerate(due):
            if self._progress is not None:
                self._progress(n / len(due), key)
            # An open transaction keeps writers of the space out, so that rows, vectors and files belong together.
            with self._here.ledger.space(key).transaction():
                self._copy(key)
        for key in already:
            self._copy_vectors(key)
            self._copy_files(key)
        return MoveReport(
            spaces=tuple(due),
            already_there=tuple(already),
            rows=self._rows,
            vectors=self._vectors,
            files=self._files,
        )

    def _is_there(self, key: str) -> bool:
        """Whether the target holds the space as the source does. Raises InvalidInput when it holds another."""
        here, there = _portable(self._here, key), _portable(self._there, key)
        position = self._there.ledger.space(key).position()
        if position == 0:
            return False
        if position != self._here.ledger.space(key).position() or digest_of(here) != digest_of(there):
            raise InvalidInput(f"the target holds other memories of {key}; move into a store that has none of them")
        return True

    def _copy(self, key: str) -> None:
        source = self._here.ledger.space(key)
        here, there = _portable(self._here, key), _portable(self._there, key)
        there.restore(self._counted(all_rows(here)), source.audit_chain(), source.position())
        if digest_of(here) != digest_of(there):
            raise StoreError(f"what was written of {key} differs from what was read: remove the target and try again")
        if source.audit_chain() != self._there.ledger.space(key).audit_chain():
            raise StoreError(f"the audit chain of {key} did not come over whole: remove the target and try again")
        self._copy_vectors(key)
        self._copy_files(key)

    def _counted(self, rows: Iterator[LedgerRow]) -> Iterator[LedgerRow]:
        for row in rows:
            self._rows[row.kind.kind] = self._rows.get(row.kind.kind, 0) + 1
            yield row

    def _copy_vectors(self, key: str) -> None:
        """Vectors are derived: what is missing is embedded anew when the space is opened."""
        here, there = self._here.index.space(key), self._there.index.space(key)
        for kind in _INDEXED:
            state = here.state(kind)
            if state is None or there.state(kind) == state:
                continue
            import numpy as np

            ids = sorted(here.ids(kind))
            for start in range(0, max(len(ids), 1), _BATCH):
                held = here.vectors(kind, ids[start : start + _BATCH])
                matrix = np.stack(list(held.values())) if held else np.zeros((0, state.dimension), dtype=np.float32)
                there.apply(kind, list(held), matrix, [], state=state)
                self._vectors += len(held)

    def _copy_files(self, key: str) -> None:
        """Adapters and the like; each file appears whole or not at all."""
        source, target = space_folder(self._here.folder, key), space_folder(self._there.folder, key)
        if not source.is_dir() or target.exists():
            return
        fresh = target.with_name(f".new-{target.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(source, fresh)
        fresh.rename(target)
        self._files += sum(path.is_file() for path in Path(target).rglob("*"))


def _portable(backend: Backend, key: str) -> Portable:
    space: SpaceLedger = backend.ledger.space(key)
    if not isinstance(space, Portable):
        raise InvalidInput(f"a {type(backend.ledger).__name__} cannot be moved; it holds nothing that would outlive it")
    return space


def all_rows(space: FrozenSpace | Portable) -> Iterator[LedgerRow]:
    """Every row of a space, kind by kind, each in ledger order."""
    for kind in STORED:
        after = -1
        while batch := space.rows(kind, after=after, limit=_BATCH):
            yield from batch
            after = batch[-1].seq


def digest_of(space: FrozenSpace | Portable) -> str:
    """SHA-256 over every row as it is kept."""
    whole = hashlib.sha256()
    for row in all_rows(space):
        whole.update(row_bytes(row))
    return whole.hexdigest()


def row_bytes(row: LedgerRow) -> bytes:
    """A row as it goes into the digest of its space."""
    return f"{row.kind.kind}\0{row.seq}\0{row.texted}\0{row.body}\0".encode()
