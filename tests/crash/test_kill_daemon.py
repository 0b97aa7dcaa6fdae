"""kill -9 of the daemon at random instants: what was said is read once, by this daemon or the one after it."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import harness
import pytest
from harness import Ack, kill_repeatedly
from test_kill_consolidate import KEY, opened

from memory_agent import episodic
from memory_agent.consolidation import job
from memory_agent.protocols import Query
from memory_agent.records import Claim, Episode
from memory_agent.scheduling import Means, Outcome, run_if_due
from memory_agent.scheduling.daemon import Daemon, Plan
from memory_agent.scheduling.triggers import trigger_of
from memory_agent.space import Space
from memory_agent.testing import FrozenClock
from memory_agent.testing.extractor import MarkedExtractor

harness.PRELOAD += ["apscheduler.triggers.cron"]


def serve(folder: Path, ack: Ack) -> None:
    """A daemon that looks every simulated second, while somebody talks twice a second."""
    _, space = opened(folder)
    numbers = itertools.count(space.ledger.count(Episode))
    clock = space.clock
    assert isinstance(clock, FrozenClock)
    clock.tick(next(numbers) * 2 + 1)

    def run(space: Space, plan: Plan) -> Outcome:
        return run_if_due(space, plan.job, means=Means(extractor=MarkedExtractor()))

    def wait(seconds: float) -> bool:
        for _ in range(2):
            n = next(numbers)
            turn = {"role": "user", "speaker": "Alice", "content": f"{{Alice | likes | tea {n}}}", "id": f"n{n}"}
            episodic.take_in(space, [turn], "s")
            ack(f"n{n}")
        clock.tick(seconds)
        time.sleep(0.005)
        return False

    Daemon(lambda: [space], [Plan("consolidate", trigger_of("1s"))], run, clock=clock, wait=wait).run()


def whole(folder: Path, acknowledged: list[str]) -> None:
    backend, space = opened(folder)
    try:
        assert backend.ledger.check() == []
        assert set(acknowledged) <= {episode.id for episode in space.ledger.select(Episode)}
        read = [claim.episode_id for claim in space.ledger.select(Claim)]
        assert len(read) == len(set(read)), "a turn was read twice"
    finally:
        backend.index.close()
        backend.ledger.close()


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_a_killed_daemon_loses_no_turn_and_reads_none_twice(tmp_path: Path, kills: int) -> None:
    job.load()
    tally = kill_repeatedly(serve, whole, tmp_path / "store", kills=kills, longest=0.6)
    assert tally.kills == kills
    backend, space = opened(tmp_path / "store")
    assert space.key == KEY
    assert run_if_due(space, "consolidate", means=Means(extractor=MarkedExtractor())).ending in ("done", "not_due")
    assert space.ledger.count(Episode, Query(where={"run": None})) == 0
    assert space.ledger.count(Claim) == space.ledger.count(Episode)
    backend.index.close()
    backend.ledger.close()
