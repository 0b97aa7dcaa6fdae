"""Ranking the best hits anew by a cross-encoder, within a time budget.

The new order is by the sum of both judgements, log-odds and the cross-encoder's score standardised over
the hits that are ranked anew: alone, a model that never saw dialogue throws away what speakers, sessions and
dates say. A hit's score stays what it means (a probability), so those hits' scores are dealt out in the new order.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from memory_agent.errors import ModelError
from memory_agent.protocols import Reranker
from memory_agent.records import Episode, Hit

_STEP = 8
"""Pairs scored between two looks at the clock."""
_SAY = 1.5
"""Log-odds that one standard deviation of the cross-encoder counts."""
_TINY = 1e-9


def rerank(
    reranker: Reranker, question: str, hits: Sequence[Hit], *, top: int, milliseconds: float
) -> tuple[list[Hit], str]:
    """The hits with the `top` best ranked anew, and a note: empty, or why the first order stands.

    It stands when the budget would be overrun, which is told from the pairs scored so far, and when
    the model cannot be had. Loading the model, once, is not part of the budget.
    """
    best = list(hits[:top])
    if len(best) < 2:
        return list(hits), ""
    try:
        reranker.prepare()
        found, note = _scores(reranker, question, [_text(hit) for hit in best], milliseconds)
    except ModelError as error:
        return list(hits), f"not reranked: {error}"
    if note:
        return list(hits), note
    first = np.log([max(hit.score, _TINY) / max(1 - hit.score, _TINY) for hit in best])
    order = np.argsort(-(first + _SAY * _standard(np.array(found))), kind="stable")
    places = np.argsort(np.argsort(-np.array(found), kind="stable"), kind="stable") + 1
    dealt = sorted((hit.score for hit in best), reverse=True)
    again = [
        best[n].model_copy(
            update={
                "score": score,
                "why": best[n].why.model_copy(
                    update={
                        "scores": {**best[n].why.scores, "cross": round(found[n], 4)},
                        "ranks": {**best[n].why.ranks, "cross": int(places[n])},
                    }
                ),
            }
        )
        for n, score in zip(order, dealt, strict=True)
    ]
    return [*again, *hits[top:]], ""


def _scores(reranker: Reranker, question: str, texts: Sequence[str], milliseconds: float) -> tuple[list[float], str]:
    """A score a text, or why it would take too long."""
    found: list[float] = []
    began = time.perf_counter()
    for start in range(0, len(texts), _STEP):
        found += reranker.scores(question, texts[start : start + _STEP])
        spent = (time.perf_counter() - began) * 1000
        due = spent / len(found) * len(texts)
        if due > milliseconds:
            told = f"{len(texts)} pairs would take {due:.0f} ms of {milliseconds:g} ms"
            return [], f"not reranked: {told}; raise rerank_ms or lower rerank_top"
    return found, ""


def _standard(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray((values - values.mean()) / max(float(values.std()), _TINY))


def _text(hit: Hit) -> str:
    record = hit.record
    return f"{record.speaker}: {record.content}" if isinstance(record, Episode) else record.text
