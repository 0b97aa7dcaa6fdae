"""From features to one score: a weighted sum with fitted weights, read from weights.json.

The weights are a logistic regression over the features of `features.NAMES`, fitted on development
conversations by `python -m memory_agent.evaluation.fitting`; the score is the probability that a
turn belongs to the answer's evidence. Reciprocal rank fusion was measured worse than BM25 alone
on dialogue: it lets a weak arm in.
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

FILE = "weights.json"
_TOLD = 4


@dataclass(frozen=True)
class Weights:
    """One weight a feature, in the order of `features.NAMES`, and the bias."""

    values: Floats
    bias: float
    fitted_on: tuple[str, ...] = ()
    """Ids of the conversations the weights have seen."""
    left_out: Mapping[str, Any] = field(default_factory=dict)
    """What such weights are worth on those, each ranked by weights fitted on the others."""

    def logits(self, features: Floats) -> Floats:
        """Log-odds, shape (len(features),)."""
        found: Floats = features @ self.values + np.float32(self.bias)
        return found

    def reasons(self, row: Floats, typical: Floats) -> str:
        """The features that lift `row` most above the `typical` candidate, strongest first."""
        parts = (row - typical) * self.values
        best = [i for i in np.argsort(-parts)[:_TOLD] if parts[i] > 0]
        return ", ".join(f"{NAMES[i]} +{parts[i]:.1f}" for i in best)


@functools.cache
def shipped() -> Weights:
    """The weights of weights.json; a feature it does not name weighs nothing."""
    data = json.loads(files(__package__).joinpath(FILE).read_text(encoding="utf-8"))
    values = np.array([data["weights"].get(name, 0.0) for name in NAMES], dtype=np.float32)
    return Weights(values, float(data["bias"]), tuple(data["fitted_on"]), data["leave_one_conversation_out"])


def probability(logits: Floats) -> Floats:
    """Log-odds as probabilities."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float32)
