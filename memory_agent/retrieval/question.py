"""What a question asks for, as far as rules can tell: its terms, the speakers and months it names, its kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from memory_agent.retrieval.text import MONTHS
from memory_agent.retrieval.words import terms

KINDS: dict[str, re.Pattern[str]] = {
    "when": re.compile(r"^when\b|\bwhen (?:did|was|is|does|will)\b|\bwhat (?:date|day|month|year)\b|how long\b", re.I),
    "many": re.compile(r"\bhow (?:many|much|often|old)\b|\bnumber of\b", re.I),
    "where": re.compile(r"\bwhere\b|\b(?:what|which) (?:city|country|state|place|town)\b", re.I),
    "who": re.compile(r"\bwho(?:m|se)?\b", re.I),
    "would": re.compile(r"\b(?:would|might|likely|could)\b", re.I),
    "why": re.compile(r"\bwhy\b|\bhow (?:did|does|do)\b|\bfeel", re.I),
}  # fmt: skip
"""Kinds of question; one may be of several."""

_FORMER = re.compile(
    r"\b(?:used to|previous(?:ly)?|former(?:ly)?|before|earlier|originally|in the past|back then)\b", re.I
)
_PAST = re.compile(r"\b(?:did|was|were|had)\b|\b(?:has|have)\b(?:\s+\w+){1,3}?\s+(?:been|ever|\w+ed)\b", re.I)

_MONTHS = {name.casefold(): number for number, name in enumerate(MONTHS)}
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_JOINED = re.compile(r"\s*(?:,|and|or|&)\s*", re.I)
_OF_ASSISTANT = re.compile(
    r"\b(?:did|have|had) (?:you|the assistant)\b"
    r"|\b(?:you|assistant) (?:said|suggested|recommended|advised|told|mentioned|gave|listed|explained|provided)\b"
    r"|\byour (?:earlier )?(?:answer|advice|suggestions?|recommendations?|reply|response)\b",
    re.I,
)
_OVERALL = re.compile(
    r"\b(?:across|throughout|over)\b[^?.]*\b(?:conversations?|sessions?|chats?|requests|discussions?)\b"
    r"|\b(?:in (?:what|which)|list|walk me through)\b[^?.]*\border\b",
    re.I,
)


Tense = Literal["present", "past", "former"]


@dataclass(frozen=True)
class Question:
    """A question, taken apart."""

    text: str
    bare: str
    """The text without the names of speakers: what is asked, whoever it is asked about."""
    terms: tuple[str, ...]
    named: tuple[bool, ...]
    """Per term: whether it is part of a speaker's name."""
    speakers: tuple[str, ...]
    """Those it names, in that order."""
    subject: str | None
    """Whose words are likely asked for: the first speaker it names ("What did Maya give to Ben?")."""
    kinds: frozenset[str]
    months: frozenset[int]
    """Months it names, 0 to 11."""
    years: frozenset[int]
    of_assistant: bool
    """Whether it asks for what the assistant said."""
    overall: bool
    """Whether it asks over the whole course of the talk ("in which order", "across our conversations")."""
    tense: Tense
    """Whether it asks for what is so, for what was or happened, or for what was so and no longer is."""


def read_question(text: str, speakers: Iterable[str]) -> Question:
    """Take `text` apart, given the names of those who speak in the space."""
    words = {word.casefold() for word in re.findall(r"[^\W_]+", text)}
    names = {name: name.split()[0] for name in speakers if name.split()}
    found_at: dict[str, re.Match[str]] = {}
    bare = text
    for name, first in names.items():
        form = rf"\b(?:{re.escape(name)}|{re.escape(first)})(?:['’]s)?(?!\w)"
        if first.casefold() in words and (match := re.search(form, text, re.I)):
            found_at[name] = match
            bare = re.sub(form, " ", bare, flags=re.I)
    mentioned = tuple(sorted(found_at, key=lambda name: found_at[name].start()))
    found = tuple(dict.fromkeys(terms(text)))
    of_names = {term for name in mentioned for term in terms(name)}
    return Question(
        text=text,
        bare=" ".join(bare.split()) or text,
        terms=found,
        named=tuple(term in of_names for term in found),
        speakers=mentioned,
        subject=_subject(text, [found_at[name] for name in mentioned], mentioned),
        kinds=frozenset(kind for kind, form in KINDS.items() if form.search(text)),
        months=frozenset(_MONTHS[word] for word in words if word in _MONTHS),
        years=frozenset(int(year) for year in _YEAR.findall(text)),
        of_assistant=bool(_OF_ASSISTANT.search(text)),
        overall=bool(_OVERALL.search(text)),
        tense="former" if _FORMER.search(text) else "past" if _PAST.search(text) else "present",
    )


def _subject(text: str, places: Sequence[re.Match[str]], names: Sequence[str]) -> str | None:
    """The first of those named, unless it stands beside the second ("Maya and Ben")."""
    if len(places) > 1 and _JOINED.fullmatch(text, places[0].end(), places[1].start()):
        return None
    return names[0] if names else None
