"""Moments as callers write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from memory_agent.errors import InvalidInput
from memory_agent.records import PartialDate


def moment(value: datetime | date | str | None) -> datetime | None:
    """An instant of what was given: a day, month or year means its last moment.

    Raises InvalidInput on a text that is no ISO date and on a time without a zone.
    """
    if value is None:
        return None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidInput(f"{value.isoformat()} needs its zone, e.g. 2024-03-14T18:05:00+00:00")
        return value.astimezone(UTC)
    try:
        dated = PartialDate(value.isoformat() if isinstance(value, date) else value)
    except ValueError as error:
        raise InvalidInput(f"{value!r} is no date: 2024, 2024-03, 2024-03-14, or an instant with its zone") from error
    if dated.precision == "instant":
        return dated.earliest
    return dated.latest - timedelta(microseconds=1)
