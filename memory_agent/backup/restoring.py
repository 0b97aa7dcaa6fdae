"""Putting a backup back: verified whole before anything is touched, and never over what is there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field

from memory_agent.backup.archive import MANIFEST, checked
from memory_agent.backup.manifest import (
    MEMBER,
    Manifest,
    SpaceManifest,
    read_manifest,
    unpack_audit,
    unpack_rows,
    unpack_vectors,
)
from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.encryption import Key
from memory_agent.errors import BackupDamaged, InvalidInput, StoreError, StoreUnwritable, TrainerFailed
from memory_agent.models.remote import is_remote
from memory_agent.moving import digest_of, row_bytes
from memory_agent.protocols import Backend, LedgerRow, Portable, Progress
from memory_agent.records import AuditEntry, Record
from memory_agent.space import open_backend, path_of, space_folder


class RestoreReport(Record):
    """What was put back."""

    made_at: str
    """When the backup was made."""
    spaces: tuple[str, ...] = ()
    already_there: tuple[str, ...] = ()
    """Spaces that the target held already, row for row."""
    rows: Mapping[str, int] = Field(default_factory=dict)
    vectors: int = 0
    adapters: int = 0
    forgotten_again: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """By kind: what the backup held and was forgotten since, and was taken out again."""
    redacted_again: tuple[str, ...] = ()
    """Turns of which parts were forgotten since; they are as they were left then, to be read again."""


def verify(path: Path, *, key: Key | None = None) -> Manifest:
    """What a backup holds, after all of it was read and compared: lengths, hashes, every record, every chain.

    Raises InvalidInput when it cannot be read or needs a key, SealBroken with another key or after an alteration,
    BackupDamaged when it is not whole.
    """
    reading, last = _Reading(path), b""
    for name, last in checked(path, key):
        if name != MANIFEST:
            reading.take(name, last)
    return reading.compare(read_manifest(path, last))


class _Reading:
    """What was seen of a backup so far."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spaces: set[int] = set()
        self._digests: dict[int, hashlib._Hash] = {}
        self._rows: dict[int, Counter[str]] = {}
        self._heads: dict[int, tuple[int, str]] = {}
        self._vectors: Counter[tuple[int, str]] = Counter()
        self._adapters: dict[int, set[str]] = {}

    def take(self, name: str, data: bytes) -> None:
        """Look at one member. Raises BackupDamaged."""
        found = MEMBER.fullmatch(name)
        if found is None:
            raise BackupDamaged(f"{self._path} holds {name!r}, which no backup of ours does")
        n = int(found["space"])
        self._spaces.add(n)
        try:
            if found["audit"]:
                chain = unpack_audit(data)
                self._heads[n] = (len(chain), chain[-1].digest if chain else "")
            elif found["rows"]:
                for row in unpack_rows(data):
                    self._digests.setdefault(n, hashlib.sha256()).update(row_bytes(row))
                    self._rows.setdefault(n, Counter())[row.kind.kind] += 1
            elif found["kind"]:
                self._vectors[n, found["kind"]] += len(unpack_vectors(data)[0])
            else:
                self._adapters.setdefault(n, set()).add(found["sha"])
        except (ValueError, TypeError) as error:
            raise BackupDamaged(f"{self._path}: {name} cannot be read") from error

    def compare(self, manifest: Manifest) -> Manifest:
        """The manifest, when all that it tells of was seen, and nothing else. Raises BackupDamaged."""
        if any(n >= len(manifest.spaces) for n in self._spaces):
            raise BackupDamaged(f"{self._path} holds spaces that its manifest does not tell of")
        for n, told in enumerate(manifest.spaces):
            digest = self._digests.get(n, hashlib.sha256()).hexdigest()
            vectors = {kind: self._vectors[n, kind] for kind in told.vectors}
            if (
                (digest, dict(self._rows.get(n, {}))) != (told.digest, dict(told.rows))
                or self._heads.get(n) != (told.audited, told.head)
                or vectors != {kind: state.count for kind, state in told.vectors.items()}
                or self._adapters.get(n, set()) != set(told.adapters)
            ):
                raise BackupDamaged(f"{self._path} does not hold of {told.key} what its manifest says")
        return manifest


def restore(
    path: Path,
    store: str,
    *,
    key: Key | None = None,
    forgotten: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> RestoreReport:
    """Put the backup `path` into the store at a path or URL, which holds none of its spaces.

    `forgotten` names a later state of the same store, itself a store or a backup: what it says was forgotten since
    the backup is forgotten again before the store can be opened by anybody. A store that is a folder appears whole
    or not at all; one in a database space by space, and a killed restore is repeated and goes on. The vectors of what
    the backup held none of are made when a memory is opened.

    Raises as `verify`, and InvalidInput when the target holds something, all before anything is written.
    """
    manifest = verify(path, key=key)
    folder = path_of(store)
    if folder is None:
        return _fill(path, manifest, store, key, forgotten, settings or Settings.load(), progress)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is not empty; a restore never overwrites: name another folder, or move it away")
    fresh = folder.with_name(f".{folder.name}.restoring")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        report = _fill(path, manifest, str(fresh), key, forgotten, settings or Settings.load(), progress)
        if folder.exists():
            folder.rmdir()
        fresh.rename(folder)
    except OSError as error:
        raise StoreUnwritable(f"{folder} could not be restored: {error.strerror or error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return report


def _fill(
    path: Path,
    manifest: Manifest,
    store: str,
    key: Key | None,
    forgotten: str | None,
    settings: Settings,
    progress: Progress | None,
) -> RestoreReport:
    from memory_agent.backup.replaying import replay

    backend = open_backend(store)
    try:
        filling = _Filling(backend, path, manifest, progress)
        report = filling.run(key)
        if problems := backend.ledger.check():
            raise StoreError(f"what was restored is not whole ({problems[0]}): restore from an older backup")
        if forgotten is None:
            return report
        again = replay(backend, manifest, forgotten, key, settings)
        return report.model_copy(update={"forgotten_again": again.forgotten, "redacted_again": again.redacted})
    finally:
        backend.index.close()
        backend.ledger.close()


class _Filling:
    """One restore into an open store."""

    def __init__(self, backend: Backend, path: Path, manifest: Manifest, progress: Progress | None) -> None:
        self._backend, self._path, self._manifest, self._progress = backend, path, manifest, progress
        self._there: set[int] = set()
        self._rows: Counter[str] = Counter()
        self._vectors = 0
        self._adapters: set[str] = set()

    def run(self, key: Key | None) -> RestoreReport:
        """Fill every space. Raises InvalidInput, before anything is written, when one holds other memories."""
        for n, told in enumerate(self._manifest.spaces):
            ledger = self._backend.ledger.space(told.key)
            if not isinstance(ledger, Portable):
                raise InvalidInput(f"nothing can be restored into a {type(self._backend.ledger).__name__}")
            if ledger.position():
                if ledger.position() != told.position or digest_of(ledger) != told.digest:
                    raise InvalidInput(f"the store holds other memories of {told.key}; restore into one without them")
                self._there.add(n)
        self._fill(checked(self._path, key))
        spaces = self._manifest.spaces
        return RestoreReport(
            made_at=self._manifest.made_at.isoformat(),
            spaces=tuple(told.key for n, told in enumerate(spaces) if n not in self._there),
            already_there=tuple(spaces[n].key for n in sorted(self._there)),
            rows=dict(self._rows),
            vectors=self._vectors,
            adapters=len(self._adapters),
        )

    def _fill(self, archive: Iterator[tuple[str, bytes]]) -> None:
        """Hand the members on, each to where it belongs; the rows of a space go into one transaction."""
        chain: list[AuditEntry] = []
        ahead = next(archive, None)
        while ahead is not None and ahead[0] != MANIFEST:
            name, data = ahead
            found = MEMBER.fullmatch(name)
            assert found is not None, "verified before"
            n = int(found["space"])
            told = self._manifest.spaces[n]
            if found["audit"]:
                chain = unpack_audit(data)
                rows = _Rows(archive, n)
                self._restore(n, told, rows, chain)
                ahead = rows.finish()
                continue
            if found["kind"]:
                self._put_vectors(told, found["kind"], data)
            elif found["sha"]:
                self._put_adapter(told, found["sha"], found["file"], data)
            ahead = next(archive, None)
        for told in self._manifest.spaces:
            for sha in told.adapters:
                self._check_adapter(space_folder(self._backend.folder, told.key) / "adapters" / sha)

    def _check_adapter(self, folder: Path) -> None:
        """As strict as when a trainer hands an adapter in."""
        try:
            if registry.altered(folder):
                raise BackupDamaged(f"{self._path}: adapter {folder.name} is not what its name says")
            if not is_remote(folder):
                registry.check_config(folder / "adapter_config.json")
        except TrainerFailed as error:
            raise BackupDamaged(f"{self._path}: {error}") from error

    def _restore(self, n: int, told: SpaceManifest, rows: _Rows, chain: list[AuditEntry]) -> None:
        if self._progress is not None:
            self._progress(n / len(self._manifest.spaces), told.key)
        if n in self._there or not told.position:
            return
        space = self._backend.ledger.space(told.key)
        assert isinstance(space, Portable)
        space.restore(self._counted(rows), chain, told.position)
        if digest_of(space) != told.digest:
            raise StoreError(f"what was written of {told.key} is not what the backup holds: remove it and try again")

    def _counted(self, rows: _Rows) -> Iterator[LedgerRow]:
        for row in rows:
            self._rows[row.kind.kind] += 1
            yield row

    def _put_vectors(self, told: SpaceManifest, kind: str, data: bytes) -> None:
        ids, matrix = unpack_vectors(data)
        self._backend.index.space(told.key).apply(kind, ids, matrix, [], state=told.vectors[kind].state())
        self._vectors += len(ids)

    def _put_adapter(self, told: SpaceManifest, sha: str, name: str, data: bytes) -> None:
        folder = space_folder(self._backend.folder, told.key) / "adapters" / sha
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._adapters.add(sha)


class _Rows:
    """The rows of one space, as they come from the archive; `finish` gives the member after them."""

    def __init__(self, archive: Iterator[tuple[str, bytes]], n: int) -> None:
        self._archive = archive
        self._prefix = f"spaces/{n}/rows/"
        self._ahead: tuple[str, bytes] | None = None
        self._begun = False

    def __iter__(self) -> Iterator[LedgerRow]:
        self._begun = True
        self._ahead = next(self._archive, None)
        while self._ahead is not None and self._ahead[0].startswith(self._prefix):
            yield from unpack_rows(self._ahead[1])
            self._ahead = next(self._archive, None)

    def finish(self) -> tuple[str, bytes] | None:
        """The first member beyond the rows, those that nobody asked for left out."""
        if not self._begun:
            for _ in self:
                pass
        return self._ahead
