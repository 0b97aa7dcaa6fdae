"""The file of a backup: a tar stream, compressed, then encrypted where there is a key, else closed by its SHA-256.

Members are small enough to be held in memory. The last one, manifest.json, names every other with its length and
SHA-256, so that a file that was cut off or altered is known, with a key or without. Some bits of a compressed stream
mean nothing, and no checksum of what is in it covers them; that of the whole file does. Nothing is ever unpacked by
the names that stand in the file.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self, cast

from memory_agent.encryption import Key, Sealer, Unsealer, is_sealed
from memory_agent.errors import BackupDamaged, InvalidInput

MANIFEST = "manifest.json"
_LARGEST = 1 << 31
"""Bytes of a member beyond which no backup of ours is."""
_COMPRESSION = 1
"""Vectors and weights hardly shrink; rows do so at any level."""


class _Summing(io.RawIOBase):
    """Writes to a file, and on closing, the SHA-256 of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._sum = file, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sum.update(data)
        return self._file.write(data)

    def close(self) -> None:
        if not self.closed:
            self._file.write(self._sum.digest())
        super().close()


class _Summed(io.RawIOBase):
    """Reads what a _Summing wrote, without the sum."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        """`size`: the file's, in bytes."""
        self._file, self._sum = file, hashlib.sha256()
        self._left = max(0, size - self._sum.digest_size)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._sum.update(data)
        return data

    def is_as_written(self) -> bool:
        """Whether all that was read is what the sum was made of. Only at the end."""
        return not self._left and self._file.read() == self._sum.digest()


class Writing:
    """Writes members to a new file; `finish` with the manifest makes it a backup."""

    def __init__(self, path: Path, key: Key | None) -> None:
        self._stack = ExitStack()
        file: IO[bytes] = self._stack.enter_context(path.open("xb"))
        path.chmod(0o600)
        self._file = file
        closing = Sealer(file, key) if key is not None else _Summing(file)
        file = cast("IO[bytes]", self._stack.enter_context(closing))
        packed = self._stack.enter_context(gzip.GzipFile(fileobj=file, mode="wb", compresslevel=_COMPRESSION, mtime=0))
        tar = tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._tar = self._stack.enter_context(tar)
        self._members: dict[str, list[Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.__exit__(*exc)

    def add(self, name: str, data: bytes) -> None:
        """Write one member."""
        self._members[name] = [len(data), hashlib.sha256(data).hexdigest()]
        self._put(name, data)

    def _put(self, name: str, data: bytes) -> None:
        about = tarfile.TarInfo(name)
        about.size = len(data)
        self._tar.addfile(about, io.BytesIO(data))

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, the last member."""
        self._put(MANIFEST, json.dumps({**manifest, "members": self._members}, sort_keys=True).encode())


def members(path: Path, key: Key | None) -> Iterator[tuple[str, bytes]]:
    """Every member of a backup in order, the manifest last, as they stand; `checked` compares them with it.

    Raises InvalidInput when there is no such file or it needs a key, SealBroken, BackupDamaged.
    """
    with ExitStack() as stack:
        try:
            file: IO[bytes] = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
        if is_sealed(file):
            if key is None:
                raise InvalidInput(
                    f"{path} is encrypted: give its key (--key-file, MEMORY_AGENT_BACKUP_KEY_FILE or _KEY)"
                )
            file = cast("IO[bytes]", Unsealer(file, key))
            summed = None
        else:
            summed = _Summed(file, path.stat().st_size)
            file = cast("IO[bytes]", summed)
        try:
            packed = stack.enter_context(gzip.GzipFile(fileobj=file, mode="rb"))
            tar = stack.enter_context(tarfile.open(fileobj=packed, mode="r|"))
            for about in tar:
                if not about.isfile() or about.size > _LARGEST:
                    raise BackupDamaged(f"{path} holds what no backup of ours does ({about.name!r})")
                found = tar.extractfile(about)
                assert found is not None
                yield about.name, found.read()
            while packed.read(1 << 16):  # its checksum stands at the end
                pass
            if summed is not None and not summed.is_as_written():
                raise BackupDamaged(f"{path} was altered: it is not what its checksum was made of")
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, OverflowError) as error:
            raise BackupDamaged(f"{path} is no backup, or it was cut off or altered ({error})") from error


def checked(path: Path, key: Key | None) -> Iterator[tuple[str, bytes]]:
    """As `members`, and after the last one nothing is left unchecked.

    Raises BackupDamaged when a member is not as the manifest says, missing, or beyond it.
    """
    seen: dict[str, list[Any]] = {}
    told: Mapping[str, Any] | None = None
    for name, data in members(path, key):
        if told is not None or name in seen:
            raise BackupDamaged(f"{path} holds {name!r} where nothing ought to be")
        if name == MANIFEST:
            try:
                told = dict(json.loads(data))
                listed = told["members"]
            except (ValueError, KeyError, TypeError) as error:
                raise BackupDamaged(f"the manifest of {path} cannot be read") from error
            if listed != seen:
                wrong = sorted(set(seen) ^ set(listed)) or sorted(n for n in seen if seen[n] != listed[n])
                raise BackupDamaged(f"{path} was altered: {', '.join(wrong[:3])}")
        else:
            seen[name] = [len(data), hashlib.sha256(data).hexdigest()]
        yield name, data
    if told is None:
        raise BackupDamaged(f"{path} was cut off: it has no manifest")
