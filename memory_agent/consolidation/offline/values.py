"""Facts that are read off the letters: telephone numbers, addresses, e-mail, secrets, ages in brackets."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .drafts import Draft
from .lexicon import pattern

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w./-])\+?\d(?:[\d()/ -]{5,17})\d(?![\w/-])")
_PHONE_CUE = pattern("phone_cue", re.I)
_ADDRESS = pattern("address")
_SECRET = pattern("secret", re.I)
_NOT_SECRET = pattern("not_secret", re.I)
_BRACKET_AGE = re.compile(r"\b(?P<name>[A-Z][\w'-]+) \((?P<age>\d{1,3})\)")
_COMMA_AGE = re.compile(r"\b(?P<name>[A-Z][a-zà-ÿ'-]+), (?P<age>\d{1,2})(?=,|\s+and\b|[.!?]|$)")
_OF = re.compile(r"^(?:the|my|our|a|an|his|her|their)\s+", re.I)


def _mine(text: str, start: int, end: int) -> bool:
    """Whether the value is offered as the speaker's own and not somebody else's."""
    around = text[max(0, start - 60) : start].lower()
    return not pattern("somebody_elses").search(around)


def _whose(text: str, start: int, speaker: str) -> str:
    """Who is reached there: "contact my colleague Ines Duarte, ines@..." names another than the speaker."""
    found = pattern("reach_somebody").search(text, max(0, start - 80), start)
    return found["name"] if found and found["name"] not in ("Me", "I") else speaker


def read(text: str, speaker: str) -> Iterator[tuple[Draft, int, int]]:
    """(draft, start, end) for every value in a text as written."""
    taken: list[tuple[int, int]] = []
    for m in _SECRET.finditer(text):
        if _NOT_SECRET.match(m["value"]):
            continue
        what = _OF.sub("", m["what"]).strip()
        what = re.sub(r"^(?:and|so|btw|ok|is|that|new|old)\s+", "", what)
        kind = f"{what} for {_OF.sub('', m['of'])}" if m["of"] else what
        taken.append(m.span())
        yield Draft(speaker, "secret", kind, rule="value"), *m.span()
    for m in _EMAIL.finditer(text):
        if _mine(text, *m.span()):
            taken.append(m.span())
            yield Draft(_whose(text, m.start(), speaker), "email", m[0].rstrip("."), rule="value"), *m.span()
    for m in _ADDRESS.finditer(text):
        taken.append(m.span())
        yield Draft(speaker, "address", m[0].rstrip(" ,."), rule="value"), *m.span()
    for m in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", m[0])
        if any(m.start() < b and a < m.end() for a, b in taken) or not 7 <= len(digits) <= 15:
            continue
        if _PHONE_CUE.search(text[max(0, m.start() - 50) : m.end() + 25]) and _mine(text, *m.span()):
            yield Draft(_whose(text, m.start(), speaker), "phone", m[0].strip(), rule="value"), *m.span()
    for m in _BRACKET_AGE.finditer(text):
        yield Draft(m["name"], "has_age", m["age"], rule="value"), *m.span()
