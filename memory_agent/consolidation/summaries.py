"""What is known of an entity, or was said in a session, in a few sentences that each name their facts.

No model writes them: a sentence is a fact's own, or one for all values of a predicate, so nothing can be in a
summary that is not in the graph. They are brought level by deltas: sentences whose facts did not change stay as
they are, the others are replaced, added or dropped. Observations are sentences over several facts, with the number of
turns that prove them: what somebody keeps coming back to, and how often something changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from memory_agent.protocols import Query
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


def refresh(space: Space) -> Delta:
    """Bring the summaries of all entities and sessions level with the facts, in one transaction; what changed."""
    ontology, delta = load(), Delta()
    with space.ledger.transaction(wait=space.settings.lock_wait) as tx:
        facts = tx.select(Fact, Query(where={"retired_at": None}))
        sessions = {e.id: e.session for e in tx.select(Episode)}
        directory = Directory.of(tx)
        now = space.clock.now()
        standing = [f for f in facts if stands(f, now)]
        wanted = {
            f"sum_{key('entity', id)}": (id, lines) for id, lines in _profiles(facts, standing, directory, ontology)
        }
        wanted |= {
            f"sum_{key('session', name)}": (f"session:{name}", lines) for name, lines in _sessions(facts, sessions)
        }
        there = {s.id: s for s in tx.select(Summary) if s.lines}
        for id, (about, lines) in sorted(wanted.items()):
            old = there.get(id)
            delta.kept_lines += len(set(lines) & set(old.lines)) if old else 0
            if old is not None and old.lines == tuple(lines):
                continue
            (delta.added if old is None else delta.changed).append(id)
            text = " ".join(line.text for line in lines)
            of = tuple(dict.fromkeys(fact for line in lines for fact in line.of))
            tx.put(Summary(id=id, about=about, text=text, of=of, at=now, lines=tuple(lines)))
        delta.dropped = sorted(set(there) - set(wanted))
        if delta.dropped:
            tx.delete(Summary, delta.dropped)
    return delta


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
