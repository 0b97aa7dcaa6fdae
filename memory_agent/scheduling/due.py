"""When a job is due: a rule over what the store holds, so that nothing is lost when a scheduler ends.

`judge` is the rule, pure; `consolidation_state` and `distillation_state` read what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memory_agent.distillation import registry
from memory_agent.distillation.selection import Policy, select_from
from memory_agent.errors import InvalidInput
from memory_agent.protocols import Query, Reader
from memory_agent.records import Adapter, Episode, Fact, Run, Tombstone
from memory_agent.semantic import ontology
from memory_agent.space import Space

_NONE = timedelta(0)
COOLING = timedelta(hours=1)
"""How long it takes a turn that waits to be read to count half as much for a conversation's heat."""


@dataclass(frozen=True)
class Conditions:
    """What has to hold before a job is due. All that are set have to, but for `deadline`, which overrides them."""

    every: timedelta | None = None
    """At least so long since the last finished run began."""
    least: int = 1
    """At least so many new things: turns to read, or stable facts to teach."""
    idle: timedelta | None = None
    """Nobody said anything for so long."""
    budget: timedelta | None = None
    """Most time that runs of the job may have taken within `period`."""
    period: timedelta = timedelta(days=1)
    heat: float | None = None
    """So lively a conversation to read that it is due whatever else; see `State.heat`."""
    deadline: timedelta | None = None
    """So long after a fact that weights hold has fallen or was forgotten, the weights are built anew whatever else."""


@dataclass(frozen=True)
class State:
    """What a store says about one job of one user, at one time."""

    now: datetime
    new: int = 0
    """Turns to read, or stable facts to teach."""
    dirty: int = 0
    """Entities whose adapter was switched off because a fact in it fell, and that nothing answers for."""
    dirty_since: datetime | None = None
    began: datetime | None = None
    """When the last finished run began."""
    written: datetime | None = None
    """When the last turn came in."""
    heat: float = 0.0
    """Turns to read, each counting half as much for every `COOLING` since it came in."""
    spent: timedelta = timedelta(0)
    """What runs took within the budget's period."""


@dataclass(frozen=True)
class Verdict:
    """Whether a job is due, and why or why not, in words."""

    due: bool
    reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        return "; ".join(self.reasons)


def judge(state: State, conditions: Conditions) -> Verdict:
    """Whether the job is due in that state."""
    if state.new == 0 and state.dirty == 0:
        return Verdict(False, ("nothing new since the last run",))
    late = conditions.deadline is not None and state.dirty_since is not None
    if late and state.now - state.dirty_since >= conditions.deadline:  # type: ignore[operator]
        return Verdict(True, (f"weights hold what fell at {state.dirty_since:%Y-%m-%d %H:%M} UTC: the deadline",))
    if conditions.heat is not None and state.heat >= conditions.heat:
        return Verdict(True, (f"{state.new} new, a heat of {state.heat:.1f} of {conditions.heat:g}",))
    against = _against(state, conditions)
    if against:
        return Verdict(False, against)
    why = [f"{state.new} new"] if state.new else []
    why += [f"{state.dirty} entities lost their adapter when a fact fell"] if state.dirty else []
    return Verdict(True, tuple(why))


def _against(state: State, conditions: Conditions) -> tuple[str, ...]:
    """The conditions that do not hold."""
    reasons = []
    if state.new < conditions.least and not state.dirty:
        reasons.append(f"{state.new} new, fewer than {conditions.least}")
    # What lies in the future was noted before the clock went back; waiting for it could take years.
    if conditions.every is not None and state.began is not None and _NONE <= state.now - state.began < conditions.every:
        reasons.append(f"the last run began at {state.began:%Y-%m-%d %H:%M} UTC, less than {conditions.every} ago")
    if (
        conditions.idle is not None
        and state.written is not None
        and _NONE <= state.now - state.written < conditions.idle
    ):
        reasons.append(f"the last turn came at {state.written:%Y-%m-%d %H:%M} UTC, less than {conditions.idle} ago")
    if conditions.budget is not None and state.spent >= conditions.budget:
        reasons.append(f"runs took {state.spent} within {conditions.period}, of {conditions.budget} allowed")
    return tuple(reasons)


def consolidation_state(space: Space, conditions: Conditions = Conditions()) -> State:
    """What there is to read."""
    now = space.clock.now()
    newest = space.ledger.select(Episode, Query(newest_first=True, limit=1)) if conditions.idle is not None else []
    return State(
        now=now,
        new=space.ledger.count(Episode, Query(where={"run": None})),
        began=last_run(space, "consolidate"),
        written=newest[0].recorded_at if newest else None,
        heat=_heat(space, now) if conditions.heat is not None else 0.0,
        spent=_spent(space, "consolidate", now - conditions.period) if conditions.budget is not None else timedelta(0),
    )


def _heat(space: Space, now: datetime) -> float:
    waiting = space.ledger.select(Episode, Query(where={"run": None}))
    return float(sum(0.5 ** (max(now - turn.recorded_at, timedelta(0)) / COOLING) for turn in waiting))


def distillation_state(space: Space, conditions: Conditions = Conditions()) -> State:
    """What there is to teach or to take back, by the policy that a distillation would have (`settings.teach`).

    New is a fact that may be taught and that no adapter was taught as it stands, not even one that the
    gate refused: the same facts would be refused again.
    """
    now = space.clock.now()
    ledger = space.ledger
    teachable = select_from(ledger, ontology.load(), now, Policy.of(space.settings, space.user)).facts
    judged = registry.with_state(ledger, "promoted", "previous", "refused")
    taught = {fact for adapter in judged for fact in adapter.facts}
    off = registry.with_state(ledger, "off")
    served = {entity for adapter in judged if adapter.state == "promoted" for entity in adapter.entities}
    wanted = {fact.subject_id for fact in teachable}
    silent = {entity for adapter in off for entity in adapter.entities if entity in wanted and entity not in served}
    fell = [adapter for adapter in off if silent & set(adapter.entities)]
    newest = ledger.select(Episode, Query(newest_first=True, limit=1)) if conditions.idle is not None else []
    return State(
        now=now,
        new=sum(f"{fact.id}@{fact.version}" not in taught for fact in teachable),
        dirty=len(silent),
        dirty_since=_first_fall(ledger, fell) if conditions.deadline is not None else None,
        began=last_run(space, "distill"),
        written=newest[0].recorded_at if newest else None,
        spent=_spent(space, "distill", now - conditions.period) if conditions.budget is not None else timedelta(0),
    )


def last_run(space: Space, job: str) -> datetime | None:
    """When the last run of a job began that came to an end; one that the gate refused did."""
    finished = Query(where={"job": job, "state": ["done", "refused"]})
    return max((run.started_at for run in space.ledger.select(Run, finished)), default=None)


def _spent(space: Space, job: str, since: datetime) -> timedelta:
    """What runs of a job took that ended since then."""
    runs = space.ledger.select(Run, Query(where={"job": job}))
    ended = [(run.started_at, run.ended_at) for run in runs if run.ended_at is not None and run.ended_at >= since]
    return sum((end - max(start, since) for start, end in ended), timedelta(0))


def _first_fall(ledger: Reader, adapters: Sequence[Adapter]) -> datetime | None:
    """When the first fact fell, or was forgotten, that one of these adapters was taught."""
    versions = {tuple(taught.rpartition("@")[::2]) for adapter in adapters for taught in adapter.facts}
    ids = sorted({id for id, _ in versions})
    if not ids:
        return None
    retired = [
        fact.retired_at
        for fact in ledger.select(Fact, Query(ids=ids))
        if fact.retired_at is not None and (fact.id, str(fact.version)) in versions
    ]
    stones = ledger.select(Tombstone, Query(where={"of_kind": "fact", "of_id": ids}))
    return min([*retired, *(stone.at for stone in stones)], default=None)


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta:
    """A length of time as people write it: 90s, 30m, 6h, 1d, 2w, or several of them (1d12h). Raises InvalidInput."""
    parts = re.findall(r"(\d+)([smhdw])", text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise InvalidInput(f"{text!r} is no length of time: write 90s, 30m, 6h, 1d, 2w or 1d12h")
    length = sum((timedelta(**{_UNITS[unit]: int(number)}) for number, unit in parts), timedelta(0))
    if not length:
        raise InvalidInput(f"{text!r} is no time at all")
    return length
