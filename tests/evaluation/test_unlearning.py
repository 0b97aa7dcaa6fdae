"""Attacks on forgotten facts: that they are made, that they find what is there, and that a rebuild leaves nothing."""

from __future__ import annotations

import json
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


def test_a_leak_is_counted_once_for_any_sample() -> None:
    def talks(question: str, begun: str, count: int, temperature: float) -> list[str]:
        assert (count, temperature) in ((1, 0.0), (4, 0.7))
        return ["in Bergen", *["in Oslo"] * (count - 1)]

    found = leaks(talks, [fact()], 4, 0.7)
    assert (found["sampled"]["rate"], found["samples"]["rate"], found["samples"]["n"]) == (1.0, 0.25, 4)
    assert (found["direct"]["rate"], found["inverse"]["rate"]) == (1.0, 0.0)


def test_a_file_goes_the_whole_way(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text(json.dumps(FILE))
    found = run(
        tmp_path / "facts.json", forget=1, samples=2, student=str(tiny_student(tmp_path / "student")), recipe=RECIPE,
        quantizations=("int8", "q8_0"),
    )  # fmt: skip
    assert found["hash_equal"]
    assert found["worse"] == []
    assert set(found["attacked"]) == {"taught", "rebuilt", "never", "base"}
    assert set(found["exported"]) == {"int8", "q8_0"}
    assert json.loads(json.dumps(found)) == found
    with pytest.raises(InvalidInput, match="say fewer"):
        run(tmp_path / "facts.json", forget=2)
