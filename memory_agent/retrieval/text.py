"""The day of a turn in words, so that questions which name a month or a year meet the turns said in it."""

from __future__ import annotations

from memory_agent.records import Episode

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
"""English names of the months, January first."""


def day_words(record: Episode) -> str:
    """The day a turn was said on, as people write it: `8 May 2023`."""
    return f"{record.at.day} {MONTHS[record.at.month - 1]} {record.at.year}"
