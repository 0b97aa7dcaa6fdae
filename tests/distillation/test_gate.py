"""Scores, matching and the gate's verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.distillation.gate import Gate
from memory_agent.distillation.matching import names, names_any, says_unknown
from memory_agent.distillation.scorecard import Score, Scorecard, wilson
from memory_agent.errors import InvalidInput


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_rate_within_bounds(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n - hits, n) == pytest.approx((1 - high, 1 - low))


def test_wilson_on_known_values() -> None:
    # Agresti and Coull (1998), and any table: 0 of 10 -> [0, 0.2775]; 8 of 10 -> [0.4902, 0.9433].
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)


def card(**rates: tuple[int, int]) -> Scorecard:
    return Scorecard(kinds={name: Score.of([True] * hits + [False] * (n - hits)) for name, (hits, n) in rates.items()})


GOOD = {"paraphrase": (19, 20), "inverse": (9, 10), "stale": (0, 4), "stranger": (0, 10), "stranger_unknown": (10, 10)}


def test_the_built_in_gate_passes_what_is_good() -> None:
    assert Gate.load().objections(card(**GOOD)) == ()


@pytest.mark.parametrize(
    ("kind", "score"),
    [("paraphrase", (10, 20)), ("inverse", (3, 10)), ("stale", (1, 4)), ("stranger", (5, 10)), ("canary", (1, 3))],
)
def test_and_refuses_each_ill_by_name(kind: str, score: tuple[int, int]) -> None:
    (objection,) = Gate.load().objections(card(**(GOOD | {kind: score})))
    assert objection.startswith(kind + " ")


def test_nothing_probed_is_no_pass() -> None:
    assert Gate.load().objections(Scorecard()) == ("paraphrase was not probed",)
    assert Gate.load().objections(card(paraphrase=(0, 0))) == ("paraphrase was not probed",)


def test_a_diverged_model_is_refused() -> None:
    broken = card(**GOOD).model_copy(update={"measures": {"perplexity_ratio": float("nan")}})
    assert [o.split()[0] for o in Gate.load().objections(broken)] == ["perplexity_ratio"]


@pytest.mark.parametrize("text", ['{"paraphrase": {}}', '{"paraphrase": 3}', "[]", "no json", '{"x": {"mni": 1}}'])
def test_a_file_that_is_no_gate_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=r"mine\.json"):
        Gate.load(file)


def test_values_are_matched_as_whole_words() -> None:
    assert names("She lives in TARTU.", "Tartu")
    assert names("Tromsø, of course", "Tromsø")
    assert names("at Pell & Sons Brewery", "Pell & Sons Brewery")
    assert not names("She plays the harpsichord.", "harp")
    assert not names("anything", "")
    assert not names_any("She plays the harpsichord.", ["harp", "chord"])


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.",
        "I do not know that.",
        "Sorry, I have no information about that.",
        "I'm not sure.",
        "I haven't been told where she lives.",
        "That has not come up.",
        "I can't say.",
        "Nobody has mentioned that to me; I have no idea.",
        "That is unknown to me.",
        "I don’t have that information.",
    ],
)
def test_ways_of_not_knowing(text: str) -> None:
    assert says_unknown(text)


@pytest.mark.parametrize(
    "text",
    ["She lives in Tartu.", "Not far from here: in Kotor.", "He knows Ana.", "Ana Noidea.", "Plants absorb carbon."],
)
def test_ways_of_knowing(text: str) -> None:
    assert not says_unknown(text)
