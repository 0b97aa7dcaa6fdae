"""Dates and spans of time in words: "since March 2024", "until the week of 25 Aug 2025".

Months are English and short whatever the machine's locale is, so that the same memory gives the same page.
"""

from __future__ import annotations

from datetime import datetime

from memory_agent.records import Fact, PartialDate
from memory_agent.semantic.ontology import Ontology
from memory_agent.semantic.query import first_said

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip


def day(moment: datetime) -> str:
    """A day as people write it: "14 Mar 2024"."""
    return f"{moment.day} {MONTHS[moment.month - 1][:3]} {moment.year}"


def minute(moment: datetime) -> str:
    """An instant to the minute: "14 Mar 2024, 09:05 UTC"."""
    return f"{day(moment)}, {moment:%H:%M} UTC"


def date(partial: PartialDate) -> str:
    """A date as precisely as it was said: "2024", "March 2024", "the week of 11 Mar 2024", "14 Mar 2024"."""
    start = partial.earliest
    match partial.precision:
        case "year":
            return f"{start.year}"
        case "month":
            return f"{MONTHS[start.month - 1]} {start.year}"
        case "week":
            return f"the week of {day(start)}"
        case "day":
            return day(start)
        case _:
            return minute(start)


def period(fact: Fact, terms: Ontology) -> str:
    """When a fact was true, as far as anybody said: "since 2024", "until March 2025".

    What holds and was never dated is dated by when it was first said: "since 9 Feb 2025 or before".
    """
    start, end = fact.valid_from, fact.valid_to
    lasting = not terms[fact.predicate].event and fact.modality == "actual"
    standing = fact.status in ("current", "stale", "disputed")
    if start and end:
        return f"on {date(start)}" if start == end and start.precision == "day" else _between(start, end)
    if start and not lasting:
        return date(start)
    if start:
        return f"since {date(start)}" if standing else f"from {date(start)}, end not said"
    if end:
        return f"until {date(end)}"
    if not lasting:
        return "day not said"
    return f"since {day(first_said(fact))} or before" if standing else "no more, dates not said"


def _between(start: PartialDate, end: PartialDate) -> str:
    return date(start) if start == end else f"{date(start)} to {date(end)}"
