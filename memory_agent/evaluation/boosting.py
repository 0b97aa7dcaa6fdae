"""Fits the boosted trees that fusion asks about the best candidates, and writes them as plain numbers.

Small trees and many of them, over every candidate of the pool, two fifths of the features tried at a split; of a
dozen settings none did better beyond noise. One seed, so the same data give the same trees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_agent.retrieval.corpus import Floats
from memory_agent.retrieval.features import NAMES
from memory_agent.retrieval.fusion import FIXED_AT
from memory_agent.retrieval.trees import Node

ROUNDS = 300
LEAVES = 4
SEED = 0
_SMALLEST = 100
"""Rows a leaf holds at least."""
_DIGITS = 5


def boost(features: Floats, relevant: NDArray[np.bool_]) -> dict[str, Any]:
    """Trees fitted to tell the relevant rows of `features` (n, len(NAMES)), as `Trees.read` takes them.

    Features whose weight is set are not used.
    """
    used = np.flatnonzero(~FIXED_AT)
    model = fitted(features[:, used].astype(np.float32), relevant)
    # The library has no public way to read its trees; a test compares these with the library's own answers.
    trees = [_tree(each.nodes, 0) for (each,) in model._predictors]
    bias = round(float(model._baseline_prediction[0, 0]), _DIGITS)
    return {"features": [NAMES[n] for n in used], "bias": bias, "trees": trees}


def fitted(features: Floats, relevant: NDArray[np.bool_]) -> Any:
    """scikit-learn's model of these rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=ROUNDS,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=_SMALLEST,
        l2_regularization=10.0,
        max_features=0.4,
        early_stopping=False,
        random_state=SEED,
    ).fit(features, relevant)


def _tree(nodes: NDArray[Any], place: int) -> Node:
    node = nodes[place]
    if node["is_leaf"]:
        return round(float(node["value"]), _DIGITS)
    sides = (_tree(nodes, int(node[side])) for side in ("left", "right"))
    return [int(node["feature_idx"]), _below(float(node["num_threshold"])), *sides]


def _below(threshold: float) -> float:
    """The largest float32 not above, in its shortest form: features are float32, so no row changes sides."""
    near = np.float32(threshold)
    return float(str(near if near <= threshold else np.nextafter(near, np.float32(-np.inf))))


def write(fitted: Mapping[str, Any], path: Path) -> None:
    """Write what `boost` gave, a line a tree."""
    lines = ",\n".join("  " + json.dumps(tree) for tree in fitted["trees"])
    head = f' "features": {json.dumps(fitted["features"])},\n "bias": {fitted["bias"]}'
    path.write_text(f'{{\n{head},\n "trees": [\n{lines}\n ]\n}}\n', encoding="utf-8")
