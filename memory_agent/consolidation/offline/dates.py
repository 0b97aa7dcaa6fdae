"""Dates in running English text, resolved against the day on which they were said.

Pure functions over strings and `datetime.date`; nothing here knows of a parser or of a store.
`find` gives the expressions of a text with their role; `Expression.resolve` gives the date, only
as precise as what was said, or None for what is too vague to date ("recently", "a few years ago").
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from memory_agent.records import PartialDate, Precision

Role = Literal["at", "since", "until", "for", "ago", "within"]
"""How the expression bounds its clause: `for` is a duration up to now, `within` a bare time of day or year."""
Direction = Literal["past", "future"]
Resolver = Callable[[date, Direction], PartialDate | None]

_MONTHS = {m.lower(): i for i, m in enumerate(calendar.month_name) if m}
_MONTHS |= {m[:3]: i for m, i in _MONTHS.items()} | {"sept": 9}
_DAYS = {d.lower(): i for i, d in enumerate(calendar.day_name)}
_DAYS |= {
    "mon": 0,
    "tue": 1,
    "tues": 1,
    "wed": 2,
    "weds": 2,
    "thu": 3,
    "thur": 3,
    "thurs": 3,
    "fri": 4,
    "sat": 5,
    "sun": 6,
}
_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMBERS = {w: i for i, w in enumerate(_WORDS)} | {
    "a": 1,
    "an": 1,
    "couple": 2,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_FEASTS = {
    "christmas eve": (12, 24), "christmas day": (12, 25), "christmas": (12, 25), "xmas": (12, 25),
    "new year's eve": (12, 31), "new year's day": (1, 1), "new year's": (1, 1), "new years": (1, 1),
    "halloween": (10, 31), "valentine's day": (2, 14),
    "valentine's": (2, 14), "boxing day": (12, 26),
}  # fmt: skip


def _alternatives(words: object) -> str:
    return "|".join(sorted(map(re.escape, map(str, words)), key=len, reverse=True))  # type: ignore[call-overload]


_M = rf"(?P<month>{_alternatives(_MONTHS)})\.?"
_W = rf"(?P<weekday>{_alternatives(_DAYS)})\.?"
_N = rf"(?P<n>\d{{1,3}}|a couple(?: of)?|{_alternatives(_NUMBERS)})"
_U = r"(?P<unit>day|week|month|year|yr|decade|hour|minute|min|wk)s?"
_D = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_Y = r"(?P<year>(?:19|20)\d\d)"
_WHICH = r"(?P<which>last|this past|past|this coming|this|next|coming|the following)"
_LEAD = (
    r"(?P<lead>since|ever since|until|till|til|up to|from|starting|as of|by|before|after|on|in|over|during|at|for|"
    r"around|back in|early in|late in|every|each)"
)


@dataclass(frozen=True)
class Expression:
    """A date as written: characters [start, end) of the text, its role, and how to resolve it."""

    start: int
    end: int
    text: str
    role: Role
    resolver: Resolver

    def resolve(self, said: date, direction: Direction = "past") -> PartialDate | None:
        """The date meant when said on `said`; `direction` settles what is open ("in March", "on Friday")."""
        try:
            return self.resolver(said, direction)
        except (ValueError, OverflowError):  # the 31st of June, or a year beyond the calendar
            return None


def _number(text: str) -> int:
    text = text.lower().removesuffix(" of").removeprefix("a ") if len(text) > 2 else text.lower()
    return int(text) if text.isdigit() else _NUMBERS[text]


def _month_back(said: date, months: int) -> date:
    index = said.year * 12 + said.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)


def _shift(said: date, count: int, unit: str) -> PartialDate | None:
    """`count` units before `said` (after it, when negative), at the unit's own precision."""
    if unit in ("hour", "minute", "min"):
        return PartialDate.at(said) if abs(count) < 12 or unit != "hour" else None
    if unit == "day":
        return PartialDate.at(said - timedelta(days=count))
    if unit in ("week", "wk"):
        return PartialDate.at(said - timedelta(weeks=count), "week")
    if unit == "month":
        return PartialDate.at(_month_back(said, count), "month")
    return PartialDate.at(date(said.year - count * (10 if unit == "decade" else 1), 1, 1), "year")


def weekday_near(said: date, weekday: int, direction: Direction) -> date:
    """The latest such weekday before `said`, or the first one after it."""
    if direction == "past":
        return said - timedelta(days=(said.weekday() - weekday - 1) % 7 + 1)
    return said + timedelta(days=(weekday - said.weekday() - 1) % 7 + 1)


def _year_of(said: date, month: int, day: int | None, direction: Direction) -> int:
    """The year of an undated month (and day): the nearest that lies in `direction`, today included."""
    if direction == "past":
        return said.year if (month, day or 1) <= (said.month, said.day) else said.year - 1
    return said.year if (month, day or 31) >= (said.month, said.day) else said.year + 1


def _calendar(year: str | None, month: str | None, day: str | None, which: str = "") -> Resolver:
    number = (int(month) if month.isdigit() else _MONTHS[month.lower()]) if month else None

    def resolve(said: date, direction: Direction) -> PartialDate | None:
        if number is None:
            return PartialDate(f"{int(year or 0):04d}")
        chosen = int(year) if year else _year_of(said, number, int(day) if day else None, direction)
        if not year and which == "last" and chosen == said.year and number >= said.month:
            chosen -= 1
        if not year and which == "this":
            chosen = said.year
        if day is None:
            return PartialDate(f"{chosen:04d}-{number:02d}")
        return PartialDate.at(date(chosen, number, int(day)))

    return resolve


def _day_of_month(day: int, weekday: str | None = None) -> Resolver:
    def resolve(said: date, direction: Direction) -> PartialDate | None:
        step = -1 if direction == "future" else 1
        for months in range(12):
            first = _month_back(said, step * months)
            if day > calendar.monthrange(first.year, first.month)[1]:
                continue
            found = first.replace(day=day)
            if (found >= said if direction == "future" else found <= said) and (
                weekday is None or found.weekday() == _DAYS[weekday.lower()]
            ):
                return PartialDate.at(found)
        return None

    return resolve


def _relative(which: str, what: str) -> Resolver:
    """`last`, `this` or `next` with a unit, a weekday, a month, a season, or a weekend."""
    which, what = which.lower().split()[-1], what.lower().rstrip(".")
    step = {"last": -1, "past": -1, "this": 0, "next": 1, "coming": 1, "following": 1}[which]

    def resolve(said: date, direction: Direction) -> PartialDate | None:
        if what in _DAYS:
            if step:
                return PartialDate.at(weekday_near(said, _DAYS[what], "past" if step < 0 else "future"))
            return PartialDate.at(said + timedelta(days=_DAYS[what] - said.weekday()))
        if what in _MONTHS:
            return _calendar(None, what, None, which)(said, "past" if step < 0 else "future" if step else direction)
        if what in _SEASONS:
            return _season(what, step, direction)(said, direction)
        if what in ("week", "weekend"):
            return PartialDate.at(said + timedelta(weeks=step), "week")
        if what == "month":
            return PartialDate.at(_month_back(said, -step), "month")
        if what == "night":
            return PartialDate.at(said + timedelta(days=step))
        return PartialDate(f"{said.year + step:04d}")

    return resolve


def _season(name: str, step: int, direction: Direction) -> Resolver:
    def resolve(said: date, _: Direction) -> PartialDate | None:
        year, begins = said.year, _SEASONS[name]
        if step < 0 or (step == 0 and direction == "past"):
            return PartialDate(f"{year - (said.month <= begins):04d}")
        return PartialDate(f"{year + (step > 0 and said.month >= begins):04d}")

    return resolve


def _offset(days: int) -> Resolver:
    return lambda said, _: PartialDate.at(said + timedelta(days=days))


def _unit_ago(n: str, unit: str, sign: int = 1) -> Resolver:
    return lambda said, _: _shift(said, sign * _number(n), unit.lower().replace("yr", "year"))


def _feast(name: str) -> Resolver:
    month, day = _FEASTS[name.lower()]
    return _calendar(None, str(month), str(day))


def _plain(precision: Precision) -> Resolver:
    return lambda said, _: PartialDate.at(said, precision)


def _nothing(said: date, direction: Direction) -> PartialDate | None:
    return None


_Build = Callable[[re.Match[str]], Resolver]


def _full(m: re.Match[str]) -> Resolver:
    return _calendar(m["year"], m["month"], m["day"])


def _without_year(m: re.Match[str]) -> Resolver:
    return _calendar(None, m["month"], m["day"])


def _month(m: re.Match[str]) -> Resolver:
    return _calendar(m["year"], m["month"], None)


def _year(m: re.Match[str]) -> Resolver:
    return _calendar(m["year"], None, None)


def _weekday(m: re.Match[str]) -> Resolver:
    weekday = _DAYS[m["weekday"].lower().rstrip(".")]
    return lambda said, direction: PartialDate.at(weekday_near(said, weekday, direction))


def _ago(m: re.Match[str]) -> Resolver:
    return _unit_ago(m["n"], m["unit"])


def _ahead(m: re.Match[str]) -> Resolver:
    return _unit_ago(m["n"], m["unit"], -1)


def _season_near(m: re.Match[str]) -> Resolver:
    name = m["what"].lower()
    return lambda said, direction: _season(name, 0, direction)(said, direction)


_SPECS: list[tuple[str, _Build, Role | None]] = [
    (r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)", _full, None),
    (r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})", _full, None),
    (r"(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})", _full, None),
    (rf"(?:{_W},? )?(?:the )?{_D} (?:of )?{_M},? {_Y}", _full, None),
    (rf"(?:{_W},? )?{_M} (?:the )?{_D},? {_Y}", _full, None),
    (rf"(?:{_W},? )?(?:the )?{_D} (?:of )?{_M}", _without_year, None),
    (rf"(?:{_W},? )?{_M} (?:the )?{_D}(?! ?(?:people|years|days|weeks|months|am|pm|:))",
     _without_year, None),
    (rf"{_M},? (?:of )?{_Y}", _month, None),
    (rf"{_W},? the {_D}", lambda m: _day_of_month(int(m["day"]), m["weekday"]), None),
    (r"the (?P<day>\d{1,2})(?:st|nd|rd|th)(?! (?:time|birthday|place|floor|anniversary|of|century|year|grade))",
     lambda m: _day_of_month(int(m["day"])), None),
    (r"the day before yesterday", lambda m: _offset(-2), None),
    (r"the day after tomorrow", lambda m: _offset(2), None),
    (r"(?:earlier |later )?(?:today|tonight)|this (?:morning|afternoon|evening)", lambda m: _offset(0), None),
    (r"yesterday(?: (?:morning|afternoon|evening|night))?|last (?:night|evening)", lambda m: _offset(-1), None),
    (r"tomorrow(?: (?:morning|afternoon|evening|night))?|tmrw|tmr", lambda m: _offset(1), None),
    (rf"{_N} {_U} (?:ago|back|earlier)", _ago, "ago"),
    (rf"(?P<within>in|within) (?:about )?{_N} {_U}(?:'?s? time)?(?! of)", _ahead, "at"),
    (rf"{_N} {_U} from now", _ahead, "at"),
    (rf"(?P<dur>for|been) (?:about |around |over |almost |nearly |the (?:last|past) |more than )?{_N} {_U}",
     _ago, "for"),
    (rf"the (?:last|past) {_N} {_U}", _ago, "for"),
    (r"(?:a (?:few|while)|some|several|many) (?:(?:day|week|month|year|hour)s? )?(?:ago|back)",
     lambda m: _nothing, "ago"),
    (rf"(?:the |earlier |later |late |early )?{_WHICH} {_W}", lambda m: _relative(m["which"], m["weekday"]), None),
    (rf"(?:the |earlier |later |late |early )?{_WHICH} {_M}", lambda m: _relative(m["which"], m["month"]), None),
    (rf"(?:the |earlier |later |late |early )?{_WHICH} "
     rf"(?P<what>weekend|week|month|year|{_alternatives(_SEASONS)})",
     lambda m: _relative(m["which"], m["what"]), None),
    (rf"(?P<frame>in|since|last|until|till|by|back in|early|late|mid|during|from) "
     rf"(?:mid-|early |late |around )?{_M}", lambda m: _calendar(None, m["month"], None, m["frame"].lower()), None),
    (rf"(?:the )?(?P<what>{_alternatives(_SEASONS)})(?: of)? {_Y}", _year, None),
    (rf"(?P<frame>over|during|in|this) (?:the )?(?P<what>{_alternatives(_SEASONS)})",
     _season_near, None),
    (rf"(?P<frame>on|since|until|till|by|from|this coming) {_W}",
     _weekday, None),
    (rf"{_W}(?= (?:at|morning|afternoon|evening|night|\d)|[,.!?]|$)",
     _weekday, None),
    (rf"(?P<frame>in|since|until|till|by|from|back in|during|of|around|through) {_Y}"
     r"(?!\s*(?:people|euros|dollars|km|miles))",
     _year, None),
    (rf"(?P<feast>{_alternatives(_FEASTS)})", lambda m: _feast(m["feast"]), None),
    (r"right now|currently|these days|nowadays", lambda m: _nothing, "at"),
]  # fmt: skip
_RULES: list[tuple[re.Pattern[str], _Build, Role | None]] = [
    (re.compile(rf"(?:{_LEAD} )?\b{pattern}(?!\w)", re.I), build, role) for pattern, build, role in _SPECS
]
_LEADS: dict[str, Role] = {
    "since": "since", "ever since": "since", "from": "since", "starting": "since", "as of": "since", "until": "until",
    "till": "until", "til": "until", "up to": "until", "through": "until", "before": "until",
}  # fmt: skip
_CUE = re.compile(
    rf"\d|\b(?:ago|last|next|this|past|yesterday|today|tonight|tomorrow|since|until|till|week|month|year|weekend|now|"
    rf"{_alternatives(_MONTHS)}|{_alternatives(_DAYS)}|{_alternatives(_SEASONS)}|{_alternatives(_FEASTS)}|coming|following|"
    r"tmrw|tmr|days?|years?|months?|weeks?|currently|nowadays)\b",
    re.I,
)
"""What every expression has one of; most sentences have none, and are spared the forty patterns."""
_HABITUAL = re.compile(r"\b(?:every|each)\s+$", re.I)


def find(text: str) -> list[Expression]:
    """Every date expression of `text` in order; of overlapping readings the longest stands."""
    if not _CUE.search(text):
        return []
    found: list[Expression] = []
    for pattern, build, role in _RULES:
        for m in pattern.finditer(text):
            groups = m.groupdict()
            lead = (groups.get("frame") or groups["lead"] or "").lower()
            if lead in ("every", "each") or _HABITUAL.search(text[: m.start()]):
                continue  # a frequency, not a date
            weekday = groups.get("weekday")
            if weekday and text[m.end() : m.end() + 1] == "s":
                continue
            found.append(Expression(m.start(), m.end(), m[0], role or _LEADS.get(lead, "at"), build(m)))
    chosen: list[Expression] = []
    for item in sorted(found, key=lambda e: (e.start - e.end, e.start)):
        if all(item.end <= other.start or other.end <= item.start for other in chosen):
            chosen.append(item)
    return sorted(chosen, key=lambda e: e.start)
