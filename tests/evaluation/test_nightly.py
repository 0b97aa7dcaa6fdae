"""Nights of living on: what changes is asked as it is, what is forgotten is gone, and only dirty shards are built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from students import tiny_student
from test_eval_distillation import RECIPE

from memory_agent.errors import InvalidInput
from memory_agent.evaluation.nightly import run
from memory_agent.memory import Memory


def test_two_nights_with_a_student_that_learns_nothing_one_of_them_killed(tmp_path: Path) -> None:
    student = str(tiny_student(tmp_path / "student"))
    called: dict[str, Any] = {"add": 5, "change": 1, "delete": 1, "cap": 3, "student": student, "recipe": RECIPE}

    def killed(share: float, doing: str) -> None:
        if "probing" in doing:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(2, keep=tmp_path / "kept", progress=killed, **called)
    found = run(2, keep=tmp_path / "kept", **called)
    first, second = found["nights"]
    assert json.loads(json.dumps(found)) == found
    assert first["all"]["n"] < second["all"]["n"] < 3 * first["all"]["n"], "what came before the kill came once"
    assert (first["shards"], first["dirty"], first["rebuilt"]) == (2, 2, 2)
    assert second["shards"] >= 3
    assert second["dirty"] == second["rebuilt"] > 0
    assert found["idle_rows"] == 0
    assert first["deleted"]["n"] == first["stale"]["n"] == 0
    assert second["deleted"]["n"] == second["deleted_base"]["n"] > 0
    assert second["stale"]["n"] > 0
    assert 0 < second["first_night"]["n"] < first["all"]["n"]
    assert second["deleted"]["rate"] == 0.0, "random weights name nobody"
    life = json.loads((tmp_path / "kept" / "nights.json").read_text("utf-8"))
    with Memory.open(tmp_path / "kept" / "memory", user="evaluation") as memory:
        held = sorted((fact.subject, fact.predicate, fact.object) for fact in memory.facts())
    assert held == sorted((fact["subject"], fact["predicate"], fact["object"]) for fact, _ in life["standing"])
    with pytest.raises(InvalidInput, match="differs in add; name another folder"):
        run(2, keep=tmp_path / "kept", **{**called, "add": 7})


def test_more_cannot_go_than_comes() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        run(2, add=3, change=2, delete=2)
