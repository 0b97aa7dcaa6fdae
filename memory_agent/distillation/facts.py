"""A fact as the curriculum sees it: what it says and since when, and nothing of how it was stored.

What reaches the weights is a function of `subject`, `predicate`, `object`, `text` and the dates. `id`
only travels along as lineage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from memory_agent.records import Fact, PartialDate, Record
from memory_agent.semantic.ontology import load

_KIND = re.compile(r"\b(?:a|an|the|pet) ([a-z][a-z ]*?),? (?:named|called)\b")


class TaughtFact(Record):
    """One fact to teach. With a `valid_to` it is taught as what used to be so."""

    id: str
    subject: str
    predicate: str
    object: str
    text: str
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None

    @classmethod
    def of(cls, fact: Fact) -> TaughtFact:
        """A fact of the graph; `id` becomes `<fact id>@<version>`. Its sentence is taught without its dates."""
        return cls(
            id=f"{fact.id}@{fact.version}",
            subject=fact.subject,
            predicate=fact.predicate,
            object=fact.object,
            text=load().statement(fact.subject, fact.predicate, fact.object, past=fact.valid_to is not None),
            valid_from=fact.valid_from,
            valid_to=fact.valid_to,
        )

    @classmethod
    def read(cls, rows: Iterable[Mapping[str, Any]]) -> list[TaughtFact]:
        """Facts from plain mappings (a JSON file); one without an id is called by its place, `f0`, `f1` ...

        Raises pydantic's ValidationError, a ValueError, for a row that is no fact.
        """
        names = set(cls.model_fields)
        return [
            cls.model_validate({"id": f"f{i}", **{k: v for k, v in row.items() if k in names}})
            for i, row in enumerate(rows)
        ]

    @property
    def current(self) -> bool:
        """Whether it is taught as being so now."""
        return self.valid_to is None

    @cached_property
    def kind(self) -> str | None:
        """What the object is, where the sentence says so: "dog" in "has a dog named Pepper"."""
        found = _KIND.search(self.text)
        return found.group(1) if found else None

    @property
    def content(self) -> tuple[str, ...]:
        """Everything that may reach the weights, for ordering and seeding."""
        return (
            self.subject,
            self.predicate,
            self.object,
            self.text,
            str(self.valid_from or ""),
            str(self.valid_to or ""),
        )
