"""Entities brought level with the claims that are left: who is still somebody, under which names, and still one.

That two names are one entity rests on claims like everything else. When those are forgotten, the
names fall apart again, as if it had never been said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from memory_agent.consolidation.derive import ALSO_CALLED
from memory_agent.consolidation.resolve import entity_id
from memory_agent.protocols import Query, Transaction
from memory_agent.records import Claim, Entity, Episode
from memory_agent.semantic.folding import fold
from memory_agent.semantic.lineage import claims_about
from memory_agent.semantic.ontology import Ontology


@dataclass
class Settled:
    """Entities to be put and to be deleted, and those whose claims changed hands."""

    written: dict[str, Entity] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


def settle(
    tx: Transaction, entities: Sequence[Entity], touched: Iterable[str], gone: Iterable[Claim], ontology: Ontology
) -> Settled:
    """What becomes of the entities `touched` now that the claims `gone` are no more.

    Entities nothing is said of go. Names that nothing holds together any more become entities of
    their own, and their claims are moved there, in the ledger too.
    """
    result = Settled()
    known = {e.id: e for e in entities}
    speakers = {fold(e.speaker) for e in tx.select(Episode)}
    lost = [c for c in gone if is_naming(c, ontology)]
    for id in sorted(set(touched) & set(known)):
        left = claims_about(tx, [id])
        if not left:
            result.deleted.append(id)
            del known[id]
            continue
        if any(c.subject_id == id for c in lost):
            left = _fall_apart(tx, known, id, left, ontology, result)
        entity = _renamed(known[id], left, speakers, ontology)
        if entity is not known[id]:
            known[id] = result.written[id] = entity
    for id, entity in sorted(known.items()):
        into = entity.merged_into
        if into and (into not in known or _unproven(tx, entity, into, lost)):
            known[id] = result.written[id] = entity.model_copy(update={"merged_into": None})
            result.touched |= {id, into}
    return result


def is_naming(claim: Claim, ontology: Ontology) -> bool:
    """Whether the claim gives its subject another name."""
    return claim.predicate == ALSO_CALLED or (ontology[claim.predicate].names and claim.polarity == "+")


def _unproven(tx: Transaction, entity: Entity, into: str, lost: Iterable[Claim]) -> bool:
    """Whether the merge rested on a claim that was lost, and on none that is left."""
    names = {fold(n) for n in (entity.name, *entity.aliases)}

    def said(claims: Iterable[Claim]) -> bool:
        return any(c.subject_id == into and c.predicate == ALSO_CALLED and fold(c.subject) in names for c in claims)

    return said(lost) and not said(tx.select(Claim, Query(where={"subject_id": into})))


def _renamed(entity: Entity, left: Sequence[Claim], speakers: set[str], ontology: Ontology) -> Entity:
    """The entity with the names that the claims and speakers that are left give it."""
    given = {name for c in left for name in _names_in(c, entity.id)} | speakers
    given |= {fold(c.object) for c in left if c.subject_id == entity.id and is_naming(c, ontology)}
    names = [n for n in (entity.name, *entity.aliases) if fold(n) in given]
    if not names or names == [entity.name, *entity.aliases]:
        return entity
    return entity.model_copy(update={"name": names[0], "aliases": tuple(names[1:])})


def _names_in(claim: Claim, id: str) -> list[str]:
    """The folded names under which the claim speaks of the entity."""
    names = [fold(claim.subject)] if claim.subject_id == id else []
    return [*names, fold(claim.object)] if claim.object_id == id else names


def _fall_apart(
    tx: Transaction,
    known: dict[str, Entity],
    id: str,
    left: Sequence[Claim],
    ontology: Ontology,
    result: Settled,
) -> list[Claim]:
    """Move the claims of names that nothing ties to the entity's own to entities of their own; those that stay."""
    tied = _tied(id, left, ontology)
    own = fold(known[id].name)
    own = own if own in tied else min(tied)
    stay: list[Claim] = []
    moved: dict[str, list[Claim]] = {}
    for claim in left:
        name = next(iter(_names_in(claim, id)))
        if tied[name] == tied[own]:
            stay.append(claim)
        else:
            moved.setdefault(tied[name], []).append(claim)
    for claims in moved.values():
        other = _other(known, id, claims, result)
        result.touched.add(other)
        tx.put(*(_handed_over(c, id, other) for c in claims))
    return stay


def _handed_over(claim: Claim, id: str, other: str) -> Claim:
    update = {end: other for end in ("subject_id", "object_id") if getattr(claim, end) == id}
    return claim.model_copy(update=update)


def _other(known: dict[str, Entity], id: str, claims: Sequence[Claim], result: Settled) -> str:
    """The entity that bears the names of `claims`, made if there is none."""
    first = min(claims, key=lambda c: (c.said_at, c.id))
    name = first.subject if first.subject_id == id else first.object
    bearer = next((e for e in known.values() if e.id != id and fold(e.name) == fold(name)), None)
    if bearer is None:
        made = entity_id(name)
        made = entity_id(name, id) if made in known else made
        bearer = known[made] = result.written[made] = Entity(id=made, name=name, type=known[id].type)
    return bearer.id


def _tied(id: str, claims: Sequence[Claim], ontology: Ontology) -> dict[str, str]:
    """Each name of the entity with one name that stands for all that are tied to it."""
    names = sorted({name for c in claims for name in _names_in(c, id)})
    links = {name: {name} for name in names}
    pairs = [(fold(c.subject), fold(c.object)) for c in claims if c.subject_id == id and is_naming(c, ontology)]
    pairs += [(a, b) for a in names for b in names if b.startswith(f"{a} ")]  # Ana, Ana Silva: resolved as one
    for a, b in pairs:
        joined = links.setdefault(a, {a}) | links.setdefault(b, {b})
        for name in joined:
            links[name] = joined
    return {name: min(joined) for name, joined in links.items()}
