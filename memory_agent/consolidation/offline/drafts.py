"""A fact on its way to becoming a proposal, and the table of what its subject and object are."""

from __future__ import annotations

from dataclasses import dataclass, field

from memory_agent.records import Modality, PartialDate, Polarity

OBJECT_TYPES = {
    "lives_in": "place", "previously_lived_in": "place", "from": "place", "visited": "place", "located_in": "place",
    "works_at": "organisation", "previously_worked_at": "organisation", "studies_at": "organisation", "volunteers_at": "organisation",
    "member_of": "organisation", "part_of": "organisation", "manager": "person", "colleague": "person", "spouse": "person",
    "partner": "person", "engaged_to": "person", "parent": "person", "child": "person", "sibling": "person", "relative": "person",
    "friend": "person", "roommate": "person", "neighbour": "person", "knows": "person", "met": "person", "has_pet": "animal",
}  # fmt: skip
"""The type of the entity that a predicate's object names; the others hold plain values."""


@dataclass
class Draft:
    """One candidate fact; `rule` tells which part of the engine wrote it."""

    subject: str
    predicate: str
    object: str
    polarity: Polarity = "+"
    modality: Modality = "actual"
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None
    confidence: float = 0.9
    subject_type: str = "person"
    aliases: list[tuple[str, str]] = field(default_factory=list)
    rule: str = ""
    position: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.subject.casefold(), self.predicate, self.object.casefold()
