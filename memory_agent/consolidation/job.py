"""The job that turns pending turns into facts.

A batch is read outside any transaction; what was read is then grounded, resolved, stored as claims
and reconciled into facts within one, which also marks the batch as read. So a kill at any instant
leaves the batch either wholly pending or wholly done, and running the job again finishes it. Writers
wait only while a batch is written.

This module knows no extractor but the default one, and nothing of the vector index.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from memory_agent.consolidation.derive import ALSO_CALLED, rederive
from memory_agent.consolidation.grounding import refusal, sentence
from memory_agent.consolidation.reader import reader_of
from memory_agent.consolidation.resolve import Resolver
from memory_agent.consolidation.spending import Budget
from memory_agent.consolidation.stated import Stated
from memory_agent.consolidation.summaries import refresh
from memory_agent.consolidation.wording import reword
from memory_agent.errors import ExtractionFailed
from memory_agent.protocols import Extractor, Progress, Proposal, Query
from memory_agent.records import Claim, ConsolidationReport, Entity, Episode, Rejection, Run
from memory_agent.semantic.entities import Directory, is_described, is_name
from memory_agent.semantic.folding import key
from memory_agent.semantic.ontology import Ontology, load
from memory_agent.semantic.trust import Trust, is_doubted, is_owners, owners
from memory_agent.space import Space

JOB = "consolidate"
BATCH = 24
"""Most turns that are read, and written, at a time."""
MET = 40
"""Most entities that an extractor is told of before a batch."""
CONTEXT = 6
"""Turns before a batch that are given along to resolve references."""


@dataclass
class _Tally:
    """What a run has done so far."""

    run: str
    episodes: int = 0
    claims: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    added: dict[str, None] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    closed: dict[str, None] = field(default_factory=dict)
    adapters_off: dict[str, None] = field(default_factory=dict)
    entities: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def report(self, seconds: float, extractor: str = "", spent: tuple[int, float] = (0, 0.0)) -> ConsolidationReport:
        return ConsolidationReport(
            run=self.run,
            extractor=extractor,
            tokens=spent[0],
            money=round(spent[1], 6),
            episodes=self.episodes,
            claims=self.claims,
            rejected=dict(sorted(self.rejected.items())),
            facts_added=tuple(self.added),
            facts_changed=tuple(id for id in self.changed if id not in self.added),
            facts_closed=tuple(self.closed),
            entities_added=self.entities,
            failed=self.failed,
            seconds=seconds,
        )


def consolidate(
    space: Space, extractor: Extractor | None = None, progress: Progress | None = None
) -> ConsolidationReport:
    """Read the pending turns of the space into claims, entities and facts, by `extractor` or the settings' own.

    With nothing pending, nothing is written. A batch whose extraction fails stays pending, with those
    after it in its session, and is named in the report. Raises StoreBusy when the job runs already, and
    what `reader_of` raises.
    """
    began = time.monotonic()
    with space.ledger.lock(JOB):
        pending = space.ledger.select(Episode, Query(where={"run": None}))
        tally = _Tally(f"run_{uuid4().hex[:16]}")
        if not pending:
            return tally.report(time.monotonic() - began)
        extractor = extractor or reader_of(space)
        before = _spent(extractor)
        reader = Stated(extractor)
        writer = _Writer(space, extractor.name, tally)
        done = 0
        for turns in _sessions(pending):
            for at in range(0, len(turns), BATCH):
                batch = turns[at : at + BATCH]
                if progress:
                    progress(done / len(pending), f"reading {batch[0].session}")
                context = _before(space, batch[0])
                if reader.meets:
                    reader.meet(writer.known(batch, context))
                try:
                    proposals = reader.extract(batch, context)
                except ExtractionFailed as error:
                    tally.failed.update((turn.id, str(error)) for turn in turns[at:])
                    done += len(turns) - at
                    break
                writer.write(batch, context, proposals)
                done += len(batch)
        wording = getattr(extractor, "wording", None)
        if wording is not None:  # plain summaries are made when they are read
            delta = refresh(space, {*tally.added, *tally.changed, *tally.closed})
            reword(space, wording, [*delta.added, *delta.changed])
        tokens, money = _spent(extractor)
        spent = (tokens - before[0], money - before[1])
        report = tally.report(time.monotonic() - began, extractor.name, spent)
        writer.finish(report)
        if progress:
            progress(1.0, "done")
        return report


def _spent(extractor: Extractor) -> tuple[int, float]:
    """Tokens and money that the extractor has spent so far; nothing for one without a budget."""
    budget = getattr(extractor, "budget", None)
    return (budget.spent_tokens, budget.spent_money) if isinstance(budget, Budget) else (0, 0.0)


def _sessions(pending: Sequence[Episode]) -> list[list[Episode]]:
    """The pending turns by session, sessions and turns in the order of their time."""
    sessions: dict[str, list[Episode]] = {}
    for episode in sorted(pending, key=lambda e: e.at):
        sessions.setdefault(episode.session, []).append(episode)
    return list(sessions.values())


def _before(space: Space, first: Episode) -> list[Episode]:
    """The last turns of the session before `first`, among those taken in last."""
    query = Query(where={"session": first.session}, until=first.at, newest_first=True, limit=4 * CONTEXT)
    return sorted(space.ledger.select(Episode, query), key=lambda e: e.at)[-CONTEXT:]


class _Writer:
    """Writes one batch after the other; holds the entities between them, which is safe under the job's lock."""

    def __init__(self, space: Space, extractor: str, tally: _Tally) -> None:
        self._space = space
        self._extractor = extractor
        self._tally = tally
        self._ontology: Ontology = load()
        self._trust = Trust.load(space.settings.trust)
        self._owners = owners(space.ledger, space.user)
        self._resolver = Resolver(space.ledger.select(Entity))
        self._started = space.clock.now()

    def known(self, batch: Sequence[Episode], context: Sequence[Episode]) -> list[tuple[str, str]]:
        """Entities that the turns name, as (name, type), the first `MET` of them."""
        directory = Directory(self._resolver.entities)
        found = {e.id: e for turn in (*context, *batch) for e in directory.link(turn.content)}
        return [(e.name, e.type) for e in list(found.values())[:MET]]

    def write(self, batch: Sequence[Episode], context: Sequence[Episode], proposals: Sequence[Proposal]) -> None:
        """Store what was read in `batch`, in one transaction."""
        tally = self._tally
        with self._space.ledger.transaction(wait=self._space.settings.lock_wait) as tx:
            present = {e.id: e for e in tx.select(Episode, Query(ids=[e.id for e in batch])) if e.run is None}
            if not present:
                return
            resolver = self._resolver
            resolver.begin(tx)
            claims, rejections = self._read(present, [*context, *batch], proposals, resolver)
            tx.put(*resolver.written.values(), *claims, *rejections)
            tx.put(*(e.model_copy(update={"run": tally.run}) for e in present.values()))
            touched = {c.subject_id for c in claims} | {c.object_id for c in claims if c.object_id}
            directory = Directory(resolver.entities)
            difference = rederive(tx, touched, directory, self._ontology, self._space.clock.now())
            tx.put(Run(id=tally.run, job="consolidate", state="running", started_at=self._started))
            tx.audit("consolidate", [tally.run, *present])
        tally.episodes += len(present)
        tally.claims += len(claims)
        tally.rejected.update(r.reason for r in rejections)
        tally.added.update(dict.fromkeys(difference.added))
        tally.changed.update(dict.fromkeys(difference.changed))
        tally.closed.update(dict.fromkeys(difference.closed))
        tally.adapters_off.update(dict.fromkeys(difference.adapters_off))
        tally.entities += resolver.added

    def finish(self, report: ConsolidationReport) -> None:
        """Close the run's record. It holds counts and ids only."""
        state = "done" if report.episodes or not report.failed else "failed"
        kept = report.model_dump(mode="json", exclude={"failed"}) | {"failed": sorted(report.failed)}
        run = Run(
            id=report.run,
            job="consolidate",
            state="done" if state == "done" else "failed",
            started_at=self._started,
            ended_at=self._space.clock.now(),
            report=kept | {"adapters_off": list(self._tally.adapters_off)},
        )
        with self._space.ledger.transaction(wait=self._space.settings.lock_wait) as tx:
            tx.put(run)

    def _read(
        self,
        present: dict[str, Episode],
        turns: Sequence[Episode],
        proposals: Sequence[Proposal],
        resolver: Resolver,
    ) -> tuple[list[Claim], list[Rejection]]:
        """Claims and rejections out of the proposals, by the order of the turns."""
        order = {turn.id: number for number, turn in enumerate(turns)}
        claims: dict[str, Claim] = {}
        rejections: dict[str, Rejection] = {}
        for proposal in sorted(proposals, key=lambda p: (order.get(p.episode_id, -1), p.start, p.end)):
            episode = present.get(proposal.episode_id)
            before = turns[: order.get(proposal.episode_id, 0)]
            if reason := refusal(proposal, episode, before):
                if episode is None:
                    self._tally.rejected[reason] += 1
                else:
                    refused = self._rejection(proposal, reason)
                    rejections[refused.id] = refused
                continue
            assert episode is not None
            for claim in self._claims(proposal, episode, resolver):
                claims.setdefault(claim.id, claim)
        return list(claims.values()), list(rejections.values())

    def _rejection(self, proposal: Proposal, reason: str) -> Rejection:
        proposed = f"{proposal.subject} | {proposal.polarity}{proposal.predicate} | {proposal.object}"
        id = f"rej_{key(proposal.episode_id, str(proposal.start), proposed)}"
        return Rejection(id=id, episode_id=proposal.episode_id, reason=reason, proposed=proposed, run=self._tally.run)

    def _claims(self, proposal: Proposal, episode: Episode, resolver: Resolver) -> list[Claim]:
        """The claim itself, after those that give one of its entities another name."""
        subject, predicate, object, kind, other_kind = _normalised(proposal, self._ontology)
        kinds = {subject: kind, object: other_kind or "thing"}
        made = []
        for name, other in proposal.aliases:
            type = kinds.get(name) or kinds.get(other) or "person"
            if id := resolver.same(name, other, type, episode):
                described, proper = (name, other) if is_described(name) else (other, name)
                also = self._claim(proposal, episode, described, ALSO_CALLED, proper, id, None)
                made.append(also.model_copy(update={"polarity": "+", "modality": "actual"}))
        subject_id = resolver.resolve(subject, kind, episode)
        object_id = None if other_kind is None else resolver.resolve(object, other_kind, episode)
        if object_id == subject_id:
            return made
        said = self._ontology[predicate]
        if said.names and proposal.polarity == "+" and proposal.modality == "actual":
            resolver.same(subject, object, kind, episode)
        return [*made, self._claim(proposal, episode, subject, predicate, object, subject_id, object_id)]

    def _claim(
        self,
        proposal: Proposal,
        episode: Episode,
        subject: str,
        predicate: str,
        object: str,
        subject_id: str,
        object_id: str | None,
    ) -> Claim:
        quote = episode.content[proposal.start : proposal.end]
        dates = (proposal.valid_from or "", proposal.valid_to or "")
        parts = (episode.id, quote, subject, predicate, object, proposal.polarity, proposal.modality, *dates)
        return Claim(
            id=f"claim_{key(*parts)}",
            episode_id=episode.id,
            start=proposal.start,
            end=proposal.end,
            quote=quote,
            speaker=episode.speaker,
            said_at=episode.at,
            subject=subject,
            subject_id=subject_id,
            predicate=predicate,
            object=object,
            object_id=object_id,
            polarity=proposal.polarity,
            modality=proposal.modality,
            valid_from=proposal.valid_from,
            valid_to=proposal.valid_to,
            confidence=proposal.confidence,
            correction=self._ontology.corrects(sentence(episode.content, proposal.start, proposal.end)),
            low_trust=is_doubted(episode, self._trust),
            owners_word=is_owners(episode, self._trust, self._owners),
            extractor=self._extractor,
            run=self._tally.run,
        )


def _normalised(proposal: Proposal, ontology: Ontology) -> tuple[str, str, str, str, str | None]:
    """(subject, predicate, object, subject's type, object's type or None), inverse names turned round."""
    subject, predicate, object = proposal.subject.strip(), proposal.predicate.strip(), proposal.object.strip()
    kind, other = proposal.subject_type, proposal.object_type
    if turned := ontology.inverses.get(predicate):
        subject, predicate, object = object, turned, subject
        kind, other = other or "thing", kind
    known = ontology[predicate]
    if predicate in ontology and kind not in known.subject:
        kind = known.subject[0]
    if not (is_name(object) or is_described(object)):
        other = None  # "a parrot" is a word for many, not one of them
    elif other in (None, "value", "thing") and known.object != "value":
        other = known.object
    return subject, predicate, object, kind, None if other == "value" else other
