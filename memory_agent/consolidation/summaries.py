"""What is known of an entity, or was said in a session, in a few sentences that each name their facts.

A sentence is a fact's own, or one for all values of a predicate, so nothing can be in a summary that is not in the
graph; a chat model may then put them in other words (`wording`). They are brought level by deltas: sentences whose
facts did not change stay as they are, the others are replaced, added or dropped. Observations are sentences over
several facts, with the number of turns that prove them: what somebody keeps coming back to, and how often something
changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from memory_agent.protocols import Query, Reader
from memory_agent.records import Episode, Fact, Line, Summary
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.folding import key
from memory_agent.semantic.ontology import Ontology, load
from memory_agent.semantic.query import stands
from memory_agent.space import Space

OFTEN = 3
"""Turns that must say a thing, or values that must have followed each other, before it is worth an observation."""


@dataclass
class Delta:
    """Ids of the summaries that were added, changed and dropped, and how many sentences stayed as they were."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    kept_lines: int = 0


def refresh(space: Space, touched: Collection[str] | None = None) -> Delta:
    """Bring summaries level with the facts, in one transaction; what changed.

    All of them, or only those of the entities and sessions of the facts `touched`, which reads no more than these.
    """
    ontology, delta = load(), Delta()
    with space.ledger.transaction(wait=space.settings.lock_wait) as tx:
        directory = Directory.of(tx)
        scope = _everything(tx) if touched is None else _around(tx, touched, directory)
        now = space.clock.now()
        standing = [f for f in scope.facts if stands(f, now)]
        profiles = _profiles(scope.facts, standing, directory, ontology)
        wanted = {f"sum_{key('entity', id)}": (id, lines) for id, lines in profiles}
        said = _sessions(scope.said, scope.sessions)
        wanted |= {f"sum_{key('session', name)}": (f"session:{name}", lines) for name, lines in said}
        there = {s.id: s for s in scope.summaries if s.lines}
        for id, (about, lines) in sorted(wanted.items()):
            old = there.get(id)
            delta.kept_lines += len(set(lines) & set(old.lines)) if old else 0
            if old is not None and (old.lines == tuple(lines) or _level(old, lines, [*scope.facts, *scope.said])):
                continue
            (delta.added if old is None else delta.changed).append(id)
            text = " ".join(line.text for line in lines)
            of = tuple(dict.fromkeys(fact for line in lines for fact in line.of))
            tx.put(Summary(id=id, about=about, text=text, of=of, at=now, lines=tuple(lines)))
        delta.dropped = sorted(set(there) - set(wanted))
        if delta.dropped:
            tx.delete(Summary, delta.dropped)
    return delta


@dataclass
class _Scope:
    """What a refresh looks at: facts by subject, facts by the sessions that said them, and the summaries there are."""

    facts: list[Fact]
    said: list[Fact]
    sessions: dict[str, str]
    """Episode to the name of its session, for the sessions looked at."""
    summaries: list[Summary]


def _everything(tx: Reader) -> _Scope:
    facts = tx.select(Fact, Query(where={"retired_at": None}))
    return _Scope(facts, facts, {e.id: e.session for e in tx.select(Episode)}, tx.select(Summary))


def _around(tx: Reader, touched: Collection[str], directory: Directory) -> _Scope:
    """The entities that the facts are about, and the sessions that said them."""
    versions = tx.select(Fact, Query(ids=sorted(touched))) if touched else []
    roots = {directory.people.root(f.subject_id) for f in versions}
    members = sorted({id for root in roots for id in directory.members(root)})
    facts = tx.select(Fact, Query(where={"subject_id": members, "retired_at": None})) if members else []
    sources = sorted({s.episode_id for f in versions for s in f.sources})
    names = {e.session for e in tx.select(Episode, Query(ids=sources))} if sources else set()
    about = [*roots, *(f"session:{name}" for name in names)]
    summaries = tx.select(Summary, Query(where={"about": about})) if about else []
    ids = {f.id for f in versions} | {id for s in summaries if s.about.startswith("session:") for id in s.of}
    said = tx.select(Fact, Query(ids=sorted(ids), where={"retired_at": None})) if ids else []
    episodes = sorted({s.episode_id for f in said for s in f.sources})
    spoken = tx.select(Episode, Query(ids=episodes)) if episodes else []
    return _Scope(facts, said, {e.id: e.session for e in spoken if e.session in names}, summaries)


def _level(old: Summary, lines: Sequence[Line], facts: Sequence[Fact]) -> bool:
    """Whether a summary in other words says these very facts, none of which changed since it was written."""
    of = {id for line in lines for id in line.of}
    written = max((f.position for f in facts if f.id in of), default=0)
    return {id for line in old.lines for id in line.of} == of and written < old.position


def summaries(space: Space, about: str | None = None) -> list[Summary]:
    """The summaries, brought level first: of the entity of that name or id, of `session:<name>`, or all."""
    refresh(space)
    found = [s for s in space.ledger.select(Summary) if s.lines]
    if about is None:
        return found
    ids = {about} if about.startswith("session:") else {e.id for e in Directory.of(space.ledger).find(about)}
    return [s for s in found if s.about in ids]


def _profiles(
    facts: Sequence[Fact], standing: Sequence[Fact], directory: Directory, ontology: Ontology
) -> Iterable[tuple[str, list[Line]]]:
    own: dict[str, list[Fact]] = defaultdict(list)
    ever: dict[str, list[Fact]] = defaultdict(list)
    for fact in standing:
        own[directory.people.root(fact.subject_id)].append(fact)
    for fact in facts:
        ever[directory.people.root(fact.subject_id)].append(fact)
    for id, held in sorted(own.items()):
        yield id, [*_sentences(held, ontology), *_observations(ever[id], ontology)]


def _sentences(held: Sequence[Fact], ontology: Ontology) -> list[Line]:
    """One sentence for each predicate, in the ontology's order; a dated or single fact keeps its own."""
    groups: dict[tuple[str, str, str, str], list[Fact]] = defaultdict(list)
    for fact in sorted(held, key=lambda f: f.id):
        alone = fact.id if fact.valid_from or fact.valid_to or fact.status != "current" else ""
        groups[fact.predicate, fact.polarity, fact.modality, alone].append(fact)
    rank = {p.name: number for number, p in enumerate(ontology.predicates)}
    lines = []
    for (predicate, _, _, _), said in sorted(groups.items(), key=lambda g: (rank.get(g[0][0], len(rank)), g[0])):
        text = said[0].text if len(said) == 1 else _joined(said, predicate, ontology)
        if said[0].status == "stale":
            text = f"{text.removesuffix('.')}, though that may be out of date."
        lines.append(_line(text, said))
    return lines


def _joined(said: Sequence[Fact], predicate: str, ontology: Ontology) -> str:
    named = [f.object for f in said]
    listed = f"{', '.join(named[:-1])} and {named[-1]}"
    first = said[0]
    return ontology.statement(first.subject, predicate, listed, polarity=first.polarity, modality=first.modality)


def _observations(ever: Sequence[Fact], ontology: Ontology) -> list[Line]:
    """What is worth saying of several facts together; each with all of them as proof."""
    lines = []
    by_predicate: dict[str, list[Fact]] = defaultdict(list)
    for fact in sorted(ever, key=lambda f: f.id):
        if fact.polarity == "+" and fact.modality == "actual" and fact.status != "disputed":
            by_predicate[fact.predicate].append(fact)
    for predicate, facts in sorted(by_predicate.items()):
        words = predicate.replace("_", " ")
        values = {f.object for f in facts}
        if ontology[predicate].cardinality == "one" and len(values) >= OFTEN:
            lines.append(_line(f"What {facts[0].subject} {words} has changed {len(values) - 1} times.", facts))
        for fact in facts:
            turns = len({s.episode_id for s in fact.sources})
            if turns >= OFTEN and fact.status == "current":
                lines.append(_line(f"{fact.subject} keeps coming back to {fact.object} ({turns} times).", [fact]))
    return lines


def _sessions(facts: Sequence[Fact], sessions: Mapping[str, str]) -> Iterable[tuple[str, list[Line]]]:
    """By session, what was said there that is still believed to be, or to have been, so."""
    said: dict[str, dict[str, Fact]] = defaultdict(dict)
    for fact in sorted(facts, key=lambda f: f.id):
        for source in fact.sources:
            if source.episode_id in sessions:
                said[sessions[source.episode_id]][fact.id] = fact
    for name, found in sorted(said.items()):
        yield name, [_line(fact.text, [fact]) for fact in found.values()]


def _line(text: str, facts: Sequence[Fact]) -> Line:
    proof = len({s.episode_id for fact in facts for s in fact.sources})
    return Line(text=text, of=tuple(f.id for f in facts), proof=proof)
