"""When to look: cron expressions and intervals, as APScheduler's triggers compute them, daylight saving included.

Two readings of a cron expression are mended: APScheduler counts weekdays from Monday where cron counts
from Sunday, and it wants day of month *and* weekday where cron takes either, so an expression that sets
both is refused.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from memory_agent.errors import InvalidInput, MissingExtra
from memory_agent.scheduling.due import duration

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MOST_SLOTS = 200_000
"""Slots passed over in one look, which is a slot a minute for over four months."""


class Trigger(Protocol):
    """When to look next."""

    def after(self, moment: datetime) -> datetime:
        """The first time to look later than `moment`, in UTC terms."""
        ...


def last_slot(trigger: Trigger, after: datetime, now: datetime) -> datetime | None:
    """The last time to look in (after, now]; several that were missed are one. None when there was none."""
    found, slot = None, trigger.after(after)
    for _ in range(_MOST_SLOTS):
        if slot > now:
            break
        found, slot = slot, trigger.after(slot)
    return found


def trigger_of(text: str, timezone: str = "UTC") -> Trigger:
    """The trigger of a cron expression ("30 3 * * *") in a time zone, or of an interval ("6h").

    Raises InvalidInput when it is neither, MissingExtra without APScheduler.
    """
    if re.fullmatch(r"\s*(\d+[smhdw])+\s*", text):
        return _Interval(duration(text))
    return _Cron(text, timezone)


class _Interval:
    def __init__(self, length: timedelta) -> None:
        self._length = length

    def after(self, moment: datetime) -> datetime:
        return moment + self._length


class _Cron:
    def __init__(self, text: str, timezone: str) -> None:
        fields = text.split()
        if len(fields) != 5:
            raise InvalidInput(f"{text!r} is no cron expression of five fields, and no interval like 6h")
        if fields[2] != "*" and fields[4] != "*":
            raise InvalidInput(f"{text!r} sets day of month and weekday; cron takes either: write two schedules")
        try:
            zone = ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise InvalidInput(f"there is no time zone {timezone!r}: write it like Europe/Lisbon") from error
        try:
            from apscheduler.triggers.cron import CronTrigger
        except ModuleNotFoundError as error:
            raise MissingExtra("the daemon", "daemon") from error
        names = ("minute", "hour", "day", "month", "day_of_week")
        try:
            given = dict(zip(names, [*fields[:4], _weekdays(fields[4])], strict=True))
            self._trigger: Any = CronTrigger(**given, timezone=zone)
        except ValueError as error:
            raise InvalidInput(f"{text!r} is no cron expression: {error}") from error

    def after(self, moment: datetime) -> datetime:
        found = self._trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
        if found is None:
            raise InvalidInput("that cron expression never comes round")
        assert isinstance(found, datetime)
        return found.astimezone(moment.tzinfo)


def _weekdays(field: str) -> str:
    """A cron field of weekdays (0 or 7 is Sunday) as names."""
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if not found:
            raise ValueError(f"weekday {part!r}")
        first, last, step = found.groups()
        start = 0 if first == "*" else _day(first)
        end = 6 if first == "*" or (step and not last) else _day(last) if last else start
        end += 7 if end < start else 0
        days |= {day % 7 for day in range(start, end + 1, int(step or 1))}
    return ",".join(_DAYS[day] for day in sorted(days))


def _day(name: str) -> int:
    if name in _DAYS:
        return _DAYS.index(name)
    if name.isdigit() and int(name) <= 7:
        return int(name)
    raise ValueError(f"weekday {name!r}")
