"""The word lists and rules of the offline extractor, read once from the JSON files beside this module."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def data(name: str) -> Any:
    """The content of `data/<name>.json`."""
    return json.loads(files(__package__).joinpath("data", f"{name}.json").read_text(encoding="utf-8"))


@cache
def words(name: str) -> frozenset[str]:
    """A word list of `data/words.json`: lower-case words and phrases, in a set."""
    listed: str | list[str] = data("words")[name]
    return frozenset(listed.split("|") if isinstance(listed, str) else listed)


@cache
def table(name: str) -> dict[str, Any]:
    """A mapping of `data/words.json`; a key may list several words, divided by `|`."""
    return {word: value for key, value in data("words")[name].items() for word in key.split("|")}


@cache
def pattern(name: str, flags: int = 0) -> re.Pattern[str]:
    """A compiled expression of `data/patterns.json`."""
    return re.compile(data("patterns")[name], flags)
