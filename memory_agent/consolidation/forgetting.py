"""Forgetting: a record and everything that had no other source, in one transaction.

What goes, by what is named:

    a turn, session:<name>   the turns, and the claims read in them
    a fact, a claim          its claims; the words they quote are cut out of the turns, which stay
    an entity                its claims, likewise, and its names wherever they stand; the turns it spoke
    user:<name>              everything in the space
    a block, item, summary   that record

Facts are then derived anew from the claims that are left, so forgetting after adding gives the graph
that never held it. Versions of facts that knew of the forgotten claims are deleted, not retired;
entities nothing refers to any more go; adapters that were taught such a fact are switched off, and
what their scorecards quote is deleted. A tombstone keeps ids only. Files (vectors, adapters, free
pages of the ledger) are the caller's: `retrieval.index.catch_up`, `distillation.registry.sweep` and
`Ledger.compact` finish the work, and `verify_forgotten` looks for what is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from memory_agent.consolidation.derive import derive, rederive, scope_of
from memory_agent.consolidation.identity import settle
from memory_agent.consolidation.job import JOB
from memory_agent.consolidation.redaction import Redaction, mentions, without_mentions
from memory_agent.episodic.taking import digest
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query, Transaction
from memory_agent.records import (
    STORED,
    Adapter,
    Block,
    BlockVersion,
    Claim,
    Entity,
    Episode,
    Fact,
    ForgetReport,
    Item,
    Rejection,
    Run,
    Source,
    Stored,
    Summary,
    Tombstone,
    Verification,
)  # fmt: skip
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.folding import fold
from memory_agent.semantic.lineage import claims_about, claims_of
from memory_agent.semantic.ontology import Ontology, load
from memory_agent.space import Space


class _DryRun(Exception):
    """Rolls the transaction back when only the report was asked for."""


def forget(space: Space, *ids: str, reason: str, dry_run: bool = False) -> ForgetReport:
    """Forget the records of those ids, `session:<name>` or `user:<name>`; see the module for what goes with them.

    `reason` is kept in the tombstones, so it must name no content. With `dry_run` the report says
    what would go and nothing is written. Raises NotFound, InvalidInput for a kind that cannot be
    forgotten, and StoreBusy while a consolidation holds on for longer than `settings.lock_wait` seconds.
    """
    work: _Forgetting | None = None
    wait = space.settings.lock_wait
    with space.ledger.lock(JOB, wait=wait):
        try:
            with space.ledger.transaction(wait=wait) as tx:
                work = _Forgetting(space, tx, reason)
                work.run(ids)
                if dry_run:
                    raise _DryRun
        except _DryRun:
            pass
    assert work is not None
    return work.report(dry_run)


@dataclass
class _Target:
    """What was named, before its consequences."""

    episodes: list[Episode] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Words to cut out wherever they stand."""
    records: list[Stored] = field(default_factory=list)
    """Records that go as they are."""

    @classmethod
    def of(cls, targets: Iterable[_Target]) -> _Target:
        """Several as one."""
        joined = cls()
        for target in targets:
            joined.episodes += target.episodes
            joined.claims += target.claims
            joined.names += target.names
            joined.records += target.records
        return joined


class _Forgetting:
    def __init__(self, space: Space, tx: Transaction, reason: str) -> None:
        self._space, self._tx, self._reason = space, tx, reason
        self._now = space.clock.now()
        self._ontology: Ontology = load()
        self._directory = Directory.of(tx)
        self._gone: dict[type[Stored], dict[str, None]] = {}
        self._redacted: dict[str, None] = {}
        self._cuts: dict[str, Redaction] = {}
        self._off: dict[str, None] = {}

    def report(self, dry_run: bool) -> ForgetReport:
        forgotten = {kind.kind: tuple(ids) for kind, ids in self._gone.items() if ids}
        return ForgetReport(
            forgotten=forgotten, redacted=tuple(self._redacted), adapters_off=tuple(self._off), dry_run=dry_run
        )

    def run(self, ids: Sequence[str]) -> None:
        if user := next((id for id in ids if id.startswith("user:")), None):
            self._everything(user.removeprefix("user:"))
            return
        target = _Target.of([self._target(id) for id in ids])
        doomed = {e.id for e in target.episodes}
        claims = {c.id: c for c in target.claims}
        claims.update((c.id, c) for c in self._tx.select(Claim, Query(where={"episode_id": sorted(doomed)})))
        if target.names:
            said = (c for c in self._tx.select(Claim) if mentions(f"{c.subject}\n{c.object}", target.names))
            claims.update((c.id, c) for c in said)
        began = self._began(claims.values())
        touched = {c.subject_id for c in claims.values()} | {c.object_id for c in claims.values() if c.object_id}
        if doomed:  # of a turn that was corrected, earlier versions hold what no claim says any more
            told = [f for f in self._tx.select(Fact) if _rests_on(f, doomed)]
            touched |= {id for f in told for id in (f.subject_id, f.object_id) if id}
        self._delete(Claim, claims)
        self._delete(Episode, doomed)
        self._delete(Rejection, [r.id for r in self._tx.select(Rejection, Query(where={"episode_id": sorted(doomed)}))])
        for record in target.records:
            self._delete(type(record), [record.id])
        self._redact(target, [c for c in claims.values() if c.episode_id not in doomed])
        self._clear_entities(touched, claims.values())
        self._forget_versions(touched, claims.values(), began)
        difference = rederive(self._tx, touched, self._directory, self._ontology, self._now)
        self._off.update(dict.fromkeys(difference.adapters_off))
        self._clear_adapters()
        self._clear_summaries(target.names)
        self._bury(ids)

    # what is meant

    def _target(self, id: str) -> _Target:
        if id.startswith("session:"):
            session = id.removeprefix("session:")
            if episodes := self._tx.select(Episode, Query(where={"session": session})):
                return _Target(episodes=episodes)
            raise NotFound(f"no turn of a session {session!r} stands in the memory of {self._space.user!r}")
        for kind in STORED:
            found = self._tx.select(kind, Query(ids=[id]))
            if found:
                return self._target_of(found)
        raise NotFound(f"no record {id!r} stands in the memory of {self._space.user!r}")

    def _target_of(self, found: Sequence[Stored]) -> _Target:
        record = found[-1]
        if isinstance(record, Episode):
            return _Target(episodes=[record])
        if isinstance(record, Claim):
            return self._target_claims([record])
        if isinstance(record, Fact):
            versions = [f for f in found if isinstance(f, Fact)]
            return self._target_claims(claims_of(self._tx, versions, self._directory, self._ontology))
        if isinstance(record, Entity):
            return self._target_entity(record)
        if isinstance(record, Block):
            edits = self._tx.select(BlockVersion, Query(where={"block_id": record.id}))
            return _Target(records=[record, *edits])
        if isinstance(record, (Item, Summary, Rejection)):
            return _Target(records=[record])
        raise InvalidInput(f"{record.id} is a {record.kind}, which cannot be forgotten; forget what it rests on")

    def _target_claims(self, claims: list[Claim]) -> _Target:
        """A secret goes wherever it stands, anything else where it was read."""
        secret = [c.object for c in claims if self._ontology[c.predicate].sensitivity == "secret"]
        return _Target(claims=claims, names=secret)

    def _target_entity(self, entity: Entity) -> _Target:
        members = self._directory.members(self._directory.people.root(entity.id))
        entities = [self._directory.entities[m] for m in members]
        names = [n for e in entities for n in (e.name, *e.aliases)]
        spoken = {fold(n) for n in names}
        episodes = [e for e in self._tx.select(Episode) if fold(e.speaker) in spoken]
        return _Target(
            episodes=episodes,
            claims=claims_about(self._tx, members),
            names=names,
            records=list(entities),
        )

    def _everything(self, user: str) -> None:
        if user != self._space.user:
            raise NotFound(f"this handle is bound to {self._space.user!r}; open the memory of {user!r} to forget it")
        for kind in STORED:
            if kind is not Tombstone:
                self._delete(kind, sorted({r.id for r in self._tx.select(kind)}))
        self._tx.delete(Tombstone, [t.id for t in self._tx.select(Tombstone)])
        self._off.update(dict.fromkeys(self._gone.get(Adapter, ())))
        self._tx.put(self._tombstone("user", "user"))
        self._tx.audit("forget", ["user"])

    # what goes

    def _delete(self, kind: type[Stored], ids: Iterable[str]) -> None:
        listed = list(ids)
        if listed:
            self._tx.delete(kind, listed)
            self._gone.setdefault(kind, {}).update(dict.fromkeys(listed))

    def _began(self, claims: Iterable[Claim]) -> datetime:
        """When the first run began that read one of the claims; no version recorded before knew of them."""
        runs = sorted({c.run for c in claims if c.run})
        return min(
            (r.started_at for r in self._tx.select(Run, Query(ids=runs))), default=datetime.min.replace(tzinfo=UTC)
        )

    def _redact(self, target: _Target, claims: Sequence[Claim]) -> None:
        """Cut the quotes of `claims` out of the turns that stay, and the target's names out of everything."""
        spans: dict[str, list[tuple[int, int]]] = {}
        for claim in claims:
            left = self._tx.select(Claim, Query(where={"episode_id": claim.episode_id}))
            spans.setdefault(claim.episode_id, []).extend(_cuts(claim, left))
        if not spans and not target.names:
            return
        for episode in self._tx.select(Episode, Query() if target.names else Query(ids=sorted(spans))):
            cut = Redaction(episode.content, [*spans.get(episode.id, ()), *mentions(episode.content, target.names)])
            metadata = without_mentions(episode.metadata, target.names)
            if cut.cuts or metadata != episode.metadata:
                mark = digest(episode.session, episode.speaker, episode.at, cut.text)
                update = {"content": cut.text, "metadata": metadata, "digest": mark}  # the old one would prove a guess
                self._replace(episode.model_copy(update=update), cut, target.names)
        for block in self._tx.select(Block) if target.names else ():
            value = without_mentions(block.value, target.names)
            if value != block.value:
                self._tx.put(block.model_copy(update={"value": value}))
        for edit in self._tx.select(BlockVersion) if target.names else ():
            cleared = {name: without_mentions(getattr(edit, name), target.names) for name in ("value", "reason")}
            self._tx.put(edit.model_copy(update=cleared))

    def _replace(self, episode: Episode, cut: Redaction, names: Sequence[str]) -> None:
        """Store the redacted turn, and move every claim and source that points into it."""
        self._tx.put(episode)
        self._redacted[episode.id] = None
        self._cuts[episode.id] = cut
        for claim in self._tx.select(Claim, Query(where={"episode_id": episode.id})):
            start, end = cut.move(claim.start, claim.end)
            self._tx.put(claim.model_copy(update={"start": start, "end": end, "quote": episode.content[start:end]}))
        refused = self._tx.select(Rejection, Query(where={"episode_id": episode.id}))
        self._delete(Rejection, [r.id for r in refused if mentions(r.proposed, names)])
        for fact in self._tx.select(Fact):
            if any(s.episode_id == episode.id for s in fact.sources):
                moved = tuple(_moved(s, episode, cut) for s in fact.sources)
                self._tx.put(fact.model_copy(update={"sources": moved}))

    def _forget_versions(self, touched: Iterable[str], claims: Iterable[Claim], began: datetime) -> None:
        """Delete the versions of facts that knew of the forgotten claims, and reopen the last one that did not."""
        gone = {
            (c.episode_id, *self._cuts[c.episode_id].move(c.start, c.end)) for c in claims if c.episode_id in self._cuts
        }
        doomed = set(self._gone.get(Episode, {}))
        scope = scope_of(self._tx, touched, self._directory, self._ontology)
        derived = {d.id: d for d in derive(scope, self._directory, self._ontology)}
        versions: dict[str, dict[int, Fact]] = {}
        for where in ({"subject_id": scope.members}, {"object_id": scope.members, "predicate": scope.mutual}):
            for fact in self._tx.select(Fact, Query(where=where)):
                versions.setdefault(fact.id, {})[fact.version] = fact
        for id, rows in versions.items():
            last = rows[max(rows)]
            standing = id in derived and last.retired_at is None and derived[id].matches(last)
            kept = [] if id not in derived else [
                f for f in rows.values()
                if not _rests_on(f, doomed)
                and (f.recorded_at < began or (standing and not _knew(f, gone, doomed, derived)))
            ]  # fmt: skip
            if len(kept) == len(rows):
                continue
            self._tx.delete(Fact, [id])
            kept.sort(key=lambda f: f.version)
            if kept:
                self._tx.put(*kept[:-1], kept[-1].model_copy(update={"retired_at": None}))
            self._gone.setdefault(Fact, {})
            if id not in derived:
                self._gone[Fact][id] = None

    def _clear_entities(self, touched: set[str], claims: Iterable[Claim]) -> None:
        """Let entities keep only what is left of them: names, merges, and being one at all."""
        gone = set(self._gone.get(Entity, {}))
        left = [e for id, e in self._directory.entities.items() if id not in gone]
        changed = settle(self._tx, left, touched, claims, self._ontology)
        self._tx.put(*changed.written.values())
        self._delete(Entity, changed.deleted)
        touched |= changed.touched
        entities = {e.id: e for e in left if e.id not in changed.deleted} | changed.written
        self._directory = Directory.over(entities.values())

    def _clear_adapters(self) -> None:
        """Switch off every adapter that was taught a forgotten fact, whatever its state, and delete what it quotes."""
        gone = set(self._gone.get(Fact, {})) | set(self._off)
        adapters = self._tx.select(Adapter)
        quoting = {adapter.run for adapter in adapters}
        for adapter in adapters:
            taught = {t.partition("@")[0] for t in adapter.facts}
            if adapter.id not in self._off and not taught & gone:
                continue
            reasons = tuple(f"fact {id} forgotten" for id in sorted(taught & gone))
            cleared = {"state": "off", "reasons": (*adapter.reasons, *reasons), "scorecard": {}}
            self._tx.put(adapter.model_copy(update=cleared))
            self._off[adapter.id] = None
            quoting.discard(adapter.run)
        # Those whose adapters were pruned quote what nobody else remembers. Consolidations, the many, quote nothing.
        for run in self._tx.select(Run, Query(where={"job": "distill"})):
            if "scorecard" in run.report and run.id not in quoting:
                report = {k: v for k, v in run.report.items() if k != "scorecard"}
                self._tx.put(run.model_copy(update={"report": report}))

    def _clear_summaries(self, names: Sequence[str]) -> None:
        gone = {id for ids in self._gone.values() for id in ids} | set(self._redacted)
        summaries = self._tx.select(Summary)
        made = [s.id for s in summaries if s.lines]  # made anew of what is left when they are next asked for
        told = [s.id for s in summaries if gone & {*s.of, s.about} or mentions(s.text, names)]
        doomed = list(dict.fromkeys([*made, *told]))
        while doomed:  # a summary may stand for summaries
            self._delete(Summary, doomed)
            gone |= set(doomed)
            summaries = [s for s in summaries if s.id not in gone]
            doomed = [s.id for s in summaries if gone & set(s.of)]

    def _bury(self, named: Sequence[str]) -> None:
        buried = (Episode, Fact, Entity, Claim, Block, Item, Summary)
        stones = [self._tombstone(kind.kind, id) for kind in buried for id in self._gone.get(kind, ())]
        self._tx.put(*stones)
        ids = [stone.of_id for stone in stones]
        first = dict.fromkeys(id for id in named if not id.startswith("session:"))
        self._tx.audit("forget", [*first, *(id for id in ids if id not in first)])

    def _tombstone(self, kind: str, id: str) -> Tombstone:
        return Tombstone(id=f"gone:{kind}:{id}", of_kind=kind, of_id=id, at=self._now, reason=self._reason)


def _moved(source: Source, episode: Episode, cut: Redaction) -> Source:
    if source.episode_id != episode.id:
        return source
    start, end = cut.move(source.start, source.end)
    return source.model_copy(update={"start": start, "end": end, "quote": episode.content[start:end]})


def _cuts(claim: Claim, left: Sequence[Claim]) -> list[tuple[int, int]]:
    """What to cut out for a claim: its quote, or only its object where other claims rest on the same words."""
    others = [c for c in left if c.start < claim.end and claim.start < c.end]
    needed = {fold(name) for c in others for name in (c.subject, c.object)}
    words = [(claim.start + a, claim.start + b) for a, b in mentions(claim.quote, [claim.object])]
    return words if others and words and fold(claim.object) not in needed else [(claim.start, claim.end)]


def _rests_on(fact: Fact, episodes: set[str]) -> bool:
    """Whether the version quotes one of these turns."""
    return any(source.episode_id in episodes for source in fact.sources)


def _knew(fact: Fact, spans: set[tuple[str, int, int]], episodes: set[str], standing: Iterable[str]) -> bool:
    """Whether the version rests on one of the spans or turns, or fell because of a fact that is no more."""
    if _rests_on(fact, episodes) or any((s.episode_id, s.start, s.end) in spans for s in fact.sources):
        return True
    return fact.because is not None and fact.because.partition(" ")[0] not in set(standing)


def verify(space: Space, id: str) -> Verification:
    """What the ledger and the index still hold of a forgotten record, its files aside.

    `id` is what `forget` was given: a record's id, `session:<name>` or `user:<name>`.
    """
    ledger = space.ledger
    session = id.removeprefix("session:") if id.startswith("session:") else None
    own = ("user",) if id.startswith("user:") else (id,)
    stones = ledger.select(Tombstone)
    forgotten = any(stone.of_id in own for stone in stones) or session is not None
    standing = [k.kind for k in STORED if k is not Tombstone and ledger.select(k, Query(ids=[id], limit=1))]
    if session is not None and ledger.select(Episode, Query(where={"session": session}, limit=1)):
        standing.append(f"turns of session {session}")
    if id.startswith("user:"):
        standing += [k.kind for k in STORED if k is not Tombstone and ledger.count(k)]
    referring = [
        f"{record.kind} {record.id}"
        for kind in (Claim, Rejection, Fact, Summary, Entity)
        for record in ledger.select(kind)
        if record.id != id and _names(record, id)
    ]
    indexed = [kind for kind in ("episode", "fact") if id in set(space.index.ids(kind))]
    return Verification(
        id=id,
        forgotten=forgotten,
        standing=tuple(standing),
        referring=tuple(sorted(set(referring))),
        indexed=tuple(indexed),
    )


def _names(record: Stored, id: str) -> bool:
    """Whether the record names the id in one of its fields."""
    if isinstance(record, Fact):
        return id in {record.subject_id, record.object_id, *(s.episode_id for s in record.sources)}
    if isinstance(record, Claim):
        return id in (record.episode_id, record.subject_id, record.object_id)
    if isinstance(record, Rejection):
        return record.episode_id == id
    if isinstance(record, Summary):
        return id in (record.about, *record.of)
    return isinstance(record, Entity) and record.merged_into == id


def verify_forgotten(folder: Path, needles: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which of the `needles` still stand in a file under `folder`: {needle: [paths]}, empty when none does.

    Looks for the bytes of each as UTF-8, as JSON would write it, and as UTF-16.
    """
    forms = {n: {n.encode(), json.dumps(n)[1:-1].encode(), n.encode("utf-16-le")} for n in needles if n}
    found: dict[str, list[str]] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for needle, written in forms.items():
            if any(form in data for form in written):
                found.setdefault(needle, []).append(str(path.relative_to(folder)))
    return {needle: tuple(paths) for needle, paths in found.items()}
