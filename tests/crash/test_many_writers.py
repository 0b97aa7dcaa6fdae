"""Many processes of many threads on one store: no update is lost, nobody waits for ever, the doctor finds nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import harness
import life
import pytest
from harness import forkserver

from memory_agent.doctor import examine
from memory_agent.errors import StoreBusy
from memory_agent.records import Episode
from memory_agent.testing.extractor import MarkedExtractor

harness.PRELOAD += ["test_many_writers", *life.PRELOAD]


def work(folder: Path, name: int, threads: int, seconds: float, told: Any) -> None:
    """Threads that add, append to one shared block, search, and now and then consolidate, until the time is over."""
    memory = life.opened(folder)
    until, done, busy, wrong = time.monotonic() + seconds, list[str](), [0], list[str]()

    def run(thread: int) -> None:
        for n in range(10**6):
            if n and time.monotonic() > until:
                return
            id = f"p{name}t{thread}n{n}"
            try:
                memory.add([{**life.turn(hash(id) % 10**6), "id": id}], session=f"{name}-{thread}")
                memory.blocks.append("log", id)
                done.append(id)
                if n % 8 == 7:
                    memory.consolidate(extractor=MarkedExtractor())
                memory.search("tea", limit=2)
            except StoreBusy:
                busy[0] += 1
            except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
                wrong.append(f"{type(error).__name__}: {error}")
                return

    running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    memory.close()
    told.put((done, busy[0], wrong))


@pytest.mark.parametrize(
    ("processes", "threads", "seconds"), [(2, 4, 1.0), pytest.param(8, 64, 300.0, marks=pytest.mark.soak)]
)
def test_no_update_is_lost(tmp_path: Path, processes: int, threads: int, seconds: float) -> None:
    with life.opened(tmp_path / "store") as memory:
        memory.blocks.put("log", limit=10**9, shared=True)
    context = forkserver()
    told = context.Queue()
    running = [
        context.Process(target=work, args=(tmp_path / "store", name, threads, seconds, told))
        for name in range(processes)
    ]
    for process in running:
        process.start()
    results = [told.get(timeout=seconds + 240) for _ in running]
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * processes
    done = [id for ids, _, _ in results for id in ids]
    assert [wrong for _, _, wrongs in results for wrong in wrongs] == []
    print(
        f"{processes} processes of {threads} threads: {len(done)} adds and edits acknowledged,"
        f" {sum(busy for _, busy, _ in results)} told to try again, {len(done) / seconds:.1f} a second"
    )
    with life.opened(tmp_path / "store") as memory:
        assert set(done) <= {turn.id for turn in memory.space.ledger.select(Episode)}
        lines = memory.blocks.get("log").value.split("\n")
        assert set(done) <= set(lines), "an edit of the shared block was lost"
        assert examine(memory.backend, [memory.space]).problems == ()
