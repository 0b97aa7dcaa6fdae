"""What calls give back of their work: ids, counts and reasons. All of it is imported from `records`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from memory_agent.frozen import Record

Mode = Literal["base", "retrieval", "adapter", "both", "auto"]


class Answer(Record):
    """A reply, and everything it rests on."""

    text: str
    mode: Mode
    """The mode that was used, never "auto"."""
    sources: tuple[str, ...] = ()
    """Ids of the facts and episodes shown to the model, or taught to the adapter that answered."""
    adapter: str | None = None
    confidence: float | None = None
    """The least probability of any answer token, where the model tells."""
    tokens: int = 0
    """Prompt and answer tokens spent."""
    note: str = ""


class AddReport(Record):
    """What `add` took in. Every id listed under `added` is durable."""

    added: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    flagged: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)


class ConsolidationReport(Record):
    """What a consolidation did."""

    run: str
    episodes: int = 0
    claims: int = 0
    rejected: Mapping[str, int] = Field(default_factory=dict)
    """Refused proposals by reason."""
    facts_added: tuple[str, ...] = ()
    facts_changed: tuple[str, ...] = ()
    facts_closed: tuple[str, ...] = ()
    entities_added: int = 0
    failed: Mapping[str, str] = Field(default_factory=dict)
    """Episodes left pending, with the error."""
    extractor: str = ""
    """Name and revision of what read the turns; empty when there was nothing to read."""
    tokens: int = 0
    """Prompt and answer tokens that a chat model took; 0 for one without a budget."""
    money: float = 0.0
    """What they cost by the prices of its budget."""
    seconds: float = 0.0


class DistillationReport(Record):
    """What a distillation did."""

    run: str
    promoted: bool
    reasons: tuple[str, ...] = ()
    """Why it was refused; empty when promoted."""
    adapters: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    refused: Mapping[str, str] = Field(default_factory=dict)
    """Facts left out of the selection, with the reason."""
    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    scorecard: Mapping[str, Any] = Field(default_factory=dict)


class ForgetReport(Record):
    """What went, by kind, and what was switched off because of it."""

    forgotten: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    redacted: tuple[str, ...] = ()
    """Episodes that stay, with the forgotten span cut out."""
    adapters_off: tuple[str, ...] = ()
    dry_run: bool = False


class ExpiryReport(ForgetReport):
    """What had expired and went, or would go, and what was spared; ids with the reason."""

    due: Mapping[str, str] = Field(default_factory=dict)
    spared: Mapping[str, str] = Field(default_factory=dict)


class Verification(Record):
    """What is left of a forgotten record; all empty when it is gone."""

    id: str
    forgotten: bool
    """Whether a tombstone says that it was forgotten."""
    standing: tuple[str, ...] = ()
    """Kinds of which a record still has the id."""
    referring: tuple[str, ...] = ()
    """Records that still name it, as "kind id"."""
    indexed: tuple[str, ...] = ()
    """Kinds whose vector index still holds it."""
    residue: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Which of the words asked about stand in which files of the store."""

    @property
    def clean(self) -> bool:
        return self.forgotten and not (self.standing or self.referring or self.indexed or self.residue)
