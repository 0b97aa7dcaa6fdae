"""Boosted regression trees as plain numbers: a judgement of the best candidates beside the linear one.

Trees see what a weighted sum cannot, such as that a match counts less where the wrong person said it. They are fitted
by `memory_agent.evaluation.boosting` and read from trees.json: `[feature, threshold, below, above]` for an inner node,
a number for a leaf; a row goes below where its value is not above the threshold (gradient boosting: Friedman, 2001).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Node = Any
"""A leaf's value, or [feature, threshold, below, above]."""


@dataclass(frozen=True)
class Trees:
    """All trees side by side, shape (trees, nodes), each one's root at 0; a leaf leads to itself."""

    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    below: NDArray[np.int32]
    above: NDArray[np.int32]
    value: NDArray[np.float32]
    bias: float
    depth: int

    @classmethod
    def read(cls, data: Mapping[str, Any], columns: Sequence[str]) -> Trees:
        """Trees of `data["trees"]` over the features named in `data["features"]`, for rows of `columns`."""
        places = [columns.index(name) for name in data["features"]]
        flat = [_flat(tree) for tree in data["trees"]]
        shape = (len(flat), max(len(nodes) for nodes in flat))
        feature, below, above = (np.zeros(shape, dtype=np.int32) for _ in range(3))
        threshold, value = (np.zeros(shape, dtype=np.float32) for _ in range(2))
        for number, nodes in enumerate(flat):
            for node, (column, *others) in enumerate(nodes):
                at = number, node
                feature[at] = places[column]
                threshold[at], below[at], above[at], value[at] = others
        return cls(feature, threshold, below, above, value, float(data["bias"]), max(map(_depth, data["trees"])))

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-odds, shape (len(features),), of rows of the columns they were read for."""
        rows, every = np.arange(len(features))[:, None], np.arange(len(self.feature))[None, :]
        node = np.zeros((len(features), len(self.feature)), dtype=np.int32)
        for _ in range(self.depth):
            under = features[rows, self.feature[every, node]] <= self.threshold[every, node]
            node = np.where(under, self.below[every, node], self.above[every, node])
        found: NDArray[np.float32] = self.value[every, node].sum(axis=1) + np.float32(self.bias)
        return found


def _flat(tree: Node) -> list[tuple[int, float, int, int, float]]:
    """(feature, threshold, below, above, value) for each node, the root first."""
    nodes: list[tuple[int, float, int, int, float]] = []

    def lay(node: Node) -> int:
        place = len(nodes)
        nodes.append((0, 0.0, place, place, 0.0))
        if isinstance(node, list):
            feature, threshold, below, above = node
            nodes[place] = (feature, threshold, lay(below), lay(above), 0.0)
        else:
            nodes[place] = (0, 0.0, place, place, float(node))
        return place

    lay(tree)
    return nodes


def _depth(tree: Node) -> int:
    return 1 + max(_depth(tree[2]), _depth(tree[3])) if isinstance(tree, list) else 0
