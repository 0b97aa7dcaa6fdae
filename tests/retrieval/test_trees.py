"""Boosted trees as numbers: read, followed, fitted, and what they may do to a ranking."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.evaluation import boosting
from memory_agent.retrieval.features import NAMES
from memory_agent.retrieval.fusion import FIRST, FIXED, FIXED_AT, Weights, shipped
from memory_agent.retrieval.trees import Trees

DATA = {"features": ["b", "a"], "bias": 0.5, "trees": [[0, 1.0, -1.0, [1, 2.0, 10.0, 20.0]], 0.25]}


def test_trees_are_followed_from_the_root_to_a_leaf() -> None:
    trees = Trees.read(DATA, ("a", "b", "c"))
    rows = np.array([[0, 1, 9], [2, 1.5, 9], [2.5, 3, 9]], dtype=np.float32)
    assert trees.logits(rows).tolist() == [-0.25, 10.75, 20.75]
    assert trees.logits(rows[:0]).shape == (0,)


def test_what_is_read_back_judges_as_the_library_did(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1500, len(NAMES))).astype(np.float32)
    relevant = (features[:, 0] * features[:, 1] > 0.3) | (features[:, 9] > 1.5)
    trees = boosting.boost(features, relevant)
    boosting.write(trees, tmp_path / "trees.json")
    assert json.loads((tmp_path / "trees.json").read_text()) == trees
    assert not set(trees["features"]) & set(FIXED)
    own = boosting.fitted(features[:, ~FIXED_AT], relevant).decision_function(features[:200, ~FIXED_AT])
    assert Trees.read(trees, NAMES).logits(features[:200]) == pytest.approx(own, abs=0.01)
    assert boosting.boost(features, relevant) == trees


@given(st.integers(0, 60), st.integers(0, 5))
def test_trees_move_the_best_among_themselves_and_nothing_else(count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(count, len(NAMES))).astype(np.float32)
    weights = shipped()
    before, after = weights.linear(rows), weights.logits(rows)
    best = np.argsort(-before, kind="stable")
    assert sorted(after) == sorted(before)
    assert np.array_equal(after[best[FIRST:]], before[best[FIRST:]])
    assert np.array_equal(replace(weights, trees=None).logits(rows), before)


def test_a_weight_that_is_set_counts_in_full_beside_the_trees() -> None:
    one = Trees.read({"features": ["bm25"], "bias": 0.0, "trees": [[0, 0.5, 0.0, 6.0]]}, NAMES)
    weights = Weights(np.array([FIXED.get(name, 0.0) for name in NAMES], dtype=np.float32), 0.0, trees=one)
    rows = np.zeros((2, len(NAMES)), dtype=np.float32)
    rows[0, NAMES.index("opening")] = 1
    rows[1, NAMES.index("bm25")] = 1
    # The trees' 6 counts 0.3 of it, 1.8; the 2 of the opening stays 2.
    assert weights.logits(rows).argmax() == 0
