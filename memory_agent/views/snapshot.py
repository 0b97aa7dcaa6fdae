"""All of one user's memory at one ledger position, read once; every page is a pure function of it.

A snapshot holds what was remembered, so it belongs to the space it was read from and is given to
nobody else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from memory_agent.distillation.selection import Policy, select
from memory_agent.errors import NotFound
from memory_agent.records import (
    Adapter,
    AuditEntry,
    Block,
    Claim,
    Entity,
    Episode,
    Fact,
    Rejection,
    Run,
    Stored,
    Summary,
)  # fmt: skip
from memory_agent.semantic import ontology
from memory_agent.semantic.ontology import Ontology
from memory_agent.semantic.trust import owners
from memory_agent.space import Space


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The records of a space, and the ways from one to another."""

    user: str
    tenant: str
    position: int
    now: datetime
    facts: tuple[Fact, ...]
    """Every version, in ledger order."""
    entities: Mapping[str, Entity]
    episodes: Mapping[str, Episode]
    claims: tuple[Claim, ...]
    rejections: tuple[Rejection, ...]
    summaries: tuple[Summary, ...]
    blocks: tuple[Block, ...]
    adapters: tuple[Adapter, ...]
    runs: tuple[Run, ...]
    audit: tuple[AuditEntry, ...]
    policy: Policy
    owners: frozenset[str]
    """Folded names by which the owner of the memory speaks in it."""

    @classmethod
    def of(cls, space: Space) -> Snapshot:
        """Read the space as it is now."""
        ledger = space.ledger
        return cls(
            user=space.user,
            tenant=space.tenant,
            position=ledger.position(),
            now=space.clock.now(),
            facts=tuple(ledger.select(Fact)),
            entities={entity.id: entity for entity in ledger.select(Entity)},
            episodes={episode.id: episode for episode in sorted(ledger.select(Episode), key=lambda e: e.at)},
            claims=tuple(ledger.select(Claim)),
            rejections=tuple(ledger.select(Rejection)),
            summaries=tuple(ledger.select(Summary)),
            blocks=tuple(ledger.select(Block)),
            adapters=tuple(ledger.select(Adapter)),
            runs=tuple(sorted(ledger.select(Run), key=lambda run: (run.started_at, run.position))),
            audit=tuple(ledger.audit_chain()),
            policy=Policy.of(space.settings, space.user),
            owners=owners(ledger, space.user),
        )

    @cached_property
    def ontology(self) -> Ontology:
        return ontology.load()

    @cached_property
    def believed(self) -> Mapping[str, Fact]:
        """The version of each fact that is believed now."""
        return {fact.id: fact for fact in self.facts if fact.retired_at is None}

    @cached_property
    def versions(self) -> Mapping[str, list[Fact]]:
        """Every version of each fact, oldest first."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in sorted(self.facts, key=lambda f: f.version):
            found[fact.id].append(fact)
        return found

    @cached_property
    def untaught(self) -> Mapping[str, str]:
        """Fact id -> the word that says why it would not be put into weights now."""
        found = select(self.believed.values(), self.episodes, self.ontology, self.now, self.policy, self.owners)
        return found.refused

    @cached_property
    def adapters_of(self) -> Mapping[str, list[Adapter]]:
        """Fact id -> the adapters that were taught any version of it."""
        found: dict[str, list[Adapter]] = defaultdict(list)
        for adapter in self.adapters:
            for taught in adapter.facts:
                found[taught.rpartition("@")[0]].append(adapter)
        return found

    @cached_property
    def facts_in(self) -> Mapping[str, list[Fact]]:
        """Episode id -> the facts believed now that quote it."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.believed.values():
            for id in {source.episode_id for source in fact.sources}:
                found[id].append(fact)
        return found

    @cached_property
    def claims_in(self) -> Mapping[str, list[Claim]]:
        """Episode id -> the claims read in it."""
        found: dict[str, list[Claim]] = defaultdict(list)
        for claim in self.claims:
            found[claim.episode_id].append(claim)
        return found

    @cached_property
    def refused_in(self) -> Mapping[str, list[Rejection]]:
        """Episode id -> what was proposed from it and refused."""
        found: dict[str, list[Rejection]] = defaultdict(list)
        for rejection in self.rejections:
            found[rejection.episode_id].append(rejection)
        return found

    @cached_property
    def fallen_with(self) -> Mapping[str, list[Fact]]:
        """Fact id -> the facts that are stale, superseded or disputed because of it."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.believed.values():
            if fact.because:
                found[fact.because.partition(" ")[0]].append(fact)
        return found

    @cached_property
    def facts_of(self) -> Mapping[str, list[Fact]]:
        """Entity id -> the facts believed now that have it as subject or object."""
        found: dict[str, list[Fact]] = defaultdict(list)
        for fact in self.believed.values():
            for id in {fact.subject_id, fact.object_id} - {None}:
                found[str(id)].append(fact)
        return found

    def record(self, id: str) -> Stored:
        """The record of that id; of a fact, its latest version. Raises NotFound."""
        if id in self.versions:
            return self.versions[id][-1]
        for kept in (self.entities, self.episodes):
            if id in kept:
                found: Stored = kept[id]
                return found
        others = (*self.claims, *self.rejections, *self.summaries, *self.blocks, *self.adapters, *self.runs)
        for record in others:
            if record.id == id:
                return record
        raise NotFound(f"no record {id!r} stands in the memory of {self.user!r}")
