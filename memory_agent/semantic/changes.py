"""What changed in the graph between two moments of knowing: added, closed, stale, disputed, changed, confirmed.

Both moments lie on the axis of transaction time: what was believed then, whatever it was true of.
A consolidation is the difference between just before it and its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from memory_agent.errors import InvalidInput
from memory_agent.protocols import Query, Reader
from memory_agent.records import Fact, Record, Rejection, Run
from memory_agent.semantic.query import STANDING, Moment, instant
from memory_agent.space import Space

TICK = timedelta(microseconds=1)
_KINDS = ("added", "closed", "stale", "disputed", "changed", "confirmed")
_SAID = ("subject", "predicate", "object", "valid_from", "valid_to", "polarity", "modality", "status", "text")


class Difference(Record):
    """What was believed at `until` and not at `since`, and the other way round. Facts are as at `until`."""

    since: datetime
    until: datetime
    added: tuple[Fact, ...] = ()
    """Not believed before; or over before and standing again."""
    closed: tuple[Fact, ...] = ()
    """Stood before; now superseded or ended, or, where `retired_at` is set, believed no more."""
    stale: tuple[Fact, ...] = ()
    disputed: tuple[Fact, ...] = ()
    changed: tuple[Fact, ...] = ()
    """Stands as before, with other words or dates."""
    confirmed: tuple[Fact, ...] = ()
    """Says what it said, and was said again."""
    rejected: tuple[Rejection, ...] = ()
    """Proposals that the runs in between refused, with the reason."""


def diff(space: Space, since: Moment | None = None, until: Moment | None = None) -> Difference:
    """What changed in the space's graph after `since` and up to `until`.

    Each is a date, an instant or the id of a run: `since` then means just before the run, `until` its
    end. A date means its end. By default what the last consolidation changed and all since. Raises
    InvalidInput for what is neither, or when `until` comes before `since`.
    """
    reader = space.ledger
    runs = {run.id: run for run in reader.select(Run)}
    end = space.clock.now() if until is None else _moment(until, runs, first=False)
    if since is None:
        before = [r for r in runs.values() if r.job == "consolidate" and r.started_at <= end]
        last = max(before, key=lambda r: (r.started_at, r.position), default=None)
        start = last.started_at - TICK if last else end
    else:
        start = _moment(since, runs, first=True)
    if end < start:
        raise InvalidInput(f"from {start.isoformat()} to {end.isoformat()} runs backwards")
    return between(reader.select(Fact), _rejected(reader, runs.values(), start, end), start, end)


def of_run(facts: Iterable[Fact], rejections: Iterable[Rejection], run: Run) -> Difference:
    """What one consolidation changed; of `rejections`, its own."""
    end = run.ended_at or datetime.max.replace(tzinfo=run.started_at.tzinfo)
    return between(facts, [r for r in rejections if r.run == run.id], run.started_at - TICK, end)


def between(facts: Iterable[Fact], rejected: Iterable[Rejection], since: datetime, until: datetime) -> Difference:
    """The difference between what was believed at `since` and at `until`; `facts` are all versions."""
    before: dict[str, Fact] = {}
    after: dict[str, Fact] = {}
    for fact in facts:
        for moment, believed in ((since, before), (until, after)):
            if fact.recorded_at <= moment and (fact.retired_at is None or moment < fact.retired_at):
                believed[fact.id] = fact
    found: dict[str, list[Fact]] = {name: [] for name in _KINDS}
    for id, fact in after.items():
        if kind := _kind(before.get(id), fact):
            found[kind].append(fact)
    found["closed"] += [fact for id, fact in before.items() if id not in after and fact.status in STANDING]
    return Difference(
        since=since, until=until, rejected=tuple(rejected), **{name: tuple(facts) for name, facts in found.items()}
    )


def _kind(was: Fact | None, fact: Fact) -> str | None:
    """Which part of the difference a believed fact belongs to, if any."""
    if was is not None and was.status != fact.status and fact.status in ("stale", "disputed"):
        return fact.status
    if was is None or (was.status not in STANDING and fact.status in STANDING):
        return "added"
    if was.status in STANDING and fact.status not in STANDING:
        return "closed"
    same = all(getattr(was, name) == getattr(fact, name) for name in _SAID)
    if not same:
        return "changed"
    return "confirmed" if len(fact.sources) > len(was.sources) else None


def _moment(given: Moment, runs: Mapping[str, Run], *, first: bool) -> datetime:
    run = runs.get(given) if isinstance(given, str) else None
    if run is None:
        return instant(given, end=True)
    return run.started_at - TICK if first else run.ended_at or run.started_at


def _rejected(reader: Reader, runs: Iterable[Run], since: datetime, until: datetime) -> list[Rejection]:
    within = [run.id for run in runs if since < run.started_at <= until]
    return reader.select(Rejection, Query(where={"run": within})) if within else []
