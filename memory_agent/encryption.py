"""Encrypting a stream under a key of the user's: AES-256-GCM in chunks, so that it needs no more memory for more data.

    with open(path, "wb") as file, Sealer(file, key) as sealed:
        sealed.write(...)
    with open(path, "rb") as file:
        Unsealer(file, key).read(...)

The construction is STREAM (Hoang, Reyhanitabar, Rogaway and Vizár 2015): each chunk's nonce is its number and
whether it is the last, so chunks cannot be left out, moved, repeated or cut off. The key of a file is drawn by scrypt
from the user's secret and the file's own random salt; the header is authenticated with every chunk. Nothing of a
chunk is given out before it was authenticated.

The secret is read from a file or from the settings, and is never written anywhere.
"""

from __future__ import annotations

import io
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from memory_agent.errors import InvalidInput, MissingExtra, SealBroken

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"memory-agent sealed 1\n"
"""What an encrypted file begins with."""
_CHUNK = 1 << 16
_TAG = 16
_SHORTEST = 16
"""Characters of a secret below which it is refused: it could be guessed."""
_SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}
_DEAREST = 1 << 17
"""Most work (n) that a file's header may ask for; a forged one could ask for all of the machine's memory."""


@dataclass(frozen=True)
class Key:
    """A secret of the user's, kept out of messages and of `repr`."""

    secret: bytes = field(repr=False)
    path: Path | None = None
    """The file it was read from."""

    @classmethod
    def of(cls, text: str, path: Path | None = None) -> Key:
        """The key of a secret as text, white space around it apart. Raises InvalidInput when it is too short."""
        secret = text.strip().encode()
        if len(secret) < _SHORTEST:
            where = f"the key in {path}" if path else "the key"
            raise InvalidInput(
                f"{where} is shorter than {_SHORTEST} characters: make one with `openssl rand -base64 32`"
            )
        return cls(secret, path)

    @classmethod
    def from_file(cls, path: Path) -> Key:
        """The key in a file that only its owner may read. Raises InvalidInput."""
        try:
            text, mode = path.read_text("utf-8"), path.stat().st_mode
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"no key can be read from {path}: {error}") from error
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise InvalidInput(f"others may read the key in {path}: chmod 600 {path}")
        return cls.of(text, path)

    def apart_from(self, target: Path) -> None:
        """Raise InvalidInput when the key's file lies in the same folder as what it encrypts."""
        if self.path is not None and self.path.resolve().parent == target.resolve().parent:
            raise InvalidInput(
                f"the key {self.path} lies beside what it encrypts, to be stolen or lost with it: keep it elsewhere"
            )


def is_sealed(file: IO[bytes]) -> bool:
    """Whether an encrypted stream begins here; the file is left where it was."""
    at = file.tell()
    found = file.read(len(MAGIC)) == MAGIC
    file.seek(at)
    return found


class Sealer(io.RawIOBase):
    """Writes to `file` encrypted. What was written counts only once `close` has written the last chunk."""

    def __init__(self, file: IO[bytes], key: Key) -> None:
        """Raises MissingExtra without the extra `encrypt`."""
        self._file = file
        told: dict[str, Any] = {"kdf": "scrypt", "salt": os.urandom(32).hex(), "chunk": _CHUNK, **_SCRYPT}
        self._cipher = _cipher(key, told)
        self._header = MAGIC + json.dumps(told, sort_keys=True).encode() + b"\n"
        self._held = bytearray()
        self._n = 0
        file.write(self._header)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Encrypt as many whole chunks as there are; the rest is held."""
        self._held += data
        while len(self._held) > _CHUNK:
            self._put(bytes(self._held[:_CHUNK]), last=False)
            del self._held[:_CHUNK]
        return len(data)

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._n, last), chunk, self._header))
        self._n += 1

    def close(self) -> None:
        """Write the last chunk, which ends the stream. `file` itself stays open."""
        if not self.closed:
            self._put(bytes(self._held), last=True)
            super().close()

    def __exit__(self, kind: Any, *exc: object) -> None:
        if kind is None:
            self.close()
        else:  # a stream that broke off must not look whole
            super().close()


class Unsealer(io.RawIOBase):
    """Reads what a Sealer wrote to `file`. Raises SealBroken at the first chunk that is not as it was written."""

    def __init__(self, file: IO[bytes], key: Key) -> None:
        """Raises SealBroken when no encrypted stream begins here, MissingExtra without the extra `encrypt`."""
        self._file = file
        start = file.read(len(MAGIC))
        line = file.readline(1000)
        try:
            told = json.loads(line)
            given = (start, told["kdf"], told["chunk"], told["r"], told["p"])
            if given != (MAGIC, "scrypt", _CHUNK, _SCRYPT["r"], _SCRYPT["p"]) or told["n"] > _DEAREST:
                raise ValueError("no header of ours")
            self._cipher = _cipher(key, told)
        except (ValueError, KeyError, TypeError) as error:
            raise SealBroken(f"{_name(file)} is not encrypted as this release does it, or was altered") from error
        self._header = start + line
        self._held = b""
        self._n = 0
        self._next = file.read(_CHUNK + _TAG)
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """As much as is asked for, less only at the end."""
        parts, length = [self._held], len(self._held)
        while (size < 0 or length < size) and not self._ended:
            parts.append(self._chunk())
            length += len(parts[-1])
        whole = b"".join(parts)
        cut = length if size < 0 else size
        self._held = whole[cut:]
        return whole[:cut]

    def _chunk(self) -> bytes:
        from cryptography.exceptions import InvalidTag

        sealed, self._next = self._next, self._file.read(_CHUNK + _TAG)
        self._ended = not self._next
        try:
            chunk = self._cipher.decrypt(_nonce(self._n, self._ended), sealed, self._header)
        except (InvalidTag, ValueError) as error:
            why = "this is not its key, or it was altered" if self._n == 0 else "it was altered or cut off"
            raise SealBroken(f"{_name(self._file)} cannot be decrypted: {why}") from error
        self._n += 1
        return chunk


def _nonce(n: int, last: bool) -> bytes:
    return n.to_bytes(11, "big") + bytes([last])


def _name(file: IO[bytes]) -> str:
    return str(getattr(file, "name", "the stream"))


def _cipher(key: Key, told: dict[str, Any]) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ModuleNotFoundError as error:
        raise MissingExtra("encryption", "encrypt") from error
    drawn = Scrypt(salt=bytes.fromhex(told["salt"]), length=32, n=told["n"], r=told["r"], p=told["p"])
    return AESGCM(drawn.derive(key.secret))
