"""A crash at every boundary of writing, one after the other: an operation is killed before its n-th write, for all n.

    python tests/crash/boundaries.py forget promote      # all operations without a name; needs a C compiler
    python tests/crash/boundaries.py --torn              # half of the n-th write reaches the file
    python tests/crash/boundaries.py add --seconds 280   # ends in time and says how to go on (--first N)

What counts as a boundary is enumerated mechanically: `boundaries.c` stands between the process and libc, and counts
each call that changes a file under the operation's folder (write, pwrite, fsync, ftruncate, rename, unlink, mkdir,
rmdir, open for creation, sendfile), whoever makes it: Python, SQLite within a commit, Chroma in threads of its own. The
process is killed with SIGKILL before that call; with --torn only calls that carry bytes count, and half of them get
through. After each, another process opens what is left, asserts what has to
hold, and the doctor is asked. The short tests need no compiler: there boundaries are those that Python sees (`Seen`).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gzip
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import life
import sealed
from harness import Ack, acknowledged
from kills import ended, forked, hook, warm
from life import Life, check, notes_of, opened

from memory_agent.backup import backup, restore, verify
from memory_agent.consolidation.forgetting import verify_forgotten
from memory_agent.errors import InvalidInput
from memory_agent.moving import move
from memory_agent.records import Adapter, Episode
from memory_agent.testing.extractor import MarkedExtractor

OLD = sorted((Path(__file__).parents[1] / "data" / "ledgers").glob("*.sqlite.gz"))[0]


class Counter(Protocol):
    """Counts boundaries, and kills the process at one of them."""

    def arm(self, folder: Path, fatal: int, torn: bool) -> None:
        """From now on; 0 kills at none."""

    def seen(self) -> int:
        """How many there were since."""


class Calls:
    """Every call of libc that changes a file, by the library that was preloaded."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)

    def arm(self, folder: Path, fatal: int, torn: bool) -> None:
        self._library.boundary_arm(str(folder).encode(), ctypes.c_long(fatal), int(torn))

    def seen(self) -> int:
        return int(self._library.boundary_seen())


class Seen:
    """What Python sees of writing: files opened for it, renamed, removed, synced; SQLite's statements that write."""

    WRITING = ("BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "VACUUM", "PRAGMA WAL_CHECKPOINT")
    EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree", "shutil.copyfile")

    def __init__(self) -> None:
        self._count, self._fatal, self._folder = 0, -1, "\0"

    def arm(self, folder: Path, fatal: int, torn: bool) -> None:
        """`torn` has no meaning here. Can be armed once a process."""
        self._folder, self._fatal = str(folder), fatal
        sys.addaudithook(self._event)
        synced = os.fsync

        def fsync(handle: int) -> None:
            self._boundary()
            synced(handle)

        os.fsync = fsync
        connected = sqlite3.connect

        def connect(*args: Any, **more: Any) -> sqlite3.Connection:
            db: sqlite3.Connection = connected(*args, **more)
            db.set_trace_callback(self._statement)
            return db

        sqlite3.connect = connect  # type: ignore[assignment]

    def seen(self) -> int:
        return self._count

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        written = event == "open" and str(args[0]).startswith(self._folder) and args[2] & 3
        if written or event in self.EVENTS:
            self._boundary()

    def _statement(self, text: str) -> None:
        if text.upper().startswith(self.WRITING):
            self._boundary()

    def _boundary(self) -> None:
        self._count += 1
        if self._count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Operation:
    """One operation: `act(folder, ack)` is killed on a copy of the template, then `whole(folder, lines)` holds."""

    act: Callable[[Path, Ack], None]
    whole: Callable[[Path, list[str]], None]
    ready: Callable[[Path], None] | None = None
    """What is done to the template beforehand, once."""


def store(root: Path) -> Path:
    return root / "store"


def template(root: Path) -> None:
    """What every operation begins with: turns, facts, an adapter that answers, one thing forgotten, turns unread."""
    ack = Ack(notes_of(store(root)))
    memory = opened(store(root))
    living = Life(memory, ack, [])
    for _ in range(3):
        living.add()
    living.read()
    if (root / "student").exists():
        living.distil(hook(root / "adapter"), 64)
    memory.forget("t4", reason="asked for")
    ack("forgetting t4")
    ack("forgot t4")
    living.add()
    memory.close()
    backup(str(store(root)), root / "made.backup", vectors=True)


def _on_store(work: Callable[[Life, Path], None]) -> Callable[[Path, Ack], None]:
    def act(root: Path, ack: Ack) -> None:
        memory = opened(store(root))
        work(Life(memory, ack, acknowledged(notes_of(store(root)))), root)
        memory.close()

    return act


def _forget(living: Life, root: Path) -> None:
    living.ack("forgetting t2")
    living.memory.forget("t2", reason="asked for")
    living.ack("forgot t2")


def _supersede(living: Life, root: Path) -> None:
    said = life.turn(900) | {"content": "{Alice | lives_in | Oslo}", "at": "2023-12-24T12:00:00+00:00"}
    living.ack("adding t900")
    living.memory.add([said], session="late")
    living.ack("added t900")
    living.memory.consolidate(extractor=MarkedExtractor())
    living.ack("read t900")


def _promote(living: Life, root: Path) -> None:
    living.read()
    living.distil(hook(root / "adapter"), 64)


def standing(root: Path, lines: list[str]) -> None:
    """The store opens whole, with what was acknowledged; what is gone is gone from every byte of it."""
    memory = opened(store(root))
    try:
        check(memory, lines)
        held = {episode.id for episode in memory.space.ledger.select(Episode)}
        doomed = {line.split()[1] for line in lines if line.startswith("forgetting")} - held
        assert verify_forgotten(store(root), [f"Person{id[1:]} " for id in sorted(doomed)]) == {}
        if any(line.startswith("read") and "t900" in line for line in lines):
            assert [f.object for f in memory.facts("Alice", predicate="lives_in")] == ["Oslo"]
            assert {a.state for a in memory.space.ledger.select(Adapter)} <= {"off"}
    finally:
        memory.close()


def _backed_up(root: Path, lines: list[str]) -> None:
    made = root / "again.backup"
    assert made.exists() or "backed up" not in lines
    if made.exists():
        verify(made)
    else:
        backup(str(store(root)), made)
    standing(root, lines)


def _restore(root: Path, ack: Ack) -> None:
    restore(root / "made.backup", str(root / "target"))
    ack("restored")


def _restored(root: Path, lines: list[str]) -> None:
    target = root / "target"
    assert target.exists() or "restored" not in lines
    if not target.exists():
        restore(root / "made.backup", str(target))
    _same(root, target)


def _moved(root: Path, lines: list[str]) -> None:
    with contextlib.suppress(InvalidInput):  # a move is repeated and goes on
        move(str(store(root)), str(root / "target"))
    _same(root, root / "target")


def _move(root: Path, ack: Ack) -> None:
    move(str(store(root)), str(root / "target"))
    ack("moved")


def _same(root: Path, target: Path) -> None:
    """`target` holds what the store does, and is whole."""
    lines = acknowledged(notes_of(store(root)))
    here, there = opened(store(root)), opened(target)
    try:
        for kind in (Episode, Adapter):
            assert here.space.ledger.select(kind) == there.space.ledger.select(kind)
        check(there, [line for line in lines if line not in ("restored", "moved")])
    finally:
        here.close()
        there.close()


def _migrate(root: Path, ack: Ack) -> None:
    (root / "old").mkdir()
    (root / "old" / "ledger.sqlite").write_bytes(gzip.decompress(OLD.read_bytes()))
    ack("laid down")
    opened(root / "old").close()


def _migrated(root: Path, lines: list[str]) -> None:
    if "laid down" not in lines:  # it was killed before there was anything to migrate
        return
    from memory_agent.doctor import examine
    from memory_agent.testing import FrozenClock, HashEmbedder

    memory = life.Memory.open(root / "old", user="alice", embedder=HashEmbedder(64), clock=FrozenClock())
    assert {turn.id for turn in memory.space.ledger.select(Episode)} == {"t1", "t2", "t3"}
    memory.consolidate(extractor=MarkedExtractor())
    examine(memory.backend, [memory.space], repair=True)
    assert examine(memory.backend, [memory.space]).problems == ()
    memory.close()


def _back_up(root: Path, ack: Ack) -> None:
    backup(str(store(root)), root / "again.backup")
    ack("backed up")


OPERATIONS = {
    "add": Operation(_on_store(lambda living, root: living.add()), standing),
    "consolidate": Operation(_on_store(lambda living, root: living.read()), standing),
    "forget": Operation(_on_store(_forget), standing),
    "supersede": Operation(_on_store(_supersede), standing),
    "promote": Operation(_on_store(_promote), standing),
    "backup": Operation(_back_up, _backed_up),
    "restore": Operation(_restore, _restored),
    "migrate": Operation(_migrate, _migrated),
    "move": Operation(_move, _moved),
    "rekey": Operation(sealed.rekey, sealed.rekeyed, sealed.two_adapters),
    "sealed-promote": Operation(sealed.promote, sealed.promoted, sealed.with_key),
    "sealed-backup": Operation(sealed.back_up, sealed.backed_up, sealed.with_key),
}
TRAINED = ("promote", "sealed-promote")
"""Operations that need a student."""


@dataclass(frozen=True)
class Outcome:
    """What came of one operation."""

    boundaries: int
    """How many it has, when nothing kills it."""
    crashes: int
    """At how many it was killed, and found whole afterwards."""
    stopped: int = 0
    """The first that was not tried for want of time; 0 for none."""


def try_all(
    operation: Operation,
    made: Path,
    work: Path,
    counter: Counter,
    *,
    sample: int = 0,
    first: int = 1,
    until: float = float("inf"),
    torn: bool = False,
) -> Outcome:
    """Kill the operation at each boundary of a copy of `made`, or at `sample` of them, and look at what is left.

    Those before `first` are left out, and those for which the monotonic clock is beyond `until`.

    Raises AssertionError with the boundary at which something did not hold.
    """
    if operation.ready is not None:
        made = _made_ready(operation.ready, made, work.with_name("ready"))
    boundaries = _run(operation, made, work, counter, 0, torn)
    step = max(boundaries // sample, 1) if sample else 1
    crashes = 0
    for n in range(1 + step // 2, boundaries + 1, step):
        if n >= first:
            if time.monotonic() > until:
                return Outcome(boundaries, crashes, n)
            crashes += _run(operation, made, work, counter, n, torn) < 0
    return Outcome(boundaries, crashes)


def _made_ready(ready: Callable[[Path], None], made: Path, to: Path) -> Path:
    """A copy of the template with that done to it."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(made, to)
    sealed.cheap_keys()
    pid, pipe = forked(lambda pipe: ready(to))
    os.close(pipe)
    assert ended(pid) == 0, "the store was not made ready; see stderr"
    return to


def _run(operation: Operation, made: Path, root: Path, counter: Counter, fatal: int, torn: bool) -> int:
    """One crash at boundary `fatal`; -1, or how many boundaries there were when it came to its end."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(made, root)

    def act(pipe: int) -> None:
        ack = Ack(notes_of(store(root)))
        counter.arm(root, fatal, torn)
        operation.act(root, ack)
        os.write(pipe, str(counter.seen()).encode())

    pid, pipe = forked(act)
    code = ended(pid)
    said = os.read(pipe, 20)
    os.close(pipe)
    assert code in (0, -signal.SIGKILL), f"the operation failed by itself when killed at {fatal} ({code})"
    lines = acknowledged(notes_of(store(root)))
    pid, pipe = forked(lambda pipe: operation.whole(root, lines))
    os.close(pipe)
    assert ended(pid) == 0, f"not whole after a crash at boundary {fatal}; see stderr, and {root}"
    return int(said) if code == 0 else -1


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[*OPERATIONS, []])
    parser.add_argument("--torn", action="store_true")
    parser.add_argument("--sample", type=int, default=0, help="try so many of each operation's, not all")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="begin each operation at its N-th")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="try no more after so many")
    parser.add_argument("--seen", action="store_true", help="count what Python sees; without a student")
    given = parser.parse_args()
    if not given.seen and "boundaries.so" not in os.environ.get("LD_PRELOAD", ""):
        _again_with_library()
    counter: Counter = Seen() if given.seen else Calls()
    root = Path(tempfile.mkdtemp(prefix="boundaries-"))
    made = root / "made"
    made.mkdir()
    if not given.seen:
        warm(made)
    pid, pipe = forked(lambda pipe: template(made))
    os.close(pipe)
    assert ended(pid) == 0
    total, where = 0, "in the middle of a write" if given.torn else "before a write"
    until = time.monotonic() + given.seconds
    for name in given.names or (name for name in OPERATIONS if name not in TRAINED or not given.seen):
        began = time.monotonic()
        came = try_all(
            OPERATIONS[name],
            made,
            root / "work",
            counter,
            sample=given.sample,
            first=given.first,
            until=until,
            torn=given.torn,
        )
        total += came.crashes
        rest = f"; go on with {name} --first {came.stopped}" if came.stopped else ""
        print(
            f"{name}: {came.boundaries} boundaries, {came.crashes} crashes {where}, 0 not whole,"
            f" {time.monotonic() - began:.0f} s{rest}",
            flush=True,
        )
    print(f"{total} crashes")
    shutil.rmtree(root)


def _again_with_library() -> None:
    """Compile the library, and run this program anew with it."""
    folder = Path(tempfile.mkdtemp(prefix="boundaries-lib-"))
    library = folder / "boundaries.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "LD_PRELOAD": str(library)})


if __name__ == "__main__":
    main()
