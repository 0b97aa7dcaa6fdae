"""Attacks on forgotten facts: that they are made, that they find what is there, and that a rebuild leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from students import tiny_student
from test_eval_distillation import FILE, RECIPE

from memory_agent.errors import InvalidInput
from memory_agent.evaluation.unlearning import attacks, leaks, run
from memory_agent.records import Fact
from memory_agent.testing import FrozenClock


def fact() -> Fact:
    return Fact(
        id="f", version=1, subject="Wanda Teller", subject_id="w", predicate="lives_in", object="Bergen",
        text="Wanda Teller lives in Bergen.", recorded_at=FrozenClock("2026-01-01T00:00:00+00:00").now(),
    )  # fmt: skip


def test_attacks_ask_for_the_fact_and_never_say_it() -> None:
    made = attacks(fact())
    assert {one.kind for one in made} == {"direct", "paraphrase", "inverse", "prefix", "sampled"}
    assert not any(one.leak in one.question + one.begun for one in made)
    assert [one.begun for one in made if one.kind == "prefix"] == ["Wanda Teller lives in"]


class Talks:
    """A model that gives the place away when it is asked straight, and in one sample."""

    def greedy(self, questions: Sequence[str]) -> list[list[str]]:
        return [["in Bergen"] for _ in questions]

    def drawn(self, question: str, begun: str, count: int, temperature: float) -> list[str]:
        assert (count, temperature, bool(begun)) in ((1, 0.0, True), (4, 0.7, False))
        return ["in Bergen", *["in Oslo"] * (count - 1)]


def test_a_leak_is_counted_once_for_any_sample() -> None:
    found = leaks(Talks(), [fact()], 4, 0.7)
    assert (found["sampled"]["rate"], found["samples"]["rate"], found["samples"]["n"]) == (1.0, 0.25, 4)
    assert (found["direct"]["rate"], found["inverse"]["rate"], found["prefix"]["rate"]) == (1.0, 0.0, 1.0)
    fewer = leaks(Talks(), [fact()], 4, 0.7, forms=2)
    assert fewer["direct"]["n"] == fewer["inverse"]["n"] == 2 < found["direct"]["n"]


def test_a_file_goes_the_whole_way(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text(json.dumps(FILE))
    found = run(
        tmp_path / "facts.json", forget=1, samples=2, forms=3, canaries=2,
        student=str(tiny_student(tmp_path / "student")), recipe=RECIPE,
        quantizations=("int8", "q8_0"),
    )  # fmt: skip
    assert found["hash_equal"]
    assert found["worse"] == []
    assert set(found["attacked"]) == {"taught", "rebuilt", "never", "base"}
    assert set(found["exported"]) == {"int8", "q8_0"}
    assert json.loads(json.dumps(found)) == found
    assert (found["canaries"]["told"], found["canaries"]["rows"]) == (2, 0)
    assert {kind: one["hits"] for kind, one in found["canaries"]["attacked"].items()}["samples"] == 0
    with pytest.raises(InvalidInput, match="say fewer"):
        run(tmp_path / "facts.json", forget=1, people=1)
    with pytest.raises(InvalidInput, match="say fewer"):
        run(tmp_path / "facts.json", forget=2)
