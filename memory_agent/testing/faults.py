"""Faults of disks, files and clocks, injected into real stores; what happened, as a table.

    python -m memory_agent.testing.faults            # Markdown, as in docs/benchmarks/faults.md

Each fault makes a memory, injects itself, and asserts what has to hold after it: nothing acknowledged is lost, what is
damaged is refused by name or made anew, and the doctor finds nothing in what is left. It returns what happened.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from memory_agent.backup import backup, restore
from memory_agent.doctor import examine
from memory_agent.errors import MemoryAgentError, StoreCorrupt, StoreUnwritable
from memory_agent.memory import Memory
from memory_agent.records import Episode
from memory_agent.testing.clock import FrozenClock
from memory_agent.testing.extractor import MarkedExtractor
from memory_agent.testing.models import HashEmbedder


class NotTried(Exception):
    """This machine does not let the fault be injected."""


def opened(store: Path, at: str = "2024-06-01T12:00:00+00:00") -> Memory:
    """The memory of one user in `store`."""
    return Memory.open(store, user="alice", embedder=HashEmbedder(64), clock=FrozenClock(at))


def tell(memory: Memory, first: int, count: int = 1) -> list[str]:
    """Take in `count` turns, each saying one thing; their ids, which are acknowledged."""
    turns = [
        {
            "role": "user",
            "speaker": "Alice",
            "id": f"t{n}",
            "at": "2024-05-01T10:00:00+00:00",
            "content": f"{{Alice | likes | tea {n}}} " + "and so on " * 20,
        }
        for n in range(first, first + count)
    ]
    return list(memory.add(turns, session="s").added)


def held(memory: Memory) -> set[str]:
    """Ids of the turns that stand."""
    return {turn.id for turn in memory.space.ledger.select(Episode)}


def whole(memory: Memory) -> None:
    """Assert that the doctor finds nothing."""
    problems = examine(memory.backend, [memory.space]).problems
    assert problems == (), problems


def full_disk(folder: Path) -> str:
    """The system refuses to let files grow (RLIMIT_FSIZE), in the middle of adding."""
    if sys.platform == "win32":
        raise NotTried("Windows has no limit on the size of files")
    import resource

    store = folder / "store"
    memory = opened(store)
    acknowledged = tell(memory, 0, 20)
    largest = max(path.stat().st_size for path in store.rglob("*") if path.is_file())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 100_000, before[1]))
    refused: MemoryAgentError | None = None
    try:
        for n in range(100, 400, 10):
            acknowledged += tell(memory, n, 10)
    except StoreUnwritable as error:
        refused = error
    finally:
        found = memory.search("tea").hits
        memory.close()
        opened(store).close()
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused is not None, "the disk was never full"
    assert found, "what was there could not be read"
    with opened(store) as memory:
        assert set(acknowledged) <= held(memory)
        whole(memory)
        tell(memory, 1000)
    return (
        f"`StoreUnwritable` after {len(acknowledged)} acknowledged turns; reading went on; with room again all of them "
        "stand and writing goes on"
    )


@contextmanager
def _read_only(store: Path) -> Iterator[Path]:
    """The store where nothing can be written: by a mount as root, else by its permissions."""
    if sys.platform == "win32":
        raise NotTried("folders cannot be made read-only on Windows")
    if os.geteuid() != 0:
        paths = [store, *store.rglob("*")]
        modes = {path: path.stat().st_mode for path in paths}
        for path in paths:
            path.chmod(modes[path] & ~0o222)
        try:
            yield store
        finally:
            for path in paths:
                if path.exists():
                    path.chmod(modes[path])
        return
    there = store.with_name("read-only")
    there.mkdir()
    for command in (["mount", "--bind", str(store), str(there)], ["mount", "-o", "remount,bind,ro", str(there)]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            raise NotTried("this container may not mount")
    try:
        yield there
    finally:
        subprocess.run(["umount", "-l", str(there)], check=True)


def read_only_disk(folder: Path) -> str:
    """The store lies on a disk that is mounted read-only."""
    store = folder / "store"
    with opened(store) as memory:
        acknowledged = tell(memory, 0, 5)
    with _read_only(store) as there:
        try:
            with opened(there) as memory:
                tell(memory, 100)
            raise AssertionError("a read-only disk was written to")
        except StoreUnwritable:
            pass
    with opened(store) as memory:
        assert held(memory) == set(acknowledged)
        whole(memory)
    return "opening or writing is refused with `StoreUnwritable`; the files are untouched"


def damaged_index(folder: Path) -> str:
    """Chroma's database is overwritten with noise, and its folder emptied."""
    store = folder / "store"
    with opened(store) as memory:
        acknowledged = tell(memory, 0, 20)
    for damage in (_noise, Path.unlink):
        damage(store / "chroma" / "chroma.sqlite3")
        with opened(store) as memory:
            assert memory.space.index.ids("episode") == held(memory) == set(acknowledged)
            assert memory.search("tea 7").hits
            whole(memory)
    return "the folder is thrown away on opening and every vector made anew from the ledger"


def _noise(path: Path, start: int = 0, length: int | None = None) -> None:
    """Overwrite a file, or a part of it, with random bytes."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(start)
        file.write(random.Random(7).randbytes(size - start if length is None else length))


def damaged_page(folder: Path) -> str:
    """Each page of the ledger in turn is overwritten with noise."""
    store, refused, unread, mended = folder / "store", 0, 0, 0
    with opened(store) as memory:
        acknowledged = tell(memory, 0, 20)
        memory.consolidate(extractor=MarkedExtractor())
    backup(str(store), folder / "backup", vectors=False)
    pages = (store / "ledger.sqlite").stat().st_size // 4096
    for page in range(0, pages, max(pages // 12, 1)):
        broken = folder / f"broken{page}"
        shutil.copytree(store, broken)
        _noise(broken / "ledger.sqlite", page * 4096, 4096)
        try:
            with opened(broken) as memory:
                found = examine(memory.backend, [memory.space])
                assert not found.whole or held(memory) == set(acknowledged)
                unread += found.whole
                mended += not found.whole
        except StoreCorrupt as error:
            refused += "memory-agent restore" in str(error)
        shutil.rmtree(broken, ignore_errors=True)
    restore(folder / "backup", str(folder / "again"))
    with opened(folder / "again") as memory:
        assert held(memory) == set(acknowledged)
        whole(memory)
    return (
        f"of {refused + mended + unread} pages {refused} made opening fail with `StoreCorrupt`, naming `restore`; "
        f"{mended} were found by the doctor, {unread} held nothing; the backup brought everything back"
    )


def lost_tail(folder: Path) -> str:
    """Power fails: of the write-ahead log only a part reached the disk, or its end is noise."""
    store, commits = folder / "store", dict[int, set[str]]()
    with opened(store) as memory:
        log = store / "ledger.sqlite-wal"
        for n in range(6):
            tell(memory, n)
            commits[log.stat().st_size] = held(memory)
        sizes = sorted(commits)
        states = [set[str](), *commits.values()]
        copies = 0
        for length in _lengths(sizes):
            for noise in (0, 3000):
                copy = folder / f"copy{copies}"
                copy.mkdir()
                for name in ("ledger.sqlite", "ledger.sqlite-wal"):
                    shutil.copyfile(store / name, copy / name)
                os.truncate(copy / "ledger.sqlite-wal", length)
                if noise:
                    with (copy / "ledger.sqlite-wal").open("ab") as file:
                        file.write(random.Random(length).randbytes(noise))
                synced = max((size for size in sizes if size <= length), default=0)
                with opened(copy) as found:
                    assert held(found) in states
                    assert commits.get(synced, set()) <= held(found), "a commit that was on the disk is lost"
                    whole(found)
                shutil.rmtree(copy, ignore_errors=True)
                copies += 1
    return (
        f"{copies} copies cut at and between {len(sizes)} commits, half ending in noise: each opens at a commit, "
        "never before the last whole one"
    )


def _lengths(sizes: list[int]) -> list[int]:
    """Lengths at, just before and after, and between the ends of commits."""
    chance = random.Random(3)
    between = [
        chance.randrange(low + 1, high) for low, high in zip([33, *sizes], sizes, strict=False) if low + 1 < high
    ]
    return sorted({*between, *(size - 1 for size in sizes), *sizes})


def torn_checkpoint(folder: Path) -> str:
    """Power fails while the log is moved into the database: any of its pages may be old or new, or half of each."""
    store = folder / "store"
    with opened(store) as memory:
        acknowledged = tell(memory, 0, 10)
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            shutil.copyfile(store / name, folder / f"before-{name}")
        with closing(sqlite3.connect(store / "ledger.sqlite")) as db:
            db.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
    old, new = (folder / "before-ledger.sqlite").read_bytes(), (store / "ledger.sqlite").read_bytes()
    assert old != new
    for n in range(8):
        copy, chance = folder / f"copy{n}", random.Random(n)
        copy.mkdir()
        size = chance.choice((len(old), len(new)))
        torn = bytearray(size)
        for start in range(0, size, 512):
            piece = (old if chance.random() < 0.5 else new)[start : start + 512]
            torn[start : start + len(piece)] = piece
        (copy / "ledger.sqlite").write_bytes(torn)
        shutil.copyfile(folder / "before-ledger.sqlite-wal", copy / "ledger.sqlite-wal")
        with opened(copy) as found:
            assert held(found) == set(acknowledged)
            whole(found)
    return "8 mixtures of old and new sectors beside the synced log: all turns there, as the log is replayed over them"


def clock_set_back(folder: Path) -> str:
    """The machine's clock goes back by years between two consolidations."""
    store = folder / "store"
    with opened(store, "2030-01-01T00:00:00+00:00") as memory:
        tell(memory, 0, 3)
        memory.add([_moved("m1", "Lisbon", "2024-01-01")])
        memory.consolidate(extractor=MarkedExtractor())
    with opened(store, "2024-06-01T00:00:00+00:00") as memory:
        tell(memory, 10, 3)
        memory.add([_moved("m2", "Porto", "2024-02-01")])
        memory.consolidate(extractor=MarkedExtractor())
        whole(memory)
        assert [fact.object for fact in memory.facts("Alice", predicate="lives_in")] == ["Porto"]
        believed = memory.facts("Alice", predicate="lives_in", known_at=datetime.fromisoformat("2031-01-01T00:00:00Z"))
        assert [fact.object for fact in believed] == ["Porto"]
    return "versions are retired no earlier than they were recorded; what is believed now and later is the newer word"


def _moved(id: str, town: str, at: str) -> Mapping[str, str]:
    said = f"{{Alice | lives_in | {town}}}"
    return {"role": "user", "speaker": "Alice", "id": id, "content": said, "at": f"{at}T00:00:00+00:00"}


FAULTS: tuple[Callable[[Path], str], ...] = (
    full_disk,
    read_only_disk,
    damaged_index,
    damaged_page,
    lost_tail,
    torn_checkpoint,
    clock_set_back,
)


def main() -> None:
    """Inject every fault, and print the table."""
    print("| fault | injected | what happened |\n|---|---|---|")  # noqa: T201
    for fault in FAULTS:
        with tempfile.TemporaryDirectory(prefix="memory-agent-", ignore_cleanup_errors=True) as folder:
            try:
                happened = fault(Path(folder))
            except NotTried as why:
                happened = f"not tried: {why}"
        told = (fault.__doc__ or "").strip().split("\n")[0].rstrip(".")
        print(f"| {fault.__name__.replace('_', ' ')} | {told} | {happened} |")  # noqa: T201


if __name__ == "__main__":
    main()
