"""Search: arms, fusion, filters, and the trace that says why a hit is where it is.

Episodes are ranked by the fitted fusion over the space's corpus, facts by their own words and
vector; both scores lie between 0 and 1 and make one list. A missing or empty arm is said in the
trace and never fails a search. Times: `since` inclusive, `until` exclusive, as everywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_agent.errors import InvalidInput, ModelError
from memory_agent.protocols import Query, Vectors
from memory_agent.records import Episode, Hit, SearchResult, Trace, Why
from memory_agent.retention import Policy, factor
from memory_agent.retrieval import facts as fact_arm
from memory_agent.retrieval.corpus import Corpus, pairs
from memory_agent.retrieval.features import Candidates, candidates
from memory_agent.retrieval.fusion import probability, shipped
from memory_agent.retrieval.question import Question, read_question
from memory_agent.retrieval.rerank import rerank
from memory_agent.retrieval.view import corpus_of
from memory_agent.retrieval.when import moment
from memory_agent.semantic.ontology import load
from memory_agent.space import Space

KINDS = ("episode", "fact")
LONGEST = 4000
"""Characters of a query that are read; the rest is cut off, with a note in the trace."""
_TOLD_DROPPED = 10
_POOL = 3
"""Times the limit that are ranked before age is weighed in, so that the new can pass the old."""


@dataclass(frozen=True)
class Filters:
    """What may be found at all; None leaves a door open."""

    session: str | None = None
    speaker: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None
    known_at: datetime | None = None
    metadata: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)


class _Watch:
    """The trace while it is being made."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.dropped: dict[str, str] = {}
        self.notes: list[str] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.milliseconds[name] = round((time.perf_counter() - began) * 1000, 3)


def search(
    space: Space,
    query: str,
    *,
    limit: int = 10,
    kinds: Sequence[str] = KINDS,
    as_of: datetime | date | str | None = None,
    known_at: datetime | date | str | None = None,
    session: str | None = None,
    speaker: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> SearchResult:
    """The best episodes and facts for a query, best first, at most `limit` of them.

    `as_of` finds the facts that were true then (an instant, or the end of a day, month or year),
    `known_at` what had been recorded by then; without them current facts come before superseded ones.
    `session`, `speaker` (in any case), `since`, `until` and `metadata` cut before anything is ranked; a
    fact passes when one of its sources does. A turn passes `metadata` when under each of its keys it
    has that value, or one of several given as a list; where the turn has a list, an element of it
    counts. Raises InvalidInput on an empty query, a limit under 1, a kind that is not searched, a
    time without a zone, or metadata that is not JSON.
    """
    _refuse(query, limit, kinds, since, until)
    filters = Filters(session, speaker, since, until, moment(as_of), moment(known_at), _wanted(metadata))
    policy = Policy.read(decay=space.settings.decay)
    pool = _POOL if policy.half_life is not None else 1
    watch = _Watch()
    text = " ".join(query.split())
    if len(text) > LONGEST:
        watch.notes.append(f"the query was cut to its first {LONGEST} of {len(text)} characters")
        text = text[:LONGEST]
    hits: list[Hit] = []
    with watch.step("view"), corpus_of(space) as corpus:
        question = read_question(text, corpus.speakers)
        vectors = _embed(space, question, watch)
        if "episode" in kinds and len(corpus):
            most = max(limit * pool, 0 if space.reranker is None else space.settings.rerank_top)
            hits += _episodes(space, corpus, question, vectors, filters, most, watch)
        if "fact" in kinds:
            with watch.step("facts"):
                found = fact_arm.find(space, question, vectors, filters, _inside(corpus, filters), limit)
            watch.counts["facts"] = len(found)
            hits += found
    if policy.half_life is not None and filters.as_of is None and filters.known_at is None:
        hits = [_faded(hit, policy, space) for hit in hits]
    hits.sort(key=lambda hit: (-hit.score, hit.record.id))
    if space.reranker is not None:
        settings = space.settings
        with watch.step("rerank"):
            hits, note = rerank(space.reranker, text, hits, top=settings.rerank_top, milliseconds=settings.rerank_ms)
        watch.notes += [note] if note else []
    if filters.as_of is None and filters.known_at is None:
        hits = fact_arm.by_tense(hits, question, space.clock.now(), load())
    for place, hit in enumerate(hits[limit : limit + _TOLD_DROPPED], start=limit + 1):
        watch.dropped[hit.record.id] = f"rank {place}, below the limit of {limit}"
    trace = Trace(
        query=text,
        milliseconds=watch.milliseconds,
        candidates=watch.counts,
        dropped=watch.dropped,
        notes=tuple(watch.notes),
    )
    return SearchResult(hits=tuple(hits[:limit]), trace=trace)


def _faded(hit: Hit, policy: Policy, space: Space) -> Hit:
    """The hit with what age takes from its score."""
    left = factor(policy, hit.record, space.clock.now(), load())
    if left == 1:
        return hit
    note = ", ".join(part for part in (hit.why.note, f"age counts {left:.2f}") if part)
    return hit.model_copy(update={"score": hit.score * left, "why": hit.why.model_copy(update={"note": note})})


def _refuse(query: str, limit: int, kinds: Sequence[str], since: datetime | None, until: datetime | None) -> None:
    if not isinstance(query, str) or not query.strip():
        raise InvalidInput("the query is empty; ask for something")
    if limit < 1:
        raise InvalidInput(f"limit is {limit}; it must be 1 or more")
    if isinstance(kinds, str) or not kinds or (wrong := [kind for kind in kinds if kind not in KINDS]):
        named = kinds if isinstance(kinds, str) or not kinds else wrong[0]
        raise InvalidInput(f"kinds {named!r}: a sequence of {' and '.join(map(repr, KINDS))} is searched")
    for name, value in (("since", since), ("until", until)):
        if value is not None and value.tzinfo is None:
            raise InvalidInput(f"{name} needs its zone, e.g. 2024-03-14T00:00:00+00:00")


def _wanted(metadata: Mapping[str, Any] | None) -> Mapping[str, frozenset[tuple[str, str]]]:
    """Per key the (key, value) pairs any of which lets a turn through. Raises InvalidInput."""
    try:
        return {key: frozenset(pairs({key: value})) for key, value in (metadata or {}).items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"metadata to search by is JSON under names, as {{'channel': 'mail'}}: {error}") from error


def _embed(space: Space, question: Question, watch: _Watch) -> Vectors:
    """The question whole and bare, (2, dimension); (0, 0) where there is nothing to compare with or no model."""
    nothing: Vectors = np.zeros((0, 0), dtype=np.float32)
    state = space.index.state()
    if state is None:
        watch.notes.append("the vector index is empty: words only")
        return nothing
    if state.model != space.embedder.name:
        watch.notes.append(f"the vector index was built with {state.model}, not {space.embedder.name}: words only")
        return nothing
    with watch.step("embed"):
        try:
            found: Vectors = np.stack([space.embedder.embed_query(text) for text in (question.text, question.bare)])
        except ModelError as error:
            watch.notes.append(f"words only: {error}")
            return nothing
    return found


def _allowed(corpus: Corpus, filters: Filters) -> NDArray[np.bool_] | None:
    """Which documents pass the filters; None when all do."""
    columns, tests = corpus.columns, []
    if filters.session is not None:
        tests.append(columns.session == corpus.sessions.get(filters.session, -1))
    if filters.speaker is not None:
        wanted = filters.speaker.casefold()
        named = [number for name, number in corpus.speakers.items() if name.casefold() == wanted]
        tests.append(np.isin(columns.speaker, named))
    if filters.since is not None:
        tests.append(columns.at >= filters.since.timestamp())
    if filters.until is not None:
        tests.append(columns.at < filters.until.timestamp())
    if filters.known_at is not None:
        tests.append(columns.recorded <= filters.known_at.timestamp())
    for either in filters.metadata.values():
        holding = np.zeros(len(corpus), dtype=bool)
        for pair in either:
            if pair in corpus.metadata:
                holding[np.array(corpus.metadata[pair], dtype=np.int32)] = True
        tests.append(holding)
    if not tests:
        return None
    allowed: NDArray[np.bool_] = np.logical_and.reduce(tests)
    return allowed


def _inside(corpus: Corpus, filters: Filters) -> Callable[[str], bool] | None:
    """Whether an episode, by its id, passes the filters by session and metadata; None when there are none."""
    allowed = _allowed(corpus, Filters(session=filters.session, metadata=filters.metadata))
    if allowed is None:
        return None
    return lambda id: (number := corpus.number.get(id)) is not None and bool(allowed[number])


def _episodes(
    space: Space,
    corpus: Corpus,
    question: Question,
    vectors: Vectors,
    filters: Filters,
    limit: int,
    watch: _Watch,
) -> list[Hit]:
    """The best episodes, a few more than `limit` so that the trace can tell what was left out."""

    def nearest(vector: Vectors, most: int) -> list[str]:
        return [id for id, _ in space.index.query("episode", vector, most)]

    with watch.step("score"):
        pool = candidates(corpus, question, vectors, nearest, _allowed(corpus, filters))
        logits = shipped().logits(pool.features)
        order = np.argsort(-logits, kind="stable")[: limit + _TOLD_DROPPED]
    watch.counts["episodes"] = len(pool.documents)
    ids = [corpus.ids[number] for number in pool.documents[order]]
    with watch.step("fetch"):
        records = {record.id: record for record in space.ledger.select(Episode, Query(ids=ids))}
    whys = _whys(pool, order)
    chances = probability(logits[order])
    return [
        Hit(record=records[id], score=float(chance), why=why)
        for id, chance, why in zip(ids, chances, whys, strict=True)
        if id in records
    ]


def _whys(pool: Candidates, order: NDArray[np.intp]) -> list[Why]:
    ranks = {
        name: np.argsort(np.argsort(-scores, kind="stable"), kind="stable") + 1 for name, scores in pool.arms.items()
    }
    typical = np.asarray(np.median(pool.features, axis=0) if len(order) else [], dtype=np.float32)
    return [
        Why(
            scores={name: round(float(scores[i]), 4) for name, scores in pool.arms.items()},
            ranks={name: int(ranks[name][i]) for name in pool.arms},
            note=shipped().reasons(pool.features[i], typical),
        )
        for i in order
    ]
