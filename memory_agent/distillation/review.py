"""What waits for a person: facts whose sources are not trusted enough for weights, and words against the user's own.

A review approves a fact on the word of the turns it rests on, or rejects it. Approved, it counts as the user's own
word, until it is told otherwise; rejected, what was read in its turns is withdrawn, so that the fact falls in the graph
as well, and an adapter that holds it is switched off. The turns stay as they were said.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory_agent.consolidation.derive import rederive
from memory_agent.consolidation.editing import withdrawal
from memory_agent.consolidation.job import JOB
from memory_agent.distillation.selection import DOUBTED, Policy, Selection, select_from
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query, Reader, Transaction
from memory_agent.records import APPROVED, Claim, Episode, Fact, Record
from memory_agent.semantic import ontology
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.folding import fold
from memory_agent.semantic.lineage import claims_of
from memory_agent.semantic.trust import source_of
from memory_agent.space import Space

ALARM = "contradicts"
"""Reason of what is said against what others say: it is not believed, but somebody tried."""


class Waiting(Record):
    """A fact that waits for a review, why, and who says it."""

    fact: Fact
    reason: str
    sources: tuple[str, ...]


def waiting(space: Space, source: str | None = None) -> list[Waiting]:
    """What waits, of one source or all, in the order of the ledger; first the alarms."""
    reader = space.ledger
    selection = select_from(reader, ontology.load(), space.clock.now(), Policy.of(space.settings, space.user))
    facts = reader.select(Fact, Query(where={"retired_at": None}))
    queued = [(fact, reason) for fact in facts if (reason := _reason(fact, selection))]
    ids = sorted({s.episode_id for fact, _ in queued for s in fact.sources})
    episodes = {e.id: e for e in reader.select(Episode, Query(ids=ids))} if ids else {}
    found = []
    for fact, reason in queued:
        told = [episodes[s.episode_id] for s in fact.sources if s.episode_id in episodes]
        names = tuple(dict.fromkeys(source_of(e) for e in told))
        if source is None or fold(source) in names:
            found.append(Waiting(fact=fact, reason=reason, sources=names))
    return sorted(found, key=lambda each: each.reason != ALARM)


def _reason(fact: Fact, selection: Selection) -> str | None:
    if fact.status == "disputed":
        return ALARM
    reason = selection.refused.get(fact.id)
    return reason if reason in DOUBTED else None


def approve(space: Space, ids: Sequence[str]) -> list[Fact]:
    """Let the facts of those ids count as the user's own word; they as they now are.

    What a rule other than trust refuses (a secret, an instruction, a sensitive predicate) stays out of weights.
    Raises NotFound for an id that is no current fact, and then nothing is written; StoreBusy as `forget`.
    """
    return _decide(space, ids, approved=True)


def reject(space: Space, ids: Sequence[str]) -> list[Fact]:
    """Withdraw the facts of those ids; they as they were. Raises as `approve`."""
    return _decide(space, ids, approved=False)


def _decide(space: Space, ids: Sequence[str], *, approved: bool) -> list[Fact]:
    if not ids:
        raise InvalidInput("name a fact; `memory-agent review list` shows what waits")
    wait = space.settings.lock_wait
    with space.ledger.lock(JOB, wait=wait), space.ledger.transaction(wait=wait) as tx:
        facts = _current(tx, ids)
        directory, known = Directory.of(tx), ontology.load()
        claims = {c.id: c for fact in facts for c in claims_of(tx, [fact], directory, known)}
        if approved:
            _mark(tx, facts)
            tx.put(*(c.model_copy(update={"low_trust": False, "owners_word": True}) for c in claims.values()))
        else:
            tx.delete(Claim, list(claims))
            tx.put(*(withdrawal(c, "review") for c in claims.values()))
        touched = {c.subject_id for c in claims.values()} | {c.object_id for c in claims.values() if c.object_id}
        rederive(tx, touched, directory, known, space.clock.now())
        tx.audit("approve" if approved else "reject", [fact.id for fact in facts], actor="owner")
        return _current(tx, ids) if approved else facts


def _current(reader: Reader, ids: Sequence[str]) -> list[Fact]:
    facts = {f.id: f for f in reader.select(Fact, Query(ids=list(ids), where={"retired_at": None}))}
    if missing := [id for id in ids if id not in facts]:
        raise NotFound(f"no current fact {missing[0]!r}; `memory-agent review list` shows what waits")
    return [facts[id] for id in dict.fromkeys(ids)]


def _mark(tx: Transaction, facts: Sequence[Fact]) -> None:
    """Note on each source which facts were approved on its word."""
    marks: dict[str, list[str]] = {}
    for fact in facts:
        for source in fact.sources:
            marks.setdefault(source.episode_id, []).append(fact.id)
    for episode in tx.select(Episode, Query(ids=sorted(marks))):
        before = episode.metadata.get(APPROVED)
        kept = list(before) if isinstance(before, (list, tuple)) else []
        marked = list(dict.fromkeys([*kept, *marks[episode.id]]))
        tx.put(episode.model_copy(update={"metadata": {**episode.metadata, APPROVED: marked}}))
