"""The daemon over simulated weeks: each due job once, none lost over kills, downtime and clocks that are set."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_agent import episodic
from memory_agent.config import Settings
from memory_agent.errors import ModelNotFound
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Query
from memory_agent.records import Claim, Episode, Run
from memory_agent.scheduling import Means, Outcome, Stopper, run_if_due
from memory_agent.scheduling.daemon import Daemon, Plan
from memory_agent.scheduling.jobs import JobStopped
from memory_agent.scheduling.triggers import trigger_of
from memory_agent.space import Space, open_backend, space_key
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
MEANS = Means(extractor=MarkedExtractor())


class Killed(BaseException):
    """As if the process had been killed here."""


class World:
    """A store with some users, a clock, and what happens to them at given times."""

    def __init__(self, url: str, users: int = 2) -> None:
        self.clock = FrozenClock(START)
        self.backend: Backend = open_backend(url)
        self.runs: list[tuple[str, str, datetime]] = []
        self.told: list[Outcome] = []
        self.said = itertools.count()
        self.spaces = [self._space(f"user{n}") for n in range(users)]
        self.events: list[tuple[datetime, Callable[[], None]]] = []

    def _space(self, user: str) -> Space:
        key = space_key("default", user)
        ledger, index = self.backend.ledger.space(key), self.backend.index.space(key)
        embedder = Embedder(HashEmbedder(16), "hash")
        folder = self.backend.folder / user
        return Space(key, "default", user, None, ledger, index, embedder, folder, Settings(), self.clock)

    def say(self, space: Space) -> None:
        turn = {"role": "user", "speaker": "Ann", "content": f"{{Ann | likes | tea {next(self.said)}}}"}
        episodic.take_in(space, [turn], "s")

    def run(self, space: Space, plan: Plan) -> Outcome:
        outcome = run_if_due(space, plan.job, plan.conditions, means=MEANS)
        if outcome.ending == "done":
            self.runs.append((space.user, plan.job, self.clock.now()))
        return outcome

    def daemon(
        self, plan: Plan, run: Callable[[Space, Plan], Outcome] | None = None, until: datetime = START
    ) -> Daemon:
        def wait(seconds: float) -> bool:
            """Time passes, and what is to happen meanwhile happens."""
            self.clock.tick(seconds)
            while self.events and self.events[0][0] <= self.clock.now():
                self.events.pop(0)[1]()
            return self.clock.now() >= until

        return Daemon(
            lambda: self.spaces, [plan], run or self.run, clock=self.clock, wait=wait,
            told=lambda space, outcome: self.told.append(outcome), tick=6 * 3600,
        )  # fmt: skip

    def pending(self) -> int:
        return sum(space.ledger.count(Episode, Query(where={"run": None})) for space in self.spaces)

    def close(self) -> None:
        self.backend.index.close()
        self.backend.ledger.close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World("memory://")
    yield world
    world.close()


NIGHTLY = Plan("consolidate", trigger_of("30 3 * * *"))


def test_three_weeks_each_due_job_once(world: World) -> None:
    """Somebody talks at noon of every day but the fourth of each week."""
    days = [day for day in range(21) if day % 7 != 4]
    for day in days:
        at = START + timedelta(days=day, hours=12)
        world.events.append((at, lambda: [world.say(space) for space in world.spaces]))  # type: ignore[arg-type]
    world.daemon(NIGHTLY, until=START + timedelta(days=22)).run()
    nights = [START + timedelta(days=day + 1, hours=3, minutes=30) for day in days]
    for space in world.spaces:
        assert [at for user, _, at in world.runs if user == space.user] == nights
    assert world.pending() == 0


def test_nothing_is_lost_over_kills_downtime_and_set_clocks(world: World) -> None:
    until = START + timedelta(days=30)
    for day in range(20):
        at = START + timedelta(days=day, hours=12)
        world.events.append((at, lambda: world.say(world.spaces[0])))
    deaths = iter([3, 9, 14])

    def killed_in_the_middle(space: Space, plan: Plan) -> Outcome:
        """The third, ninth and fourteenth run is killed before anything is written."""
        if len(world.runs) + 1 == at_death[0] and space.ledger.count(Episode, Query(where={"run": None})):
            at_death[0] = next(deaths, 0)
            raise Killed
        return world.run(space, plan)

    at_death = [next(deaths)]
    downtime = iter([0, 50, 200])  # hours until it is started again
    jumps = iter([timedelta(hours=-5), timedelta(hours=30), timedelta(hours=-1)])
    while world.clock.now() < until:
        try:
            world.daemon(NIGHTLY, killed_in_the_middle, until=until).run()
        except Killed:
            world.clock.tick(next(downtime) * 3600)
            world.clock.set(world.clock.now() + next(jumps))
            for at, event in [e for e in world.events if e[0] <= world.clock.now()]:
                world.events.remove((at, event))
                event()
    assert world.pending() == 0
    [space] = world.spaces[:1]
    claims = space.ledger.select(Claim)
    assert len(claims) == len({claim.episode_id for claim in claims}) == space.ledger.count(Episode) == 20
    done = space.ledger.count(Run, Query(where={"job": "consolidate", "state": "done"}))
    assert done == len(world.runs), "a job ran behind the daemon's back"
    assert 8 <= done <= 20


def test_a_first_time_to_look_that_was_missed_is_made_up_for(world: World) -> None:
    world.say(world.spaces[0])
    world.clock.tick(30 * 3600)  # nobody ran a daemon at half past three
    world.daemon(NIGHTLY).step()
    assert [user for user, _, _ in world.runs] == ["user0"]


def test_two_daemons_never_run_the_same_job(world: World) -> None:
    world.say(world.spaces[0])
    world.clock.tick(30 * 3600)
    inside, outcomes = threading.Barrier(2, timeout=20), []

    def slow(space: Space, plan: Plan) -> Outcome:
        def wait_for_the_other(why: str) -> None:
            inside.wait()
            time.sleep(0.2)

        if threading.current_thread() is not first:
            inside.wait()
        begun = wait_for_the_other if threading.current_thread() is first else None
        outcome = run_if_due(space, plan.job, plan.conditions, means=MEANS, begun=begun)
        outcomes.append(outcome.ending)
        return outcome

    world.spaces = world.spaces[:1]
    daemons = [world.daemon(NIGHTLY, slow) for _ in range(2)]
    first, second = (threading.Thread(target=daemon.step) for daemon in daemons)
    first.start()
    second.start()
    first.join()
    second.join()
    assert sorted(outcomes) == ["done", "locked"]
    world.clock.tick(60)
    late = world.daemon(NIGHTLY)
    late.step()
    assert world.spaces[0].ledger.count(Run) == 1, "the second daemon ran what the first had done"


def test_two_daemons_over_three_weeks_run_each_job_once(tmp_path: Path) -> None:
    """Two daemons on one store, each with handles of its own, look at the same moments for three weeks."""
    worlds = [World(str(tmp_path / "store"), users=1) for _ in range(2)]
    daemons = [world.daemon(NIGHTLY) for world in worlds]
    with ThreadPoolExecutor(2) as pool:
        for hour in range(0, 21 * 24, 6):
            list(pool.map(Daemon.step, daemons))
            if hour % 24 == 12:
                worlds[0].say(worlds[0].spaces[0])
            for world in worlds:
                world.clock.tick(6 * 3600)
    assert [outcome for world in worlds for outcome in world.told if outcome.ending == "failed"] == []
    done = sorted(at for world in worlds for _, _, at in world.runs)
    assert done == [START + timedelta(days=day, hours=6) for day in range(1, 21)], (
        "a night was done twice, or not at all"
    )
    assert worlds[1].spaces[0].ledger.count(Run) == 20
    for world in worlds:
        world.close()


def test_a_failing_job_is_tried_again_and_does_not_hold_up_others(world: World) -> None:
    tries: list[datetime] = []

    def failing(space: Space, plan: Plan) -> Outcome:
        if space.user == "user1":
            return world.run(space, plan)
        tries.append(world.clock.now())
        raise ModelNotFound("no weights")

    for space in world.spaces:
        world.say(space)
    world.clock.tick(24 * 3600)
    daemon = world.daemon(NIGHTLY, failing, until=START + timedelta(days=1, hours=3))
    daemon.run()
    assert [user for user, _, _ in world.runs] == ["user1"]
    gaps = [round((b - a).total_seconds()) for a, b in itertools.pairwise(tries)]
    assert gaps[:4] == [60, 300, 900, 3600]
    assert {outcome.error for outcome in world.told if outcome.ending == "failed"} == {"ModelNotFound"}


def test_a_clock_that_was_far_ahead_does_not_silence_the_daemon(world: World) -> None:
    world.say(world.spaces[0])
    world.clock.set(START + timedelta(days=4000))
    daemon = world.daemon(NIGHTLY)
    daemon.step()
    world.clock.set(START + timedelta(days=1))
    daemon.step()
    world.say(world.spaces[0])
    world.clock.set(START + timedelta(days=2, hours=4))
    daemon.step()
    assert len(world.runs) == 2
    world.clock.set(START + timedelta(days=2, hours=5))
    world.say(world.spaces[0])
    world.clock.set(START + timedelta(days=3, hours=4))
    world.daemon(NIGHTLY).step()
    assert len(world.runs) == 2, "started anew, it counts from the run that lies in the future, set to now"
    fresh = world.daemon(NIGHTLY)
    fresh.step()
    world.clock.set(START + timedelta(days=4, hours=4))
    fresh.step()
    assert len(world.runs) == 3


def test_a_stop_breaks_off_a_consolidation_between_batches(world: World) -> None:
    stopper = Stopper(grace=0.2)
    progress = stopper.progress("consolidate")
    progress(0.5, "reading")
    stopper.stop()
    with pytest.raises(JobStopped):
        progress(0.6, "reading")
    distilling = stopper.progress("distill")
    distilling(0.1, "training")
    time.sleep(0.25)
    with pytest.raises(JobStopped):
        distilling(0.2, "training")
    world.say(world.spaces[0])
    outcome = run_if_due(world.spaces[0], "consolidate", means=MEANS, progress=progress)
    assert outcome.ending == "stopped"
    assert world.pending() == 1


def test_the_command_starts_says_so_and_leaves_on_sigterm(tmp_path: Path) -> None:
    arguments = ["daemon", "--store", str(tmp_path / "m"), "--consolidate", "1s", "--distill", ""]
    command = [sys.executable, "-c", "from memory_agent.cli.main import main; main()", *arguments]
    environment = {**os.environ, "MEMORY_AGENT_LOG": "json"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    started = json.loads(process.stderr.readline())
    assert (started["event"], started["level"], started["plans"]) == ("started", "info", ["consolidate 1s"])
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, json.loads(said)["event"]) == (0, "stopped")
