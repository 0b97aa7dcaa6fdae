"""What a check is given and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from memory_agent.protocols import Query, Reader
from memory_agent.records import Claim, Entity, Episode, Fact
from memory_agent.semantic.entities import Directory
from memory_agent.space import Space

Invariant = Literal["durable", "derived", "lineage", "recalled", "time", "weights", "instructions"]
INVARIANTS: Mapping[Invariant, str] = {
    "durable": "what was acknowledged can be read, and the audit chain is unbroken",
    "derived": "words, vectors, facts and summaries are what the evidence amounts to, with nothing forgotten in them",
    "lineage": "whatever rests on something names what is there, and quotes what it says",
    "recalled": "no turn holds text that was recalled into a prompt",
    "time": "no version is believed for a negative time, and one version of a fact is current",
    "weights": "adapters that answer are whole, and each fact in them stands as it was taught",
    "instructions": "nothing was read out of a turn that looks like an instruction",
}
"""What a store can show of the design's invariants, by name."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, in words that name ids and no content; `cure` names what mends it, if anything does."""

    invariant: Invariant
    what: str
    cure: str = ""


class Held(Reader, Protocol):
    """What is examined: a space's rows at one moment, and the position they are of."""

    def position(self) -> int: ...


@dataclass(frozen=True)
class Subject:
    """One space: its rows as they were at one moment, and the handle on it as it is."""

    space: Space
    held: Held

    @cached_property
    def episodes(self) -> dict[str, Episode]:
        return {episode.id: episode for episode in self.held.select(Episode)}

    @cached_property
    def claims(self) -> list[Claim]:
        return self.held.select(Claim)

    @cached_property
    def entities(self) -> dict[str, Entity]:
        return {entity.id: entity for entity in self.held.select(Entity)}

    @cached_property
    def facts(self) -> list[Fact]:
        """Every version of every fact."""
        return self.held.select(Fact)

    @cached_property
    def current(self) -> list[Fact]:
        """The facts as they are believed now."""
        return self.held.select(Fact, Query(where={"retired_at": None}))

    @cached_property
    def directory(self) -> Directory:
        return Directory(self.entities)


def listed(ids: list[str]) -> str:
    """The first few of some ids, and how many there are."""
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
