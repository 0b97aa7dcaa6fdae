"""The facts arm: what share of the question's words a fact holds, and how near its vector is.

Facts are short sentences, so coverage says more than BM25, and it means the same in every space. Both
parts lie between 0 and 1, so a fact's score stands beside an episode's probability.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from memory_agent.protocols import Query, Vectors
from memory_agent.records import Fact, Hit, Source, Why
from memory_agent.retrieval.question import Question
from memory_agent.retrieval.words import terms
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.retrieval.search import Filters

ARM = 60
"""Facts taken from each of the word and the vector index."""
WORDS, VECTOR = 0.6, 0.4
STANDING = {"current": 1.0, "disputed": 0.8, "stale": 0.7, "superseded": 0.6, "ended": 0.6}
"""What a fact's status leaves of its score, unless a past moment is asked about."""
_FLOOR = 0.05

Inside = Callable[[str], bool]
"""Whether the episode of that id passes the filters."""


def find(space: Space, question: Question, vectors: Vectors, filters: Filters, inside: Inside | None) -> list[Hit]:
    """Facts that pass the filters, each with its score; unsorted. One of their sources has to be `inside`."""
    words = [word for word in question.text.split() if terms(word)]
    lexical = dict(space.ledger.match(words, limit=ARM, kinds=("fact",)))
    dense = dict(space.index.query("fact", vectors[0], ARM)) if vectors.size else {}
    ids = list(dict.fromkeys([*lexical, *dense]))
    if not ids:
        return []
    past = filters.as_of is not None or filters.known_at is not None
    ranks = {
        name: {id: place for place, id in enumerate(arm, start=1)}
        for name, arm in (("lexical", lexical), ("dense", dense))
    }
    hits = []
    for fact in _passing(_versions(space, ids, filters), filters, inside):
        covered, cosine = _coverage(question, fact), max(dense.get(fact.id, 0.0), 0.0)
        score = (WORDS * covered + VECTOR * cosine) * (1.0 if past else STANDING[fact.status])
        if score < _FLOOR:
            continue
        scores = {"words": round(covered, 4)} | ({"dense": round(cosine, 4)} if fact.id in dense else {})
        placed = {name: rank[fact.id] for name, rank in ranks.items() if fact.id in rank}
        note = "" if past or fact.status == "current" else f"{fact.status}: counts {STANDING[fact.status]:g}"
        why = Why(scores=scores, ranks=placed, note=note)
        hits.append(Hit(record=fact, score=float(np.clip(score, 0, 1)), why=why))
    return hits


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
