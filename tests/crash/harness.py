"""Kill a process at random instants while it works on a store, and look at what it leaves.

    def work(folder: Path, ack: Ack) -> None:        # a module-level function of the test's file
        with Memory.open(folder, user="alice") as memory:
            for n in itertools.count():
                memory.add([...id=f"{n}"...])
                ack(f"{n}")                          # only now is it acknowledged

    def verify(folder: Path, acknowledged: list[str]) -> None:   # runs here, after every kill
        ...open the store and assert that nothing acknowledged is missing...

    kill_repeatedly(work, verify, tmp_path / "store", kills=50, longest=0.6, seed=seed)

Each round starts `work` in a fresh process, waits a random time of up to `longest` seconds from the
moment `work` is entered (a quarter of the rounds only up to a tenth of it, so that opening is hit
too), kills the process with SIGKILL, and calls `verify`. `work` may also come to its end before the
kill: then the time is shortened and the round is not counted as a kill. What `work` raises fails
the test. `acknowledged` holds every item of all rounds so far, in order; each was written to a file
opened with O_APPEND and synced before `ack` returned.

Processes are forked by a server that has imported the heavy modules and opened nothing, so a kill
costs a fraction of a second. Name what to import in PRELOAD; the first test of a session starts the server.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOAD = [
    "chromadb",
    "chromadb.api.rust",
    "chromadb.telemetry.product.posthog",
    "pytest",
    "memory_agent.testing",
    "memory_agent.memory",
    "memory_agent.episodic",
    "memory_agent.retrieval.index",
    "memory_agent_stores.open",
]
"""Modules the server imports before the first fork; importing them starts no thread."""


class Ack:
    """Writes down what is acknowledged, so that it outlives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def __call__(self, item: str) -> None:
        os.write(self._file, f"{item}\n".encode())
        os.fsync(self._file)


def forkserver() -> ForkServerContext:
    """Processes from the server that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    return context


Work = Callable[[Path, Ack], None]
Verify = Callable[[Path, list[str]], None]


@dataclass
class Tally:
    """What came of it: kills, rounds that ended before their kill, and when each kill struck (seconds)."""

    kills: int = 0
    finished: int = 0
    delays: list[float] = field(default_factory=list)


def kill_repeatedly(
    work: Work,
    verify: Verify,
    folder: Path,
    *,
    kills: int,
    longest: float,
    seed: int | None = None,
    renew: Callable[[Path], None] | None = None,
    after: int | None = None,
) -> Tally:
    """Do as the module says. `renew(folder)` is called after a round that finished, to make new work.

    With `after`, a round's time begins when up to so many more items were acknowledged, and is as long as one of them
    took, a fifth of the rounds five times as long: so kills strike the work on a machine of any speed, and `longest`
    bounds only the rounds that are killed while they open.

    The seed is printed, for running it again. Gives up after four times as many rounds as `kills`.
    """
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"crash seed {seed}")
    chance = random.Random(seed)
    tally = Tally()
    notes = folder.parent / f"{folder.name}.acknowledged"
    for _ in range(4 * kills):
        if tally.kills == kills:
            break
        delay = chance.uniform(0, longest * (0.1 if chance.random() < 0.25 else 1.0))
        items = 0 if after is None else chance.randrange(after + 1)
        took = _round(work, folder, notes, _Moment(delay, items, chance.uniform(0, 5 if chance.random() < 0.2 else 1)))
        if took is None:
            tally.kills += 1
            tally.delays.append(delay)
        else:
            tally.finished += 1
            longest = min(longest, took)
            if renew is not None:
                renew(folder)
        verify(folder, acknowledged(notes))
    assert tally.kills == kills, f"only {tally.kills} of {kills} kills struck before the work was done (seed {seed})"
    return tally


def acknowledged(notes: Path) -> list[str]:
    """The items written down so far."""
    return notes.read_text("utf-8").split("\n")[:-1] if notes.exists() else []


@dataclass(frozen=True)
class _Moment:
    """When to kill: `delay` seconds after the start, or, after so many `items`, `share` of what one of them took."""

    delay: float
    items: int = 0
    share: float = 0.0

    def wait(self, process: BaseProcess, notes: Path) -> None:
        """Return at that moment, or when the process has ended."""
        if not self.items:
            process.join(self.delay)
            return
        wanted, began = len(acknowledged(notes)) + self.items, time.monotonic()
        while process.exitcode is None and len(acknowledged(notes)) < wanted:
            assert time.monotonic() - began < 300, "nothing was acknowledged for five minutes"
            process.join(0.01)
        process.join((time.monotonic() - began) / self.items * self.share)


def _round(work: Work, folder: Path, notes: Path, moment: _Moment) -> float | None:
    """Run `work` and kill it at that moment; None, or the seconds it took when it was done before."""
    forks = forkserver()
    ours, theirs = forks.Pipe(duplex=False)
    process = forks.Process(target=_child, args=(work, folder, notes, theirs))
    process.start()
    theirs.close()
    assert ours.poll(60), "the process did not start"
    ours.recv()
    began = time.monotonic()
    moment.wait(process, notes)
    if process.exitcode is None and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    took = time.monotonic() - began
    ours.close()
    code = process.exitcode
    process.close()
    assert code in (0, -signal.SIGKILL), f"the work failed by itself (exit code {code}); its error is on stderr"
    return None if code == -signal.SIGKILL else took


def _child(work: Work, folder: Path, notes: Path, started: Connection) -> None:
    ack = Ack(notes)
    started.send("started")
    work(folder, ack)
