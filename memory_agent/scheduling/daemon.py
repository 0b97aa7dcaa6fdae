"""The daemon: looks at its times whether jobs are due, and runs them, for one user or for all of a store.

It keeps no books of its own. Whether a time to look was missed follows from the store: from when the last run
began, or, before the first, from when the first turn came. So a daemon that was killed, or was down
for a week, looks once when it is back; and one that finds the job's lock taken, or the job failing, looks
again soon. A clock that is set back may make it look once more; what has been done is not due again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from memory_agent.errors import MemoryAgentError
from memory_agent.protocols import Clock, Query
from memory_agent.records import Episode
from memory_agent.scheduling.due import Conditions, last_run
from memory_agent.scheduling.jobs import Job, Outcome
from memory_agent.scheduling.triggers import Trigger, last_slot
from memory_agent.space import Space

TICK = 30.0
"""Most seconds between two looks at the clock, so that a clock that is set is noticed."""
_AGAIN = (60.0, 300.0, 900.0, 3600.0)
"""Seconds after which a job that was locked or failed is looked at again: the first, the second ... time in a row."""


@dataclass(frozen=True)
class Plan:
    """One job, when to look, and what has to hold."""

    job: Job
    trigger: Trigger
    conditions: Conditions = field(default_factory=Conditions)


@dataclass
class _Looked:
    """What was seen of one job of one user."""

    at: datetime
    """The last time to look that is dealt with."""
    again: datetime | None = None
    """When to look again after a failure or a taken lock."""
    failures: int = 0


Runner = Callable[[Space, Plan], Outcome]


class Daemon:
    """Runs plans over spaces until it is stopped."""

    def __init__(
        self,
        spaces: Callable[[], Iterable[Space]],
        plans: Sequence[Plan],
        run: Runner,
        *,
        clock: Clock,
        wait: Callable[[float], bool],
        told: Callable[[Space, Outcome], None] | None = None,
        tick: float = TICK,
    ) -> None:
        """`spaces` gives the users' spaces at each look, `run` carries a job out if it is due.

        `wait` sleeps for some seconds and says whether to stop; `told` hears every outcome.
        """
        self._spaces = spaces
        self._plans = plans
        self._run = run
        self._clock = clock
        self._wait = wait
        self._told = told
        self._tick = tick
        self._looked: dict[tuple[str, Job], _Looked] = {}

    def run(self) -> None:
        """Look, run and sleep until `wait` says to stop."""
        while not self._wait(self.step()):
            pass

    def step(self) -> float:
        """Look once at everything that is to be looked at now; the seconds until the next time, at most a tick."""
        following: list[datetime] = []
        for space in self._spaces():
            for plan in self._plans:
                try:
                    following.append(self._look(space, plan))
                except MemoryAgentError as error:  # one user's trouble is not the others'
                    self._tell(space, Outcome.failed(plan.job, error))
                    following.append(self._defer(space, plan))
        now = self._clock.now()
        left = [(moment - now).total_seconds() for moment in following]
        return max(min([self._tick, *left]), 0.0)

    def _look(self, space: Space, plan: Plan) -> datetime:
        """Run the plan if a time to look has come; when to look next."""
        now = self._clock.now()
        seen = self._looked.get((space.key, plan.job)) or self._first_look(space, plan.job, now)
        if seen is None:
            return now + timedelta(seconds=self._tick)
        seen.at = min(seen.at, now)
        if seen.again is not None and seen.again > now + timedelta(seconds=_AGAIN[-1]):
            seen.again = now  # the clock was set back
        slot = last_slot(plan.trigger, seen.at, now)
        if slot is None:
            return plan.trigger.after(seen.at)
        if seen.again is not None and now < seen.again:
            return seen.again
        outcome = self._run(space, plan)
        self._tell(space, outcome)
        if outcome.ending in ("locked", "failed", "stopped"):
            return self._defer(space, plan)
        seen.at, seen.again, seen.failures = slot, None, 0
        return plan.trigger.after(slot)

    def _tell(self, space: Space, outcome: Outcome) -> None:
        if self._told is not None:
            self._told(space, outcome)

    def _first_look(self, space: Space, job: Job, now: datetime) -> _Looked | None:
        """From when times to look count for a job that this daemon has not seen; None while there is nothing."""
        since = last_run(space, job)
        if since is None:
            first = space.ledger.select(Episode, Query(limit=1))
            since = first[0].recorded_at if first else None
        if since is None:
            return None
        return self._looked.setdefault((space.key, job), _Looked(min(since, now)))

    def _defer(self, space: Space, plan: Plan) -> datetime:
        """Look again later, the later the more often it failed; the time to look stays open."""
        now = self._clock.now()
        seen = self._looked.setdefault((space.key, plan.job), _Looked(now))
        seen.again = now + timedelta(seconds=_AGAIN[min(seen.failures, len(_AGAIN) - 1)])
        seen.failures += 1
        return seen.again
