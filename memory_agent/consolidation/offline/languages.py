"""The plainest statements in Spanish, French, German, Portuguese and Italian, by pattern.

The parser knows English only, so a turn in another language is kept away from it; these few frames
("vivo en", "ich arbeite bei", "mon mari est") are all that is read there. Data: `data/languages.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

from memory_agent.records import Polarity

from .drafts import Draft
from .lexicon import data, pattern

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_CONTRACTED = re.compile(r"'(?:m|ve|re|ll|d|s|t)$")
_NAME = r"[A-ZÀ-Ý][\wÀ-ÿ-]+(?: [A-ZÀ-Ý][\wÀ-ÿ-]+)*"
_ENDED = r"(?:(?<!\w)|\b)"
_ARTICLE = pattern("articles", re.I)


def language_of(text: str) -> str | None:
    """The code of a language other than English that the text is written in, or None."""
    if re.search(r"[\u3040-\u30ff]", text):
        return "ja"
    if re.search(r"[\u3400-\u9fff]", text):
        return "zh"
    found = [w.lower() for w in _WORD.findall(text)]
    if not found:
        return None
    english = sum(w in _english() or bool(_CONTRACTED.search(w)) for w in found)
    counts = {code: sum(w in known for w in found) for code, known in _stopwords().items()}
    code, most = max(counts.items(), key=lambda item: item[1])
    return code if most >= 2 and most > english and most / len(found) >= 0.2 else None


@lru_cache(maxsize=1)
def _english() -> frozenset[str]:
    """The small words of English, as spaCy lists them."""
    from spacy.lang.en.stop_words import STOP_WORDS

    return frozenset(STOP_WORDS)


@lru_cache(maxsize=1)
def _stopwords() -> dict[str, frozenset[str]]:
    return {code: frozenset(entry["words"].split("|")) - _english() for code, entry in data("languages").items()}


@cache
def _compiled(code: str) -> tuple[dict[str, tuple[str, str]], list[tuple[re.Pattern[str], str]], re.Pattern[str]]:
    entry: dict[str, Any] = data("languages")[code]
    kin = {word: tuple(value.split("|")) for key, value in entry["kin"].items() for word in key.split("|")}
    names = "|".join(sorted(map(re.escape, kin), key=len, reverse=True))
    mine = rf"\b(?:{entry['my']}) (?P<kin>{names})\b(?:,? (?-i:(?P<name>{_NAME})))?"
    phrase = rf"(?P<o>[^,.;!?¡¿()]+?)(?=\s+(?:{entry['stop']})\b|[,.;!?¡¿()]|$)"
    verbs = []
    for first, third, predicate in entry["verbs"]:
        # What ends in a letter ends a word: "ich studiere" is not in "ich will studieren".
        verbs.append(
            (re.compile(rf"(?:{mine},? |(?-i:\b(?P<who>{_NAME}) ))(?:{third}){_ENDED}\s*{phrase}", re.I), predicate)
        )
        verbs.append((re.compile(rf"(?<!\w)(?:{first}){_ENDED}\s*{phrase}", re.I), predicate))
    return kin, verbs, re.compile(mine, re.I)


def read(text: str, code: str, speaker: str) -> Iterator[tuple[Draft, int, int]]:
    """(draft, start, end) for every plain statement of a turn in that language."""
    if "?" in text and "." not in text:
        return
    for plain, predicate in data("languages")[code].get("plain", ()):
        for m in re.finditer(plain, text):
            yield Draft(speaker, predicate, m["o"].strip(), rule=code), *m.span()
    if "plain" in data("languages")[code]:
        return
    kin, verbs, mine = _compiled(code)
    for m in mine.finditer(text):
        predicate, word = kin[m["kin"].lower()]
        if m["name"]:
            yield (
                Draft(speaker, predicate, m["name"], aliases=[(f"{speaker}'s {word}", m["name"])], rule=code),
                *m.span(),
            )
    taken: list[tuple[int, int]] = []
    for spoken, predicate in verbs:
        for m in spoken.finditer(text):
            if any(a <= m.start("o") < b for a, b in taken):
                continue
            groups = m.groupdict()
            subject = speaker
            if groups.get("kin"):
                subject = groups["name"] or f"{speaker}'s {kin[groups['kin'].lower()][1]}"
            elif groups.get("who"):
                subject = groups["who"]
            if groups.get("who") and groups["who"].split()[0].lower() in _stopwords()[code]:
                continue
            taken.append(m.span("o"))
            yield from _drafts(m, predicate, subject)


def _drafts(m: re.Match[str], predicate: str, subject: str) -> Iterator[tuple[Draft, int, int]]:
    if predicate.startswith("~"):
        return
    text = _ARTICLE.sub("", m["o"].strip()).strip()
    if predicate == "has_age":
        text = "".join(re.findall(r"^\d+", text))
    if text:
        polarity: Polarity = "-" if predicate.startswith("-") else "+"
        yield Draft(subject, predicate.lstrip("-"), text, polarity, rule="language"), *m.span()
