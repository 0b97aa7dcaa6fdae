"""The text a record is found by: what its vector is made of, and how its words are cut.

Both arms see the same text: who said it, what was said, and the day it was said on, since
questions name people and months that the turn itself does not repeat.
"""

from __future__ import annotations

from memory_agent.records import Episode, Fact

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip


def day_words(record: Episode) -> str:
    """The day a turn was said on, as people write it: `8 May 2023`."""
    return f"{record.at.day} {_MONTHS[record.at.month - 1]} {record.at.year}"


def passage(record: Episode | Fact) -> str:
    """The text that is embedded: `Alice, 8 May 2023: I moved to Porto.`, or the fact's sentence."""
    if isinstance(record, Fact):
        return record.text
    return f"{record.speaker}, {day_words(record)}: {record.content}"
