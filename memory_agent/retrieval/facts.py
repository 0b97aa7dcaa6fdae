"""The facts arm: what share of the question's words a fact holds, and how near its vector is.

Facts are short sentences, so coverage says more than BM25, and it means the same in every space. Both
parts lie between 0 and 1, so a fact's score stands beside an episode's probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from memory_agent.protocols import Query, Vectors
from memory_agent.records import Fact, Hit, Source, Why
from memory_agent.retrieval.question import Question
from memory_agent.retrieval.words import terms
from memory_agent.semantic.ontology import Ontology, load
from memory_agent.semantic.query import stands
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.retrieval.search import Filters

ARM = 60
"""Facts taken from each of the word and the vector index."""
WORDS, VECTOR = 0.6, 0.4
STANDING = {"current": 1.0, "disputed": 0.8, "stale": 0.7, "superseded": 0.6, "ended": 0.6}
"""What a fact's status leaves of its score, when a question asks what is so now."""
BELOW = 0.99
"""How far below the value that holds one that no longer does is put, where only one can hold."""
_FLOOR = 0.05
_WIDER = 8
"""Times as many that are looked at when too few of them pass."""

Inside = Callable[[str], bool]
"""Whether the episode of that id passes the filters."""


def find(
    space: Space, question: Question, vectors: Vectors, filters: Filters, inside: Inside | None, limit: int
) -> list[Hit]:
    """Facts that pass the filters, each with its score; unsorted. One of their sources has to be `inside`.

    As many are looked at as it takes to find `limit` that pass, so that filters cut before the ranking, not after it.
    """
    words = [word for word in question.text.split() if terms(word)]
    most = ARM
    while True:
        lexical = dict(space.ledger.match(words, limit=most, kinds=("fact",)))
        dense = dict(space.index.query("fact", vectors[0], most)) if vectors.size else {}
        ids = list(dict.fromkeys([*lexical, *dense]))
        passing = _passing(_versions(space, ids, filters), filters, inside) if ids else []
        if len(passing) >= limit or max(len(lexical), len(dense)) < most:
            break
        most *= _WIDER
    past = filters.as_of is not None or filters.known_at is not None or question.tense != "present"
    ranks = {
        name: {id: place for place, id in enumerate(arm, start=1)}
        for name, arm in (("lexical", lexical), ("dense", dense))
    }
    hits, former = [], load().past_of
    for fact in passing:
        covered, cosine = _coverage(question, fact), max(dense.get(fact.id, 0.0), 0.0)
        standing = "superseded" if fact.predicate in former else fact.status
        score = (WORDS * covered + VECTOR * cosine) * (1.0 if past else STANDING[standing])
        if score < _FLOOR:
            continue
        scores = {"words": round(covered, 4)} | ({"dense": round(cosine, 4)} if fact.id in dense else {})
        placed = {name: rank[fact.id] for name, rank in ranks.items() if fact.id in rank}
        note = "" if past or standing == "current" else f"{standing}: counts {STANDING[standing]:g}"
        why = Why(scores=scores, ranks=placed, note=note)
        hits.append(Hit(record=fact, score=float(np.clip(score, 0, 1)), why=why))
    return hits


def by_tense(hits: Sequence[Hit], question: Question, now: datetime, ontology: Ontology) -> list[Hit]:
    """The hits, best first, with no value above the one that took its place: "used to live in Lisbon" below "lives in
    Porto", or the other way round where the question asks for what was before. Other hits keep their scores.

    Only single-valued predicates have such places, each with the predicate that says the same of the past.
    """
    if question.tense == "past":
        return list(hits)
    placed: list[tuple[tuple[str, str] | None, bool]] = []
    best: dict[tuple[str, str], float] = {}
    for hit in hits:
        fact = hit.record
        place, wanted = None, False
        if isinstance(fact, Fact) and fact.polarity == "+" and fact.modality == "actual":
            predicate = ontology.past_of.get(fact.predicate, fact.predicate)
            if ontology[predicate].cardinality == "one":
                place = fact.subject_id, predicate
                over = fact.predicate != predicate or not stands(fact, now)
                wanted = over == (question.tense == "former")
        placed.append((place, wanted))
        if place and wanted:
            best[place] = max(best.get(place, 0.0), hit.score)
    found = []
    for hit, (place, wanted) in zip(hits, placed, strict=True):
        most = best.get(place, 1.0) * BELOW if place and not wanted else 1.0
        if place in best and hit.score > most:
            note = ", ".join(part for part in (hit.why.note, f"below what {_ASKED[question.tense]}") if part)
            hit = hit.model_copy(update={"score": most, "why": hit.why.model_copy(update={"note": note})})
        found.append(hit)
    return sorted(found, key=lambda hit: -hit.score)


_ASKED = {"present": "is so now", "former": "was so before"}


def _versions(space: Space, ids: list[str], filters: Filters) -> list[Fact]:
    """The version of each fact that is believed now, or was at `known_at`."""
    if filters.known_at is None:
        return space.ledger.select(Fact, Query(where={"retired_at": None}, ids=ids))
    known = filters.known_at
    return [
        fact
        for fact in space.ledger.select(Fact, Query(ids=ids))
        if fact.recorded_at <= known and (fact.retired_at is None or fact.retired_at > known)
    ]


def _passing(facts: list[Fact], filters: Filters, inside: Inside | None) -> list[Fact]:
    """Those that were true at `as_of`, and that have a source which the other filters let through."""
    if filters.as_of is not None:
        facts = [fact for fact in facts if _true_at(fact, filters.as_of)]
    if inside is None and (filters.speaker, filters.since, filters.until) == (None, None, None):
        return facts
    speaker = None if filters.speaker is None else filters.speaker.casefold()

    def passes(source: Source) -> bool:
        return (
            (inside is None or inside(source.episode_id))
            and (speaker is None or source.speaker.casefold() == speaker)
            and (filters.since is None or (source.at is not None and source.at >= filters.since))
            and (filters.until is None or (source.at is not None and source.at < filters.until))
        )

    return [fact for fact in facts if any(map(passes, fact.sources))]


def _true_at(fact: Fact, asked: datetime) -> bool:
    begun = fact.valid_from is None or fact.valid_from.earliest <= asked
    return begun and (fact.valid_to is None or asked < fact.valid_to.latest)


def _coverage(question: Question, fact: Fact) -> float:
    """The share of the question's terms that the fact's sentence holds."""
    if not question.terms:
        return 0.0
    held = set(terms(f"{fact.subject} {fact.text} {fact.predicate.replace('_', ' ')}"))
    return sum(term in held for term in question.terms) / len(question.terms)
