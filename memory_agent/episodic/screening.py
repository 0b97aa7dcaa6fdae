"""Screening: what a turn holds that must not become a fact or a weight.

    "instruction"       text that tries to instruct the agent or its memory
    "secret:<class>"    a password, PIN, key, card, account or national number
    "personal:<class>"  an e-mail address or telephone number

Flags are a reason to keep a turn out of facts and training, not to refuse it: the turn itself is
stored as it was said, unless the setting `redact` says otherwise. Patterns are data
(`screening.json`); card and account numbers are counted only when their check digits are right (Luhn; ISO
13616). This catches what is written plainly, and does not claim to catch what somebody set out to hide.
With the extra `detect` detectors of others look as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from memory_agent.episodic import detectors
from memory_agent.errors import InvalidInput

FLAGS = (
    "secret:password", "secret:pin", "secret:api_key", "secret:private_key", "secret:national_id", "secret:card",
    "secret:iban", "personal:email", "personal:phone",
)  # fmt: skip
"""Every class that may be redacted."""
_RANK = {"instruction": 0, "secret": 1, "personal": 2}
_DIGIT = re.compile(r"\d")
Rule = tuple[str, frozenset[str], re.Pattern[str]]
"""A flag, lower-case words of which a text must hold one for the pattern to be tried at all, and the pattern."""


@cache
def _rules() -> tuple[list[Rule], tuple[str, ...], re.Pattern[str], re.Pattern[str]]:
    """The rules, all of their words, and the patterns of card and account numbers."""
    data: dict[str, Any] = json.loads((files("memory_agent.episodic") / "screening.json").read_text("utf-8"))
    told = {"instruction": data["instruction"]}
    for kind in ("secret", "personal"):
        told |= {f"{kind}:{name}": rules for name, rules in data[kind].items()}
    rules = [
        (flag, frozenset(rule["needs"]), re.compile(rule["pattern"], re.IGNORECASE))
        for flag, of_flag in told.items()
        for rule in of_flag
    ]
    words = tuple(sorted({word for _, needs, _ in rules for word in needs}))
    return rules, words, re.compile(data["card"]), re.compile(data["iban"])


@dataclass(frozen=True)
class Finding:
    """What was found where: characters [start, end) of the text."""

    flag: str
    start: int
    end: int

    def overlaps(self, other: Finding) -> bool:
        """Whether the two share a character."""
        return self.start < other.end and other.start < self.end


def screen(text: str, *, others: bool = True) -> tuple[str, ...]:
    """The flags of `text`, instructions first, then secrets, then personal; empty for nearly everything.

    With `others` the detectors of others look as well, where they are installed.
    """
    return tuple(dict.fromkeys(finding.flag for finding in find(text, others=others)))


def find(text: str, *, others: bool = True) -> list[Finding]:
    """Everything that is found in `text`, in the order of `screen`."""
    rules, words, card, iban = _rules()
    lower = text.lower()
    held = {word for word in words if word in lower}  # each word is looked for once: nearly every text holds none
    found = [
        Finding(flag, *match.span())
        for flag, needs, pattern in (rules if held else ())
        if not needs.isdisjoint(held)
        for match in pattern.finditer(text)
    ]
    if _DIGIT.search(text):
        found += [Finding("secret:card", *match.span()) for match in card.finditer(text) if _luhn(match[0])]
        found += [Finding("secret:iban", *match.span()) for match in iban.finditer(text) if _mod97(match[0])]
    found += [Finding(*each) for each in (detectors.find(text) if others else ())]
    secret = [f for f in found if f.flag.startswith("secret:")]
    found = [f for f in found if not f.flag.startswith("personal:") or not any(f.overlaps(s) for s in secret)]
    return sorted(found, key=lambda each: _RANK[each.flag.partition(":")[0]])


def redact(text: str, classes: Collection[str]) -> str:
    """`text` with what is found of these classes ("secret", "secret:card", "personal") put out of it.

    In the place of each stands its class, "[card removed]".
    """
    spans = [f for f in find(text) if f.flag in classes or f.flag.partition(":")[0] in classes]
    for flag, start, end in reversed(_joined(spans)):
        text = f"{text[:start]}[{flag.partition(':')[2] or flag} removed]{text[end:]}"
    return text


@cache
def classes(given: str) -> frozenset[str]:
    """The classes of a setting ("secret, personal:phone"). Raises InvalidInput for one that there is not."""
    wanted = frozenset(part.strip() for part in given.split(",") if part.strip())
    known = {"secret", "personal", *FLAGS}
    if unknown := sorted(wanted - known):
        raise InvalidInput(f"setting 'redact': no class {unknown[0]!r} (known: {', '.join(sorted(known))})")
    return wanted


def _joined(found: Iterable[Finding]) -> list[tuple[str, int, int]]:
    """Spans that overlap as one, named by the first."""
    joined: list[tuple[str, int, int]] = []
    for each in sorted(found, key=lambda f: (f.start, -f.end)):
        if joined and each.start < joined[-1][2]:
            flag, start, end = joined[-1]
            joined[-1] = (flag, start, max(end, each.end))
        else:
            joined.append((each.flag, each.start, each.end))
    return joined


def _luhn(text: str) -> bool:
    """Whether the digits of `text` end in the right check digit (ISO/IEC 7812-1)."""
    digits = [int(c) for c in text if c.isdigit()]
    total = sum(d if n % 2 == 0 else (d * 2 - 9 if d > 4 else d * 2) for n, d in enumerate(reversed(digits)))
    return len(set(digits)) > 1 and total % 10 == 0


def _mod97(text: str) -> bool:
    """Whether `text` is an account number with right check digits (ISO 13616)."""
    account = text.replace(" ", "")
    return 15 <= len(account) <= 34 and int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
