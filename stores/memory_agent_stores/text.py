"""What the word index holds, the same for every ledger: which text of a record, cut into which words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memory_agent.records import Episode, Fact, Stored

SEARCHED: tuple[type[Stored], ...] = (Episode, Fact)
"""The kinds whose text is searched."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
# Thai and Lao, Myanmar, Khmer, kana, Han: written without spaces, so the tokenizer would take a sentence for a word.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f])"
)


def searched_text(record: Stored) -> str | None:
    """The text `record` is found by: an episode's speaker, content and day, a current fact's sentence; else None."""
    if isinstance(record, Episode):
        at = record.at
        return f"{record.speaker} {record.content} {at.day} {_MONTHS[at.month - 1]} {at.year}"
    if isinstance(record, Fact) and record.retired_at is None:
        return record.text
    return None


def segment(text: str) -> str:
    """`text` with every character of an unspaced script standing alone, so that it is a word of its own."""
    return _UNSPACED.sub(r" \1 ", text.replace("\x00", " "))


def match_expression(words: Sequence[str]) -> str:
    """The FTS5 expression for "any of these words"; a word of an unspaced script becomes a phrase. Empty for none."""
    quoted = ('"{}"'.format(segment(word).replace('"', '""').strip()) for word in dict.fromkeys(words))
    return " OR ".join(phrase for phrase in quoted if re.search(r"\w", phrase))
