"""Checks of what follows from the evidence, and how it is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from memory_agent.consolidation import derive
from memory_agent.consolidation.job import JOB
from memory_agent.distillation import registry
from memory_agent.doctor.finding import Finding, Subject, listed
from memory_agent.errors import NotFound, TrainerFailed
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Claim, Entity, Episode, Fact, Summary, Tombstone
from memory_agent.retrieval import index
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.ontology import load
from memory_agent.semantic.reconcile import reconcile
from memory_agent.space import Space


def facts(subject: Subject) -> Iterator[Finding]:
    """The current facts are what the claims amount to."""
    claims = [claim for claim in subject.claims if claim.predicate != derive.ALSO_CALLED]
    due = {fact.id: fact for fact in reconcile(claims, load(), subject.entities)}
    held = {fact.id: fact for fact in subject.current}
    for ids, what in (
        (sorted(set(due) - set(held)), "facts are missing that claims amount to"),
        (sorted(set(held) - set(due)), "facts stand that no claim amounts to"),
        (sorted(id for id in set(due) & set(held) if not due[id].matches(held[id])), "facts differ from their claims"),
    ):
        if ids:
            yield Finding("derived", f"{what}: {listed(ids)}", cure="facts")


def lineage(subject: Subject) -> Iterator[Finding]:
    """Each version of a fact rests on turns that are there; the current one quotes what they say.

    An older one may quote what a turn said before it was corrected.
    """
    loose, misquoted = set(), set()
    for fact in subject.facts:
        for source in fact.sources:
            turn = subject.episodes.get(source.episode_id)
            if turn is None:
                loose.add(fact.id)
            elif fact.retired_at is None and turn.content[source.start : source.end] != source.quote:
                misquoted.add(fact.id)
    if loose:
        yield Finding("lineage", f"facts rest on turns that are gone: {listed(sorted(loose))}", cure="facts")
    if misquoted:
        yield Finding("lineage", f"facts quote what their turns do not say: {listed(sorted(misquoted))}", cure="facts")


def summaries(subject: Subject) -> Iterator[Finding]:
    """Summaries made of facts name facts that are there; others name turns or summaries that are."""
    told = subject.held.select(Summary)
    there = {fact.id for fact in subject.facts} | set(subject.episodes) | {summary.id for summary in told}
    if loose := sorted(s.id for s in told if not there.issuperset(s.of)):
        yield Finding("derived", f"summaries stand for what is gone: {listed(loose)}", cure="summaries")


def adapters(subject: Subject) -> Iterator[Finding]:
    """An adapter that answers is whole and unaltered, and knows only what still stands."""
    for adapter in registry.with_state(subject.held, "promoted", "previous"):
        if registry.fallen(subject.held, adapter) and adapter.state == "promoted":
            yield Finding("weights", f"adapter {adapter.id} answers, though facts in it fell", cure="adapters")
        elif not _is_as_made(subject.space, adapter):
            yield Finding("weights", f"the files of adapter {adapter.id} are gone or altered", cure="adapters")


def _is_as_made(space: Space, adapter: Adapter) -> bool:
    try:
        return registry.verify(space, adapter)
    except (NotFound, TrainerFailed):
        return False


def vectors(subject: Subject) -> Iterator[Finding]:
    """The vector index is not ahead of the ledger, and holds what the ledger holds.

    What came, changed or went since the position that it is true to is left out: it is brought level when the memory
    is opened.
    """
    position, ledger = subject.held.position(), subject.space.ledger
    for kind, living in ((Episode, set(subject.episodes)), (Fact, {fact.id for fact in subject.current})):
        state = subject.space.index.state(kind.kind)
        if state is None:
            continue
        held = subject.space.index.ids(kind.kind)
        if ledger.position() != position:
            return  # somebody is writing
        if state.position > position:
            yield Finding("derived", f"{kind.kind} vectors are of a later ledger than this", cure="vectors")
            continue
        due = {record.id for record in subject.held.select(kind, Query(text_after=state.position))}
        due |= {stone.of_id for stone in subject.held.select(Tombstone, Query(after=state.position))}
        missing, surplus = sorted(living - held - due), sorted(held - living - due)
        if missing or surplus:
            what = f"{len(missing)} {kind.kind} vectors are missing and {len(surplus)} are of what is gone"
            yield Finding("derived", f"{what}: {listed(missing + surplus)}", cure="vectors")


def _mend_facts(space: Space) -> None:
    """Derive every fact anew; versions that rest on what is gone go, with all that they said."""
    ledger = space.ledger
    with ledger.lock(JOB, wait=space.settings.lock_wait), ledger.transaction(wait=space.settings.lock_wait) as tx:
        contents = {episode.id: episode.content for episode in tx.select(Episode)}
        versions = tx.select(Fact)
        doomed = {
            (fact.id, fact.version)
            for fact in versions
            for source in fact.sources
            if (content := contents.get(source.episode_id)) is None
            or (fact.retired_at is None and content[source.start : source.end] != source.quote)
        }
        ids = sorted({id for id, _ in doomed})
        if ids:
            tx.delete(Fact, ids)
            tx.put(*(f for f in versions if f.id in ids and (f.id, f.version) not in doomed))
            derive.switch_off(tx, dict.fromkeys(ids, "was damaged"))
        touched = {entity.id for entity in tx.select(Entity)}
        touched |= {id for claim in tx.select(Claim) for id in (claim.subject_id, claim.object_id) if id}
        touched |= {fact.subject_id for fact in versions}
        derive.rederive(tx, touched, Directory.of(tx), load(), space.clock.now())
        tx.audit("repair", ids, detail="facts")


def _mend_summaries(space: Space) -> None:
    """Drop the summaries that stand for what is gone; those made of facts are made anew when they are asked for."""
    with space.ledger.transaction(wait=space.settings.lock_wait) as tx:
        told = tx.select(Summary)
        there = {f.id for f in tx.select(Fact)} | {e.id for e in tx.select(Episode)} | {s.id for s in told}
        doomed: set[str] = set()
        while loose := {s.id for s in told if s.id not in doomed and not (there - doomed).issuperset(s.of)}:
            doomed |= loose
        tx.delete(Summary, sorted(doomed))
        tx.audit("repair", sorted(doomed), detail="summaries")


def _mend_adapters(space: Space) -> None:
    """Switch off what must not or cannot answer, and delete its files."""
    with space.ledger.lock(registry.LOCK, wait=space.settings.lock_wait):
        with space.ledger.transaction(wait=space.settings.lock_wait) as tx:
            off = []
            for adapter in registry.with_state(tx, "promoted", "previous"):
                why = "facts in it fell" if registry.fallen(tx, adapter) else ""
                if not why and not _is_as_made(space, adapter):
                    why = "its files were gone or altered"
                if why:
                    tx.put(adapter.model_copy(update={"state": "off", "reasons": (*adapter.reasons, why)}))
                    off.append(adapter.id)
            tx.audit("repair", off, detail="adapters")
        registry.tidy(space)


def _mend_vectors(space: Space) -> None:
    """Embed what is missing and drop what is surplus; all of it where the index is of another ledger."""
    index.catch_up(space)
    ledger = space.ledger
    for kind in (Episode, Fact):
        living = Query() if kind is Episode else Query(where={"retired_at": None})
        if space.index.ids(kind.kind) != {record.id for record in ledger.select(kind, living)}:
            index.rebuild(space)
            return


CURES: Mapping[str, Callable[[Space], None]] = {
    "facts": _mend_facts,
    "summaries": _mend_summaries,
    "adapters": _mend_adapters,
    "vectors": _mend_vectors,
}
"""What makes derived things anew, in the order in which they follow from each other."""
