"""What speaks for each episode, given a question: one row a candidate, one column a feature.

Candidates are the union of what the arms rank first, and the neighbours of the best of them in
their sessions. Scores are normalised within the question (BM25 by its best, cosine between its
median over the space and its best), so that weights carry over from one space to another.

BM25 is Robertson and Zaragoza's (2009) with the usual non-negative idf. All is computed in one pass
over the postings of the question's terms and one product with the vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memory_agent.protocols import Vectors
from memory_agent.retrieval.corpus import TRAITS, Columns, Corpus, Floats
from memory_agent.retrieval.postings import Ints
from memory_agent.retrieval.question import Question

K1, B = 1.2, 0.6
ARM = 150
"""Candidates taken from each arm."""
SPREAD = 40
"""Best candidates whose neighbours become candidates."""
POOL = 250
"""Candidates that are scored with every feature."""
EXACT = 250_000
"""Up to so many episodes every vector is compared; above, the index names the nearest."""
_FEW = 0.2
"""Share of the vectors up to which copying them out is faster than comparing all."""
_SAMPLE = 2000
_OPENING = 24
"""Turns within which a session's beginning is looked for."""
_TINY = 1e-6

Nearest = Callable[[Vectors, int], list[str]]
"""(vector, limit) -> ids of the nearest episodes: the vector index."""


@dataclass
class Candidates:
    """The scored pool: document numbers, features (len(documents), len(NAMES)), and the arms' plain scores."""

    documents: Ints
    features: Floats
    arms: dict[str, Floats]


class _Lexical:
    """BM25 of every document, whole and without the speakers' names, and the counts behind it."""

    def __init__(self, corpus: Corpus, question: Question) -> None:
        columns, total = corpus.columns, len(corpus)
        self.named = np.array(question.named, dtype=bool)
        self.counts = np.zeros((len(question.terms), total), dtype=np.uint8)
        self.idf = np.zeros(len(question.terms), dtype=np.float32)
        self.full: Floats = np.zeros(total, dtype=np.float32)
        self.bare: Floats = np.zeros(total, dtype=np.float32)
        sessions = len(corpus.sessions)
        by_session = np.zeros((len(question.terms), sessions), dtype=np.float32)
        mean = float(columns.size.mean())
        for i, term in enumerate(question.terms):
            posting = corpus.postings.of(term)
            if posting is None:
                continue
            documents, counts = posting
            self.counts[i, documents] = counts
            self.idf[i] = np.log1p((total - len(documents) + 0.5) / (len(documents) + 0.5))
            score = float(self.idf[i]) * _saturate(counts.astype(np.float32), columns.size[documents], mean)
            self.full[documents] += score
            if not self.named[i]:
                self.bare[documents] += score
                by_session[i] = np.bincount(columns.session[documents], counts, sessions)
        self.by_session = self._of_sessions(by_session, columns.session_size)

    def _of_sessions(self, counts: Floats, sizes: Floats) -> Floats:
        holding = (counts > 0).sum(axis=1)
        idf = np.where(holding > 0, np.log1p((counts.shape[1] - holding + 0.5) / (holding + 0.5)), 0)
        score: Floats = (idf[:, None] * _saturate(counts, sizes, float(sizes.mean()))).sum(axis=0).astype(np.float32)
        return score


def _saturate(counts: Floats, sizes: Floats, mean: float) -> Floats:
    return np.asarray(counts * (K1 + 1) / (counts + K1 * (1 - B + B * sizes / mean)), dtype=np.float32)


def _best(scores: Floats, allowed: NDArray[np.bool_] | None, limit: int) -> Ints:
    """The numbers of the `limit` highest positive scores among the allowed."""
    scores = scores if allowed is None else np.where(allowed, scores, 0)
    if len(scores) > limit:
        found = np.argpartition(-scores, limit)[:limit]
        return found[scores[found] > 0].astype(np.int32)
    return np.flatnonzero(scores > 0).astype(np.int32)


def _to_best(scores: Floats) -> Floats:
    best = float(scores.max()) if len(scores) else 0.0
    return scores / best if best > 0 else scores


class _Dense:
    """Cosines of the question, whole and without names, to whichever rows are asked for."""

    def __init__(self, corpus: Corpus, vectors: Vectors) -> None:
        self._rows = corpus.vectors
        self._questions = np.asfortranarray(vectors.T)
        self.there = bool(len(self._rows)) and vectors.size > 0
        if self.there:
            sample = self._rows[:: max(len(self._rows) // _SAMPLE, 1)] @ self._questions
            self.median = np.median(sample, axis=0)
        else:
            self.median = np.zeros(2)
        self.best = self.median + 1.0

    def nearest(self, allowed: NDArray[np.bool_] | None, index: Nearest, number: dict[str, int]) -> Ints:
        """The candidates of this arm, over both forms of the question."""
        if not self.there:
            return np.zeros(0, dtype=np.int32)
        total = len(self._rows)
        among = None if allowed is None else np.flatnonzero(allowed)
        if total > EXACT and (among is None or len(among) > EXACT):
            found = [index(self._questions[:, i], ARM) for i in (0, 1)]
            named = np.array([number[id] for ids in found for id in ids if id in number], dtype=np.int32)
            return named if allowed is None else named[allowed[named]]
        # Few rows are copied out, many are compared where they are. One product for each form of the
        # question: BLAS takes a matrix of two columns twice as long as two vectors.
        few = among is not None and len(among) < total * _FEW
        rows = self._rows[among] if few else self._rows
        forms = [0] if np.array_equal(self._questions[:, 0], self._questions[:, 1]) else [0, 1]
        places = [_best(rows @ self._questions[:, i] + 1.0, None if few else allowed, ARM) for i in forms]
        return np.concatenate([among[found] if few and among is not None else found for found in places]).astype(
            np.int32
        )

    def measure(self, documents: Ints) -> Floats:
        """Cosines, shape (len(documents), 2)."""
        if not self.there:
            return np.zeros((len(documents), 2), dtype=np.float32)
        cosines: Floats = self._rows[documents] @ self._questions
        return cosines

    def normal(self, cosines: Floats, best: Floats) -> Floats:
        """Cosines between the median of the space (0) and the best (1)."""
        scaled: Floats = (cosines - self.median) / np.maximum(best - self.median, _TINY)
        return scaled.astype(np.float32)

    def windows(self, centre: Ints, before: Ints, after: Ints) -> Floats:
        """Cosines of the bare question to the mean of each document's and its neighbours' vectors."""
        if not self.there:
            return np.zeros(len(centre), dtype=np.float32)
        total = self._rows[centre].copy()
        for near in (before, after):
            total[near >= 0] += self._rows[near[near >= 0]]
        norms = np.maximum(np.linalg.norm(total, axis=1), _TINY)
        cosines: Floats = (total @ self._questions[:, 1]) / norms
        return cosines


def _step(columns: Columns, documents: Ints, step: int) -> Ints:
    """Each document's neighbour so many turns on (negative: before), -1 where the session ends."""
    link = columns.following if step > 0 else columns.preceding
    found = documents
    for _ in range(abs(step)):
        found = np.where(found >= 0, link[found], -1).astype(np.int32)
    return found


def candidates(
    corpus: Corpus,
    question: Question,
    vectors: Vectors,
    index: Nearest,
    allowed: NDArray[np.bool_] | None = None,
) -> Candidates:
    """The candidates for a question and their features.

    `vectors` is (2, dimension): the question whole and bare; shape (0, 0) leaves the dense arm out.
    `allowed` (one a document) cuts before anything is ranked.
    """
    columns = corpus.columns
    lexical = _Lexical(corpus, question)
    dense = _Dense(corpus, vectors)
    arms = [
        _best(lexical.full, allowed, ARM),
        _best(lexical.bare, allowed, ARM),
        dense.nearest(allowed, index, corpus.number),
    ]
    found = np.unique(np.concatenate(arms))
    if not len(found):
        return Candidates(found, np.zeros((0, len(NAMES)), dtype=np.float32), {})
    scorer = _Scorer(corpus, columns, question, lexical, dense)
    scorer.look_at(found)
    best = found[np.argsort(-scorer.base_of(found), kind="stable")[:SPREAD]]
    near = np.concatenate([_step(columns, best, step) for step in (-2, -1, 1, 2)])
    near = near[near >= 0]
    if allowed is not None:
        near = near[allowed[near]]
    pool = np.union1d(found, near).astype(np.int32)
    scorer.look_at(np.unique(np.concatenate([pool, *(_step(columns, pool, step) for step in (-2, -1, 1, 2))])))
    return scorer.rows(pool)


class _Scorer:
    """Base scores over the candidates and their neighbours, and the features made of them."""

    def __init__(self, corpus: Corpus, columns: Columns, question: Question, lexical: _Lexical, dense: _Dense) -> None:
        self._corpus, self._columns, self._question = corpus, columns, question
        self._lexical, self._dense = lexical, dense
        self._full = _to_best(lexical.full)
        self._bare = _to_best(lexical.bare)
        self._best_cosine: Floats | None = None

    def look_at(self, documents: Ints) -> None:
        """Measure these documents; `base_of` and `rows` know no others."""
        self._seen = documents[documents >= 0]
        self._cosines = self._dense.measure(self._seen)
        if self._best_cosine is None:
            self._best_cosine = self._cosines.max(axis=0)
        self._scaled = self._dense.normal(self._cosines, self._best_cosine)
        self._base: Floats = 0.5 * self._bare[self._seen] + 0.5 * self._scaled[:, 1]

    def _of(self, values: Floats, documents: Ints) -> Floats:
        """`values` (one per seen document) of these documents, 0 for those that are not there."""
        places = np.minimum(np.searchsorted(self._seen, documents), len(self._seen) - 1)
        found: Floats = np.where(documents >= 0, values[places], 0).astype(np.float32)
        return found

    def base_of(self, documents: Ints) -> Floats:
        """Half bare BM25, half bare cosine, both normalised."""
        return self._of(self._base, documents)

    def rows(self, pool: Ints) -> Candidates:
        """The POOL best of these by base and window, with their features."""
        before, after = _step(self._columns, pool, -1), _step(self._columns, pool, 1)
        window = _to_best(self._window_bm25(pool, before, after))
        cosine = self._dense.windows(pool, before, after)
        cosine_window = (cosine - self._dense.median[1]) / max(float(cosine.max() - self._dense.median[1]), _TINY)
        full = 0.5 * self._full[pool] + 0.5 * self._of(self._scaled[:, 0], pool)
        reach = np.maximum(full, self.base_of(pool)) + 0.15 * (window + cosine_window)
        kept = np.sort(np.argsort(-reach, kind="stable")[:POOL])
        pool, before, after = pool[kept], before[kept], after[kept]
        columns = self._features(pool, before, after, window[kept], cosine_window[kept].astype(np.float32))
        features = np.stack([columns[name] for name in NAMES], axis=1).astype(np.float32)
        arms = {"lexical": self._full[pool], "dense": self._of(self._cosines[:, 0], pool)}
        return Candidates(pool, features, arms)

    def _window_counts(self, pool: Ints, before: Ints, after: Ints) -> Floats:
        counts: Floats = self._lexical.counts[:, pool].astype(np.float32)
        for near in (before, after):
            counts += np.where(near >= 0, self._lexical.counts[:, near], 0)
        return counts

    def _window_bm25(self, pool: Ints, before: Ints, after: Ints) -> Floats:
        counts = self._window_counts(pool, before, after)
        sizes = self._columns.size[pool].copy()
        for near in (before, after):
            sizes += np.where(near >= 0, self._columns.size[near], 0)
        idf = np.where(self._lexical.named, 0, self._lexical.idf)
        score: Floats = (idf[:, None] * _saturate(counts, sizes, 3 * float(self._columns.size.mean()))).sum(axis=0)
        return score.astype(np.float32)

    def _session_scores(self, pool: Ints) -> dict[str, Floats]:
        """Per pool document: what its session as a whole offers."""
        sessions, count = self._columns.session, len(self._corpus.sessions)
        order = np.lexsort((-self._base, sessions[self._seen]))
        ranked, base = sessions[self._seen][order], self._base[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        place = np.arange(len(ranked)) - np.repeat(starts, np.diff(np.r_[starts, len(ranked)]))
        best = np.zeros(count, dtype=np.float32)
        best[ranked[starts]] = base[starts]
        three = np.bincount(ranked, np.where(place < 3, base, 0), count) / 3
        of = sessions[pool]
        return {
            "session_bm25": _to_best(self._lexical.by_session)[of],
            "session_best": best[of],
            "session_three": three[of].astype(np.float32),
        }

    def _features(
        self, pool: Ints, before: Ints, after: Ints, window: Floats, cosine_window: Floats
    ) -> dict[str, Floats]:
        columns, lexical, kinds = self._columns, self._lexical, self._question.kinds
        base = self.base_of(pool)
        scaled = self._of(self._scaled[:, 1], pool)
        rank: Floats = np.empty(len(pool), dtype=np.float32)
        rank[np.argsort(-base, kind="stable")] = np.arange(1, len(pool) + 1)
        found: dict[str, Floats] = {
            "bm25": self._full[pool],
            "bm25_bare": self._bare[pool],
            "bm25_log": np.asarray(np.log1p(lexical.bare[pool]) / 5, dtype=np.float32),
            "cosine_full": self._of(self._scaled[:, 0], pool),
            "cosine_bare": scaled,
            "cosine_raw": self._of(self._cosines[:, 1], pool),
            "window_bm25": window,
            "window_cosine": cosine_window,
            "rank": np.asarray(6 / (rank + 5), dtype=np.float32),
            "speaker": self._speaker_match(pool),
            "assistant": (~columns.user[pool]).astype(np.float32) * (not self._question.of_assistant),
            "date": self._date_match(pool),
            "opening": self._opening(pool),
            "first": (before < 0).astype(np.float32),
            **self._session_scores(pool),
            **self._coverage(pool, before, after),
        }
        for step in (-2, -1, 1, 2):
            found[f"near{step:+d}"] = self.base_of(_step(columns, pool, step))
        traits = {name: columns.traits[pool, i] for i, name in enumerate(TRAITS)}
        found.update({f"turn_{name}": column for name, column in traits.items()})
        found["turn_standing"] = traits["standing"] * self._to_assistant(pool)
        asked_before = np.where(before >= 0, columns.traits[before, 0], 0)
        found["answers"] = asked_before * found["near-1"]
        found["asks"] = traits["question"] * found["near+1"]
        for kind, trait in (("when", "time"), ("many", "number"), ("where", "name"), ("who", "name")):
            found[f"{kind}_{trait}"] = traits[trait] * (kind in kinds)
        for kind in ("when", "many", "where", "who", "would", "why"):
            found[f"{kind}_cosine"] = scaled * (kind in kinds)
        return found

    def _coverage(self, pool: Ints, before: Ints, after: Ints) -> dict[str, Floats]:
        """The share of the question's idf that the turn, or the turn with its neighbours, holds."""
        idf = np.where(self._lexical.named, 0, self._lexical.idf)
        total = max(float(idf.sum()), _TINY)
        held = self._lexical.counts[:, pool] > 0
        near = self._window_counts(pool, before, after) > 0
        rarest = (idf[:, None] * held).max(axis=0, initial=0) / max(float(idf.max(initial=0)), _TINY)
        shares = {"covered": idf @ held / total, "window_covered": idf @ near / total, "rarest": rarest}
        return {name: np.asarray(share, dtype=np.float32) for name, share in shares.items()}

    def _speaker_match(self, pool: Ints) -> Floats:
        """1 for turns of whoever the question is about, 0 for the others', a half where it does not say.

        That is its subject; in talk between a person and an assistant, where it names nobody, the person, unless it
        asks for what the assistant said.
        """
        question, user = self._question, self._columns.user
        if question.subject is not None:
            said = self._columns.speaker[pool] == self._corpus.speakers[question.subject]
            return np.asarray(said, dtype=np.float32)
        if not question.speakers and not user.all():
            return np.asarray(user[pool] != question.of_assistant, dtype=np.float32)
        return np.full(len(pool), 0.5, dtype=np.float32)

    def _to_assistant(self, pool: Ints) -> Floats:
        """1 for a person's turns in talk with an assistant."""
        user = self._columns.user
        return (user[pool] & (not user.all())).astype(np.float32)

    def _opening(self, pool: Ints) -> Floats:
        """Where a question goes over the whole talk with an assistant: how near the beginning of its session a person
        said a turn, 1 for the first, 3/4 for the second, a half for the fourth.

        What a session is about is said there, which no word of such a question names.
        """
        if not self._question.overall:
            return np.zeros(len(pool), dtype=np.float32)
        place, at = np.zeros(len(pool), dtype=np.int32), pool
        for _ in range(_OPENING):
            at = _step(self._columns, at, -1)
            place += (at >= 0) & self._columns.user[at]
        near = self._to_assistant(pool) * (at < 0)
        return np.asarray(near * 3 / (3 + place), dtype=np.float32)

    def _date_match(self, pool: Ints) -> Floats:
        """1 for turns said in a month (and year) that the question names."""
        month = self._columns.month[pool]
        if not self._question.months:
            return np.zeros(len(pool), dtype=np.float32)
        fits = np.isin(month % 12, list(self._question.months))
        if self._question.years:
            fits &= np.isin(month // 12, list(self._question.years))
        return fits.astype(np.float32)


NAMES = (
    "bm25", "bm25_bare", "bm25_log", "cosine_full", "cosine_bare", "cosine_raw", "window_bm25", "window_cosine", "rank",
    "speaker", "assistant", "date", "opening", "first", "session_bm25", "session_best", "session_three",
    "covered", "window_covered", "rarest",
    "near-2", "near-1", "near+1", "near+2", *(f"turn_{name}" for name in TRAITS), "answers", "asks",
    "when_time", "many_number", "where_name", "who_name",
    "when_cosine", "many_cosine", "where_cosine", "who_cosine", "would_cosine", "why_cosine",
)  # fmt: skip
"""The columns of `Candidates.features`, in order."""
