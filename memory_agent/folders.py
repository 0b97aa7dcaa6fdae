"""Folders that appear whole or not at all, and what is on disk for good."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` when the block ends.

    Its files are on disk before it does. After an error, or a kill, `folder` is as it was; what a killed process left
    half-written beside it is removed by the next one, so one process at a time may write a folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{glob.escape(folder.name)}-*"):
        shutil.rmtree(left, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                sync(path)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def whole_file(path: Path, text: str) -> None:
    """Put `text` into a file, which holds the old text or the new one after a kill or a loss of power."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        sync(path.parent)
    finally:
        Path(partial).unlink(missing_ok=True)


def bytes_in(folder: Path) -> int:
    """Bytes of all files below the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sync(path: Path) -> None:
    """Wait until the file, or the list of the folder's files, is on disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and needs no sync of them
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
