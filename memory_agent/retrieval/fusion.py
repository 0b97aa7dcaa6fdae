"""From features to one score: a weighted sum with fitted weights, read from weights.json, and trees over the best.

The weights are a logistic regression over the features of `features.NAMES`, fitted on development
conversations by `python -m memory_agent.evaluation.fitting`; the score is the probability that a
turn belongs to the answer's evidence. Reciprocal rank fusion was measured worse than BM25 alone
on dialogue: it lets a weak arm in.

The FIRST best are ranked anew by that sum and boosted trees (`trees`) together. Over more than these the trees lose
on conversations they have not seen. A score stays the linear one's probability: those of the best are dealt out in
the new order.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from memory_agent.retrieval.corpus import Floats
from memory_agent.retrieval.features import NAMES
from memory_agent.retrieval.trees import Trees

FILE = "weights.json"
TREES = "trees.json"
FIRST = 20
"""How many of the best the trees have a say in."""
SAY = 0.3
"""The trees' share of those candidates' log-odds."""
_TOLD = 4


FIXED: Mapping[str, float] = {"assistant": -2.0, "opening": 2.0, "turn_standing": 1.0}
"""Weights that are set, not fitted, as in LoCoMo no assistant speaks.

A memory of a person is asked about the person; where a question goes over all the talk, what a session is about is
said at its beginning; a standing wish ("always ... when I ask") concerns more than its words say. Chosen among a few
values each by the figures of one BEAM conversation.
"""
FIXED_AT = np.array([name in FIXED for name in NAMES])
"""Which of `features.NAMES` those are."""


@dataclass(frozen=True)
class Weights:
    """One weight a feature, in the order of `features.NAMES`, and the bias."""

    values: Floats
    bias: float
    fitted_on: tuple[str, ...] = ()
    """Ids of the conversations the weights have seen."""
    left_out: Mapping[str, Any] = field(default_factory=dict)
    """What such weights are worth on those, each ranked by weights fitted on the others."""
    trees: Trees | None = None

    def linear(self, features: Floats) -> Floats:
        """Log-odds by the weighted sum alone, shape (len(features),)."""
        found: Floats = features @ self.values + np.float32(self.bias)
        return found

    def logits(self, features: Floats) -> Floats:
        """Log-odds, shape (len(features),): the linear ones; those of the FIRST best dealt out as the trees have it."""
        found = self.linear(features)
        if self.trees is None or len(found) < 2:
            return found
        best = np.argsort(-found, kind="stable")[:FIRST]
        # What is set and not fitted, the trees have not seen: it counts in full.
        seen = features[best] @ np.where(FIXED_AT, 0, self.values) + np.float32(self.bias)
        mixed = found[best] + SAY * (self.trees.logits(features[best]) - seen)
        dealt: Floats = found.copy()
        dealt[best[np.argsort(-mixed, kind="stable")]] = found[best]
        return dealt

    def reasons(self, row: Floats, typical: Floats) -> str:
        """The features that lift `row` most above the `typical` candidate, strongest first."""
        parts = (row - typical) * self.values
        best = [i for i in np.argsort(-parts)[:_TOLD] if parts[i] > 0]
        return ", ".join(f"{NAMES[i]} +{parts[i]:.1f}" for i in best)


@functools.cache
def shipped() -> Weights:
    """The weights of weights.json and the trees of trees.json; a feature that is not named weighs nothing."""
    data, trees = (json.loads(files(__package__).joinpath(name).read_text(encoding="utf-8")) for name in (FILE, TREES))
    values = np.array([data["weights"].get(name, 0.0) for name in NAMES], dtype=np.float32)
    return Weights(
        values,
        float(data["bias"]),
        tuple(data["fitted_on"]),
        data["leave_one_conversation_out"],
        Trees.read(trees, NAMES),
    )


def probability(logits: Floats) -> Floats:
    """Log-odds as probabilities."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float32)
