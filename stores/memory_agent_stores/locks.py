"""Locks between processes: held by the operating system, so a dead holder frees them; a note says who holds."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from memory_agent.errors import StoreBusy
from memory_agent_stores.unwritable import unwritable


@contextmanager
def job_lock(folder: Path, space: str, name: str, wait: float) -> Iterator[None]:
    """Hold the lock of job `name` in `space` for the block.

    Raises StoreBusy, naming the holder's process, machine and since when, when it is not free within `wait` seconds.
    """
    with unwritable(folder, "nothing was begun"):
        folder.mkdir(parents=True, exist_ok=True)
    stem = f"{hashlib.sha256(space.encode()).hexdigest()[:16]}-{quote(name, safe='')}"
    note = folder / f"{stem}.holder"
    lock = FileLock(folder / f"{stem}.lock")
    try:
        with unwritable(folder, "nothing was begun"):
            lock.acquire(timeout=max(wait, 0), poll_interval=0.01)
    except Timeout as error:
        raise StoreBusy(f"{name} is already running{_holder(note)}; wait for it to end, or end that process") from error
    try:
        held = {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat("T", "seconds")}
        with suppress(OSError):  # on a full disk nobody is told who holds it
            note.write_text(json.dumps(held), "utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    """Who wrote the note, in words; empty when it cannot be read (its holder is just starting or ending)."""
    try:
        held = json.loads(note.read_text("utf-8"))
        return f" (process {held['pid']} on {held['host']}, since {held['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
