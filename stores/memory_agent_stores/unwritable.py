"""Disks that are full, read-only or failing, in whichever words they say it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_agent.errors import StoreUnwritable

_NUMBERS = frozenset({errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EPERM})
_WORDS = (
    "disk is full",
    "disk i/o error",
    "readonly database",
    "read-only file system",
    "no space left",
    "file too large",
    "unable to open database file",
)
"""As SQLite says it, also through Chroma."""


def is_unwritable(error: BaseException) -> bool:
    """Whether the disk is to blame, and not what is on it."""
    if isinstance(error, OSError):
        return error.errno in _NUMBERS
    told = str(error).lower()
    return any(words in told for words in _WORDS)


@contextmanager
def unwritable(where: Path, comfort: str) -> Iterator[None]:
    """Turn such errors into StoreUnwritable, saying where, and what is none the worse for it."""
    try:
        yield
    except StoreUnwritable:
        raise
    except Exception as error:
        if not is_unwritable(error):
            raise
        raise StoreUnwritable(f"{where} cannot be written ({error}): {comfort}") from error
