"""The curriculum's words: how each predicate is asked and said, who is a stranger, what the base is asked."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from itertools import product
from string import Formatter
from typing import Any

from memory_agent.records import Record


class Forms(Record):
    """One predicate. {s} subject, {o} object, {p} predicate in words, {kind} what the object is; dates in `past`."""

    values: str
    """What its objects are: a key of the strangers' values."""
    statement: str
    reverse: str
    forward: tuple[str, ...]
    inverse: tuple[str, ...]
    refuse: str
    refuse_inverse: str
    past: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    """What can stand for the object in a question about it: "{s}'s manager"."""


class Common(Record):
    """Forms that go with any predicate; {t} is a statement."""

    page: tuple[str, ...]
    page_unknown: str
    yes: str
    no: str
    check: tuple[str, ...]


class Strangers(Record):
    """Names and values that no graph holds."""

    first: tuple[str, ...]
    last: tuple[str, ...]
    syllables: Mapping[str, tuple[str, ...]]
    values: Mapping[str, tuple[str, ...]]

    def coin(self, random_: random.Random) -> str:
        """A name made of syllables."""
        parts = [random_.choice(self.syllables[part]) for part in ("start", "middle", "end")]
        return "".join(parts)


class Replay(Record):
    """What the base is asked, and prose."""

    general: tuple[str, ...]
    near: tuple[str, ...]
    near_any: tuple[str, ...]
    """Questions about any value of the graph, as a thing of the world."""
    text: tuple[str, ...]
    sampled: tuple[str, ...]
    """What a small model says after the opening of a sentence: text as models write it, on everything."""
    openers: tuple[str, ...]
    """Questions of which only the beginning of the answer is replayed, each with the name of one or two fillers."""
    fillers: Mapping[str, tuple[str, ...]]

    def opened(self) -> tuple[str, ...]:
        """Every question of `openers`, filled in with every filler, in a fixed order."""
        questions: list[str] = []
        for form in self.openers:
            names = [name for _, name, _, _ in Formatter().parse(form) if name]
            for values in product(*(self.fillers[name] for name in names)):
                questions.append(form.format(**dict(zip(names, values, strict=True))))
        return tuple(questions)


class Templates(Record):
    """All of them."""

    predicates: Mapping[str, Forms]
    fallback: Forms
    common: Common
    strangers: Strangers
    replay: Replay

    def forms(self, predicate: str) -> Forms:
        """The forms of a predicate, or the general ones."""
        return self.predicates.get(predicate, self.fallback)


@lru_cache(maxsize=1)
def load_templates() -> Templates:
    """The built-in templates."""

    def read(name: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
        data.pop("about", None)
        return data

    return Templates.model_validate({**read("predicates"), "strangers": read("strangers"), "replay": read("replay")})
