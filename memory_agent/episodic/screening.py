"""Screening: what a turn holds that must not become a fact or a weight.

    "instruction"       text that tries to instruct the agent or its memory
    "secret:<class>"    a password, PIN, key, card or account number

Flags are a reason to keep a turn out of facts and training, not to refuse it: the turn itself is
stored as it was said. Patterns are data (`screening.json`); card and account numbers are counted
only when their check digits are right (Luhn; ISO 13616). This catches what is written plainly, and
does not claim to catch what somebody set out to hide.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

Rule = tuple[tuple[str, ...], re.Pattern[str]]
"""Lower-case words, one of which a text must hold for the pattern to be tried at all, and the pattern."""


@cache
def _rules() -> tuple[dict[str, list[Rule]], re.Pattern[str], re.Pattern[str]]:
    """Rules by flag, and the patterns of card and account numbers."""
    data: dict[str, Any] = json.loads((files("memory_agent.episodic") / "screening.json").read_text("utf-8"))
    told = {"instruction": data["instruction"], **{f"secret:{name}": rules for name, rules in data["secret"].items()}}
    rules = {
        flag: [(tuple(rule["needs"]), re.compile(rule["pattern"], re.IGNORECASE)) for rule in rules]
        for flag, rules in told.items()
    }
    return rules, re.compile(data["card"]), re.compile(data["iban"])


def screen(text: str) -> tuple[str, ...]:
    """The flags of `text`, in a fixed order; empty for nearly everything."""
    by_flag, card, iban = _rules()
    lower = text.lower()
    flags = [
        flag
        for flag, rules in by_flag.items()
        if any(any(word in lower for word in needs) and pattern.search(text) for needs, pattern in rules)
    ]
    if re.search(r"\d", text):
        if any(_luhn(found[0]) for found in card.finditer(text)):
            flags.append("secret:card")
        if any(_mod97(found[0]) for found in iban.finditer(text)):
            flags.append("secret:iban")
    return tuple(flags)


def _luhn(text: str) -> bool:
    """Whether the digits of `text` end in the right check digit (ISO/IEC 7812-1)."""
    digits = [int(c) for c in text if c.isdigit()]
    total = sum(d if n % 2 == 0 else (d * 2 - 9 if d > 4 else d * 2) for n, d in enumerate(reversed(digits)))
    return len(set(digits)) > 1 and total % 10 == 0


def _mod97(text: str) -> bool:
    """Whether `text` is an account number with right check digits (ISO 13616)."""
    account = text.replace(" ", "")
    return 15 <= len(account) <= 34 and int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
