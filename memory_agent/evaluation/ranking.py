"""What a ranking is worth: recall, hits and nDCG over evidence turns and over their sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

from memory_agent.evaluation.datasets import Question

DEPTHS = (5, 10, 20, 50)
SESSIONS = 5
SHOWN = (*(f"recall@{k}" for k in DEPTHS), "ndcg@10", "session_hit@5")
"""The figures of `scores` that tables show."""


@dataclass(frozen=True)
class Ranked:
    """A question and what was found for it: ids of turns, best first, and the session of every turn."""

    question: Question
    ids: Sequence[str]
    session_of: Mapping[str, str]


def scores(row: Ranked) -> dict[str, float]:
    """The figures of one question, each 0 to 1.

    Binary relevance; nDCG as Järvelin and Kekäläinen (2002), over the first ten. A session stands
    where its first turn stands.
    """
    evidence = set(row.question.evidence)
    found = {f"recall@{k}": len(evidence & set(row.ids[:k])) / len(evidence) for k in DEPTHS}
    found["hit@10"] = float(bool(evidence & set(row.ids[:10])))
    gain = sum(1 / log2(place + 2) for place, id in enumerate(row.ids[:10]) if id in evidence)
    found["ndcg@10"] = gain / sum(1 / log2(place + 2) for place in range(min(len(evidence), 10)))
    sessions = list(dict.fromkeys(row.session_of[id] for id in row.ids))[:SESSIONS]
    wanted = {row.session_of[id] for id in evidence}
    found["session_recall@5"] = len(wanted & set(sessions)) / len(wanted)
    found["session_hit@5"] = float(bool(wanted & set(sessions)))
    return found


def mean(rows: Sequence[Ranked]) -> dict[str, float]:
    """The mean of each figure over the questions, and how many there were."""
    each = [scores(row) for row in rows]
    figures = {name: round(sum(one[name] for one in each) / len(each), 4) for name in each[0]} if each else {}
    return {"questions": len(rows), **figures}


def summary(rows: Sequence[Ranked]) -> dict[str, object]:
    """The means over the headline questions, and by category (those outside the headline included)."""
    categories = sorted({row.question.category for row in rows})
    return {
        **mean([row for row in rows if row.question.headline]),
        "by_category": {c: mean([row for row in rows if row.question.category == c]) for c in categories},
    }
