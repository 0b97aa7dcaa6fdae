"""Making a backup: everything of a store at one moment, while others write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from pydantic import Field

from memory_agent.backup.archive import Writing
from memory_agent.backup.manifest import (
    FORMAT,
    SpaceManifest,
    VectorState,
    pack_audit,
    pack_rows,
    pack_vectors,
)
from memory_agent.backup.restoring import verify
from memory_agent.distillation import registry
from memory_agent.encryption import Key
from memory_agent.errors import BackupDamaged, InvalidInput, StoreUnwritable, TrainerFailed
from memory_agent.folders import sync
from memory_agent.moving import all_rows, row_bytes
from memory_agent.protocols import Backend, FrozenSpace, IndexState, LedgerRow, Progress, Query, Snapshots
from memory_agent.records import Adapter, Episode, Fact, Record
from memory_agent.space import open_backend, space_folder

_BATCH = 1000


class BackupReport(Record):
    """What a backup holds, and where it is."""

    path: str
    bytes: int
    encrypted: bool
    spaces: tuple[str, ...] = ()
    rows: Mapping[str, int] = Field(default_factory=dict)
    """By kind."""
    vectors: int = 0
    adapters: int = 0
    missing: tuple[str, ...] = ()
    """Adapters whose files were gone or altered already; the next distillation makes them anew."""


def backup(
    store: str,
    path: Path,
    *,
    key: Key | None = None,
    space: str | None = None,
    vectors: bool = True,
    progress: Progress | None = None,
) -> BackupReport:
    """Write the store, or the one space named, to the new file `path`, encrypted where there is a key.

    What is written is the state at one moment; nobody waits for it. It is read back whole and compared before the
    file gets its name, so a file of that name is a good backup, whatever is killed when. Without `vectors` it is
    smaller, and what it is restored to embeds everything anew.

    Raises InvalidInput, before anything is written, when the file is there already or lies in the store, the key
    lies beside it, or the store is one that goes with its process; StoreUnwritable when the disk is full.
    """
    backend = open_backend(store)
    try:
        _refuse(backend, path, key)
        part = path.with_name(f".{path.name}.part")
        try:
            part.unlink(missing_ok=True)
            made = _write(backend, part, key, space, vectors, progress)
            found = verify(part, key=key)
            if list(found.spaces) != made:
                raise BackupDamaged(f"{part} is not what was written to it: the disk is failing")
            sync(part)
            os.replace(part, path)
            sync(path.parent)
        except OSError as error:
            raise StoreUnwritable(f"the backup could not be written to {path}: {error.strerror or error}") from error
        finally:
            part.unlink(missing_ok=True)
    finally:
        backend.index.close()
        backend.ledger.close()
    return _report(path, key, made)


def _refuse(backend: Backend, path: Path, key: Key | None) -> None:
    if path.exists():
        raise InvalidInput(f"{path} is there already; a backup never overwrites another: give it a name of its own")
    if not path.parent.is_dir():
        raise InvalidInput(f"there is no folder {path.parent}")
    if path.resolve().is_relative_to(backend.folder.resolve()):
        raise InvalidInput(f"{path} lies in the store that it is to be a backup of, and would be lost with it")
    if not isinstance(backend.ledger, Snapshots):
        raise InvalidInput(f"a {type(backend.ledger).__name__} cannot be backed up; it goes with its process")
    if key is not None:
        key.apart_from(path)


def _write(
    backend: Backend, part: Path, key: Key | None, only: str | None, vectors: bool, progress: Progress | None
) -> list[SpaceManifest]:
    assert isinstance(backend.ledger, Snapshots)
    now = datetime.now(UTC)
    states = {name: _states(backend, name) for name in backend.ledger.spaces()} if vectors else {}
    made = []
    with Writing(part, key) as archive, backend.ledger.snapshot() as snapshot:
        keys = [name for name in snapshot.spaces() if only in (None, name)]
        if only is not None and not keys:
            raise InvalidInput(f"the store holds nothing of {only}")
        for n, name in enumerate(keys):
            if progress is not None:
                progress(n / len(keys), name)
            made.append(_Copying(backend, archive, n, name, snapshot.space(name)).run(states.get(name, {})))
        told = {"format": FORMAT, "made_at": now.isoformat(), "version": version("slowwave")}
        archive.finish({**told, "spaces": [each.model_dump(mode="json") for each in made]})
    return made


def _states(backend: Backend, key: str) -> dict[str, IndexState]:
    index = backend.index.space(key)
    found = {kind: index.state(kind) for kind in (Episode.kind, Fact.kind)}
    return {kind: state for kind, state in found.items() if state is not None}


class _Copying:
    """One space on its way into a backup."""

    def __init__(self, backend: Backend, archive: Writing, n: int, key: str, frozen: FrozenSpace) -> None:
        self._backend, self._archive, self._key, self._frozen = backend, archive, key, frozen
        self._prefix = f"spaces/{n}"

    def run(self, states: Mapping[str, IndexState]) -> SpaceManifest:
        """Write everything of it. `states` are those of the index before the snapshot was taken."""
        chain = self._frozen.audit_chain()
        self._archive.add(f"{self._prefix}/audit", pack_audit(chain))
        whole, counts = hashlib.sha256(), dict[str, int]()
        for n, batch in enumerate(_batches(all_rows(self._frozen))):
            for row in batch:
                counts[row.kind.kind] = counts.get(row.kind.kind, 0) + 1
                whole.update(row_bytes(row))
            self._archive.add(f"{self._prefix}/rows/{n}", pack_rows(batch))
        kept, missing = self._adapters()
        return SpaceManifest(
            key=self._key,
            position=self._frozen.position(),
            digest=whole.hexdigest(),
            rows=counts,
            audited=len(chain),
            head=chain[-1].digest if chain else "",
            vectors={kind: self._vectors(kind, state) for kind, state in states.items()},
            adapters=tuple(kept),
            missing=tuple(missing),
        )

    def _vectors(self, kind: str, state: IndexState) -> VectorState:
        """Vectors of what stands in the snapshot as it stood: of a text that changed since, none."""
        record = Episode if kind == Episode.kind else Fact
        living = Query() if record is Episode else Query(where={"retired_at": None})
        index, position = self._backend.index.space(self._key), self._frozen.position()
        ids = [each.id for each in self._frozen.select(record, living)]
        count = 0
        for n, start in enumerate(range(0, len(ids), _BATCH)):
            held = dict(index.vectors(kind, ids[start : start + _BATCH]))
            since = self._backend.ledger.space(self._key).select(record, Query(ids=list(held), text_after=position))
            for changed in since:
                held.pop(changed.id, None)
            if held:
                self._archive.add(f"{self._prefix}/vectors/{kind}-{n}", pack_vectors(held))
                count += len(held)
        told = min(state.position, position)
        return VectorState(
            model=state.model, dimension=state.dimension, position=told, metric=state.metric, count=count
        )

    def _adapters(self) -> tuple[list[str], list[str]]:
        """Put in the files of the adapters that may answer; the hashes of those, and of those that are not whole."""
        kept, missing = [], []
        for adapter in registry.with_state(self._frozen, "promoted", "previous", "refused"):
            folder = space_folder(self._backend.folder, self._key) / "adapters" / adapter.sha256
            try:
                files = _files_of(folder, adapter)
            except (TrainerFailed, OSError):
                missing.append(adapter.sha256)
                continue
            for name, data in files.items():
                self._archive.add(f"{self._prefix}/adapters/{adapter.sha256}/{name}", data)
            kept.append(adapter.sha256)
        return kept, missing


def _files_of(folder: Path, adapter: Adapter) -> dict[str, bytes]:
    """The files of an adapter. Raises TrainerFailed, OSError when they are gone or altered."""
    if registry.altered(folder):
        raise TrainerFailed(f"{folder} was altered")
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def _batches(rows: Iterator[LedgerRow]) -> Iterator[list[LedgerRow]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _report(path: Path, key: Key | None, made: list[SpaceManifest]) -> BackupReport:
    rows: dict[str, int] = {}
    for space in made:
        for kind, count in space.rows.items():
            rows[kind] = rows.get(kind, 0) + count
    return BackupReport(
        path=str(path),
        bytes=path.stat().st_size,
        encrypted=key is not None,
        spaces=tuple(space.key for space in made),
        rows=rows,
        vectors=sum(state.count for space in made for state in space.vectors.values()),
        adapters=sum(len(space.adapters) for space in made),
        missing=tuple(sha for space in made for sha in space.missing),
    )
