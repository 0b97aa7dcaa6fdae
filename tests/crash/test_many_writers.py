"""Many processes of many threads on one store: no update is lost, nobody waits for ever, the doctor finds nothing."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
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
SOAK = float(os.environ.get("SOAK_SECONDS", "300"))
"""How long the soak writes; a shorter one shows much the same."""


def said(name: int, thread: int, n: int) -> dict[str, str]:
    """What a thread says n-th, of somebody of its own: what is derived anew is all that is known of a person."""
    who, at = (
        f"Teller{name}x{thread} Field",
        f"2023-01-{1 + n // 1440 % 28:02d}T{n // 60 % 24:02d}:{n % 60:02d}:00+00:00",
    )
    content = f"{{{who} | likes | tea {n}}} {{{who} | lives_in | {life.TOWNS[n % len(life.TOWNS)]}}}"
    return {"role": "user", "speaker": "Alice", "content": content, "id": f"p{name}t{thread}n{n}", "at": at}


class _Dropped(logging.Handler):
    """What went wrong in a process, and what its vector index warns of: a collection dropped, to be embedded anew."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines = list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def work(folder: Path, name: int, threads: int, seconds: float, told: Any) -> None:
    """Threads that add, append to one shared block, search, and now and then consolidate, until the time is over."""
    memory = life.opened(folder)
    wrong = _Dropped()
    logging.getLogger("memory_agent_stores.chroma").addHandler(wrong)
    until, done, counts = time.monotonic() + seconds, list[str](), Counter[str]()

    def run(thread: int) -> None:
        for n in range(10**6):
            if n and time.monotonic() > until:
                return
            turn = said(name, thread, n)
            id = turn["id"]
            try:
                memory.add([turn], session=f"{name}-{thread}")
                memory.blocks.append("log", id)
                done.append(id)
                if (thread + n) % (threads // 2) == 0:
                    memory.consolidate(extractor=MarkedExtractor())
                    counts["read"] += 1
                memory.search("tea", limit=2)
            except StoreBusy:
                counts["busy"] += 1
            except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
                wrong.lines.append(f"{type(error).__name__}: {error}")
                return

    running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    memory.close()
    told.put((done, counts, wrong.lines))


@pytest.mark.parametrize(
    ("processes", "threads", "seconds"), [(2, 4, 1.0), pytest.param(8, 64, SOAK, marks=pytest.mark.soak)]
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
    began = time.monotonic()
    for process in running:
        process.start()
    results = [told.get(timeout=seconds + 240) for _ in running]
    took = time.monotonic() - began
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * processes
    done = [id for ids, _, _ in results for id in ids]
    assert [wrong for _, _, wrongs in results for wrong in wrongs] == []
    counts = sum((each for _, each, _ in results), Counter[str]())
    print(
        f"{processes} processes of {threads} threads: {len(done)} adds and edits acknowledged, {len(done) / took:.1f} a"
        f" second, {counts['read']} readings, {counts['busy']} told to try again; all had ended after {took:.0f} s"
    )
    with life.opened(tmp_path / "store") as memory:
        assert set(done) <= {turn.id for turn in memory.space.ledger.select(Episode)}
        lines = memory.blocks.get("log").value.split("\n")
        assert set(done) <= set(lines), "an edit of the shared block was lost"
        assert examine(memory.backend, [memory.space]).problems == ()
