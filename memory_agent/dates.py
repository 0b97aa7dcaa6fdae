"""Moments with their zone, and dates no more precise than what was said."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Precision = Literal["year", "month", "week", "day", "instant"]


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs its zone, e.g. 2024-03-14T18:05:00+00:00")
    return value.astimezone(UTC)


Instant = Annotated[datetime, AfterValidator(_utc)]
"""A timezone-aware moment, normalised to UTC."""


class PartialDate(str):
    """A date no more precise than what was said: `2024`, `2024-03`, `2024-W11`, `2024-03-14`, or an instant.

    It is its own ISO text, so it prints, compares for equality and serialises as that; order by
    `earliest`. Raises ValueError on anything else.
    """

    _FORMS: ClassVar[tuple[tuple[Precision, re.Pattern[str]], ...]] = (
        ("year", re.compile(r"(\d{4})")),
        ("month", re.compile(r"(\d{4})-(\d{2})")),
        ("week", re.compile(r"(\d{4})-W(\d{2})")),
        ("day", re.compile(r"(\d{4})-(\d{2})-(\d{2})")),
    )

    precision: Precision
    earliest: datetime
    latest: datetime

    def __new__(cls, text: str) -> Self:
        self = super().__new__(cls, text)
        self.precision, self.earliest, self.latest = cls._interval(text)
        return self

    @classmethod
    def _interval(cls, text: str) -> tuple[Precision, datetime, datetime]:
        """The precision and the half-open UTC interval [earliest, latest) that the text covers."""
        for precision, form in cls._FORMS:
            found = form.fullmatch(text)
            if not found:
                continue
            n = [int(g) for g in found.groups()]
            if precision == "year":
                return precision, datetime(n[0], 1, 1, tzinfo=UTC), datetime(n[0] + 1, 1, 1, tzinfo=UTC)
            if precision == "month":
                days = calendar.monthrange(n[0], n[1])[1]
                start = datetime(n[0], n[1], 1, tzinfo=UTC)
                return precision, start, start + timedelta(days=days)
            if precision == "week":
                monday = date.fromisocalendar(n[0], n[1], 1)
                start = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
                return precision, start, start + timedelta(days=7)
            start = datetime(n[0], n[1], n[2], tzinfo=UTC)
            return precision, start, start + timedelta(days=1)
        instant = _utc(datetime.fromisoformat(text))
        return "instant", instant, instant

    @classmethod
    def at(cls, moment: datetime | date, precision: Precision = "day") -> PartialDate:
        """The date of `moment`, cut to `precision`."""
        if precision == "instant":
            if not isinstance(moment, datetime):
                raise ValueError("an instant needs a datetime")
            return cls(_utc(moment).isoformat())
        if precision == "week":
            year, week, _ = moment.isocalendar()
            return cls(f"{year:04d}-W{week:02d}")
        pattern = {"year": "{:04d}", "month": "{:04d}-{:02d}", "day": "{:04d}-{:02d}-{:02d}"}[precision]
        return cls(pattern.format(moment.year, moment.month, moment.day))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(), serialization=core_schema.plain_serializer_function_ser_schema(str)
        )
