"""Facts brought level with claims: recompute what an entity's claims touch, write the difference.

Everything that changes claims or entities (consolidation, forgetting, merging) ends in `rederive`,
within the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memory_agent.protocols import Query, Transaction
from memory_agent.records import Adapter, Claim, Fact
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.ontology import Ontology
from memory_agent.semantic.reconcile import Derived, reconcile

ALSO_CALLED = "also_called"
"""Predicate of claims that give an entity another name; they are evidence of names, not facts."""


@dataclass
class Difference:
    """Ids of the facts that a derivation added, changed, or closed, and of the adapters it switched off."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    adapters_off: list[str] = field(default_factory=list)


@dataclass
class Scope:
    """The part of the graph that the claims of some entities can have a bearing on."""

    roots: set[str]
    members: list[str]
    claims: list[Claim]
    mutual: list[str]


def rederive(
    tx: Transaction, touched: Iterable[str], directory: Directory, ontology: Ontology, now: datetime
) -> Difference:
    """Recompute the facts of the entities `touched` and write what differs as new versions.

    A changed fact's old row is retired at `now`, or when it was recorded if the clock went back since. An
    adapter that was taught a fact that no longer stands as it was taught is switched off.
    """
    scope = scope_of(tx, touched, directory, ontology)
    derived = {d.id: d for d in derive(scope, directory, ontology)}
    stored = {f.id: f for f in facts_in(tx, scope)}
    difference = Difference()
    fallen: dict[str, str] = {}
    put: list[Fact] = []
    newcomers = [id for id in derived if id not in stored]
    versions = latest_versions(tx, newcomers)
    for id, new in derived.items():
        old = stored.get(id)
        if old is None:
            put.append(new.fact(versions.get(id, 0) + 1, now))
            difference.added.append(id)
        elif not new.matches(old):
            at = max(now, old.recorded_at)
            put += [old.model_copy(update={"retired_at": at}), new.fact(old.version + 1, at)]
            closing = new.status in ("superseded", "ended") and old.status not in ("superseded", "ended")
            (difference.closed if closing else difference.changed).append(id)
            if new.status != "current" or new.text != old.text:
                fallen[id] = new.status if new.status != "current" else "changed"
    for id, old in stored.items():
        if id not in derived:
            put.append(old.model_copy(update={"retired_at": max(now, old.recorded_at)}))
            difference.closed.append(id)
            fallen[id] = "gone"
    if put:
        tx.put(*put)
    difference.adapters_off = switch_off(tx, fallen)
    return difference


def derive(scope: Scope, directory: Directory, ontology: Ontology) -> list[Derived]:
    """The facts of the scope's own entities, as their claims have it."""
    mutual = set(scope.mutual)
    return [
        d
        for d in reconcile(scope.claims, ontology, directory.entities)
        if d.subject_id in scope.roots or (d.object_id in scope.roots and d.predicate in mutual)
    ]


def scope_of(tx: Transaction, touched: Iterable[str], directory: Directory, ontology: Ontology) -> Scope:
    """All claims that bear on the facts of the entities `touched`.

    One-valued symmetric predicates (spouse) tie the next person in: a new spouse of hers ends the
    old one's marriage too. Mutual facts that depend on another predicate need that of the other end.
    """
    people = directory.people
    mutual = [p.name for p in ontology.predicates if ontology.reversed_name(p.name)]
    tied = {p.name for p in ontology.predicates if p.symmetric and p.cardinality == "one"}
    tied |= {e.when for e in ontology.ends if tied & set(e.ends)}
    roots: set[str] = set()
    fresh = {people.root(id) for id in touched}
    claims: dict[str, Claim] = {}
    while fresh:
        members = sorted({id for root in fresh for id in directory.members(root)})
        found = tx.select(Claim, Query(where={"subject_id": members}))
        found += tx.select(Claim, Query(where={"object_id": members, "predicate": mutual}))
        claims.update((c.id, c) for c in found)
        roots |= fresh
        ends = {people.root(c.subject_id) for c in found if c.predicate in tied}
        ends |= {people.root(c.object_id) for c in found if c.predicate in tied and c.object_id}
        fresh = ends - roots
    needed = _needed_of_others(list(claims.values()), roots, directory, ontology)
    for others, predicates in needed:
        for claim in tx.select(Claim, Query(where={"subject_id": others, "predicate": predicates})):
            claims[claim.id] = claim
    kept = [c for c in claims.values() if c.predicate != ALSO_CALLED]
    members = sorted({id for root in roots for id in directory.members(root)})
    return Scope(roots, members, kept, mutual)


def _needed_of_others(
    claims: Sequence[Claim], roots: set[str], directory: Directory, ontology: Ontology
) -> list[tuple[list[str], list[str]]]:
    """(entities, predicates) outside the scope that symmetric facts inside it depend on."""
    others: set[str] = set()
    predicates: set[str] = set()
    people = directory.people
    for claim in claims:
        predicate = ontology[claim.predicate]
        if not (predicate.symmetric and predicate.depends_on and claim.object_id):
            continue
        others |= {people.root(claim.subject_id), people.root(claim.object_id)} - roots
        predicates |= set(predicate.depends_on)
    if not others:
        return []
    predicates |= {past for name in predicates if (past := ontology[name].past)}
    predicates |= {rule.when for rule in ontology.ends if predicates & set(rule.ends)}
    return [(sorted({id for other in others for id in directory.members(other)}), sorted(predicates))]


def facts_in(tx: Transaction, scope: Scope) -> list[Fact]:
    """The current rows of the facts of the scope's own entities."""
    found = tx.select(Fact, Query(where={"subject_id": scope.members, "retired_at": None}))
    found += tx.select(Fact, Query(where={"object_id": scope.members, "predicate": scope.mutual, "retired_at": None}))
    return list({f.id: f for f in found}.values())


def latest_versions(tx: Transaction, ids: Sequence[str]) -> dict[str, int]:
    """The highest version stored of each of those facts."""
    found: dict[str, int] = {}
    for fact in tx.select(Fact, Query(ids=list(ids))) if ids else ():
        found[fact.id] = max(found.get(fact.id, 0), fact.version)
    return found


def switch_off(tx: Transaction, fallen: dict[str, str]) -> list[str]:
    """Switch off every adapter that was taught one of the facts `fallen` (id -> what became of it)."""
    off = []
    for adapter in tx.select(Adapter, Query(where={"state": ["candidate", "promoted", "previous"]})) if fallen else ():
        taught = {entry.partition("@")[0] for entry in adapter.facts}
        if gone := sorted(taught & set(fallen)):
            reasons = tuple(f"fact {id} {fallen[id]}" for id in gone)
            tx.put(adapter.model_copy(update={"state": "off", "reasons": (*adapter.reasons, *reasons)}))
            off.append(adapter.id)
    return off
