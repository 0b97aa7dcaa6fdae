"""Turns of phrase that are surer by their wording than by their parse. Data: `data/surface.json`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from .drafts import Draft
from .lexicon import data, words

_AFTERTHOUGHT = re.compile(
    r"(?:,? \b(?:lately|recently|nowadays|too|as well|again|anymore|myself|though|right now))*$", re.I
)
_UNREAL = re.compile(
    r"\b(?:if|unless|wish|imagine|whether|pretend|as though|in case|swears?|claims?|joked|"
    r"(?:never|didn't|don't|not) (?:said|say|saying|told|tell|claim|claimed|think|believe))\b[^,.;!]*$",
    re.I,
)
_DENIED = re.compile(
    r"\b(?:never|not|\w+n't|hardly|nobody|no one)(?: (?:really|actually|ever|even|yet|quite|exactly))?\s+$", re.I
)
Pattern = tuple[re.Pattern[str], dict[str, Any]]
Found = tuple[Draft, int, int, bool, tuple[int, int] | None]


def _written_out(text: str) -> str:
    macros: dict[str, str] = data("surface")["macros"]
    for name, macro in reversed(macros.items()):  # a macro may use those before it
        text = text.replace("{" + name + "}", macro)
    return text


@cache
def _patterns(group: str) -> tuple[Pattern, ...]:
    compiled = []
    for entry in data("surface")[group]:
        barred = {"not": frozenset(_written_out(entry["not"]).split("|"))} if "not" in entry else {}
        compiled.append((re.compile(_written_out(entry["re"]), re.I), entry | barred))
    return tuple(compiled)


@cache
def _compile(text: str) -> re.Pattern[str]:
    return re.compile(text, re.I)


def _accept(found: str, entry: dict[str, Any], text: str) -> bool:
    low = found.lower()
    if "not" in entry and ({low, low.split()[0]} & entry["not"] or low.split()[-1] in words("generic")):
        return False
    if "in" in entry:
        known = words(entry["in"])
        last = low.split()[-1]
        if low not in known and not (entry.get("loose") and last in known):
            return False
    return not ("need" in entry and not _compile(entry["need"]).search(text))


def read(text: str, speaker: str, *, to_assistant: bool) -> Iterator[Found]:
    """For each pattern that fits: the draft, [start, end) of the object, whether the sentence's date is its own,
    and [start, end) of the subject where the pattern names one that the caller is to resolve.

    The object is empty where the caller is to put the words as written at [start, end).
    """
    for pattern, entry in _patterns("patterns"):
        for m in pattern.finditer(text):
            groups = m.groupdict()
            if _UNREAL.search(text, 0, m.start()) or (not entry.get("neg") and _DENIED.search(text, 0, m.start())):
                continue
            if "k_in" in entry and groups["k"].lower() not in words(entry["k_in"]):
                continue
            subject = speaker
            if groups.get("kin"):
                subject = f"{speaker}'s {groups['kin'].lower()}"
            for name in ("o", "o2", "o3"):
                if "fixed" in entry or (groups.get(name) and _accept(groups[name], entry, text)):
                    draft = Draft(
                        subject,
                        entry["p"],
                        entry.get("fixed", ""),
                        "-" if entry.get("neg") else "+",
                        entry.get("modality", "actual"),
                        rule="surface",
                    )
                    start, end = m.span(name) if groups.get(name) else m.span()
                    end -= len(_AFTERTHOUGHT.search(text[start:end])[0])  # type: ignore[index]
                    whose = m.span("s") if groups.get("s") else None
                    yield draft, start, end, bool(entry.get("date")), whose
                if "fixed" in entry:
                    break
    if to_assistant:
        for pattern, entry in _patterns("assistant"):
            for m in pattern.finditer(text):
                if _accept(m["o"], entry, text):
                    wording = entry["o"].replace("{o}", m["o"]) if "o" in entry else ""
                    yield (
                        Draft(speaker, "prefers", wording, "-" if entry.get("neg") else "+", rule="assistant"),
                        *m.span("o"),
                        False,
                        None,
                    )
