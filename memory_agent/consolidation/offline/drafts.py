"""A fact on its way to becoming a proposal, and the table of what its subject and object are."""

from __future__ import annotations

from dataclasses import dataclass, field

from memory_agent.records import Modality, PartialDate, Polarity

OBJECT_TYPES = {
    predicate: kind
    for kind, predicates in {
        "place": "lives_in previously_lived_in from visited located_in",
        "organisation": "works_at previously_worked_at studies_at volunteers_at member_of part_of",
        "person": "manager colleague spouse partner engaged_to parent child sibling relative friend roommate "
        "neighbour knows met",
        "animal": "has_pet",
    }.items()
    for predicate in predicates.split()
}
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
