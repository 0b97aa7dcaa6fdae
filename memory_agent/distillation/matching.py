"""Whether an answer names a value, and whether it says that it does not know.

Used alike by probes, by answering and by evaluation, so that they agree on what is right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

from memory_agent.semantic.folding import fold


def plain(text: str) -> str:
    """`text` folded, with everything but letters and digits turned into single spaces, and a space at each end."""
    return " " + " ".join(re.findall(r"[^\W_]+", fold(text))) + " "


def names(text: str, value: str) -> bool:
    """Whether `value` stands in `text` as whole words, whatever the case, accents and punctuation."""
    wanted = plain(value)
    return bool(wanted.strip()) and wanted in plain(text)


def names_any(text: str, values: Iterable[str]) -> bool:
    """Whether any of the values stands in `text`."""
    held = plain(text)
    return any((wanted := plain(value)).strip() and wanted in held for value in values)


@lru_cache(maxsize=1)
def _unknown() -> re.Pattern[str]:
    data = json.loads(resources.files("memory_agent.distillation").joinpath("unknown.json").read_text("utf-8"))
    return re.compile("|".join(f"(?:{form})" for form in data["says_unknown"]))


def says_unknown(text: str) -> bool:
    """Whether the answer is "I don't know", in any of the ways of saying so listed in `unknown.json`."""
    return bool(_unknown().search(fold(text)))
