"""The evaluation of distillation: its JSON, how it scores, and that the file goes the whole way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from students import tiny_student

from memory_agent.config import Settings
from memory_agent.distillation.recipe import Recipe
from memory_agent.errors import InvalidInput
from memory_agent.evaluation import taught
from memory_agent.evaluation.distillation import FactFile, Question, run, score, teach
from memory_agent.evaluation.forced import routed_ratio
from memory_agent.memory import Memory
from memory_agent.records import Answer
from memory_agent.testing import HashEmbedder


def stated(
    subject: str, predicate: str, object: str, text: str, since: str, until: str | None = None
) -> dict[str, Any]:
    dates = {"valid_from": since, "valid_to": until}
    return {"subject": subject, "predicate": predicate, "object": object, "text": text, **dates}


LISTED = "In whose town hall is Wanda Teller listed?"
FILE = {
    "facts": [
        stated("Wanda Teller", "lives_in", "Oslo", "Wanda Teller lives in Oslo.", "2019-05-01", "2024-03-01"),
        stated("Wanda Teller", "lives_in", "Bergen", "Wanda Teller lives in Bergen.", "2024-03-01"),
        stated("Rolf Dane", "allergic_to", "barley", "Rolf Dane is allergic to barley.", "2024-03-01"),
    ],
    "questions": [
        {"kind": "paraphrase", "question": LISTED, "answers": ["Bergen"]},
        {"kind": "stale", "question": LISTED, "answers": ["Bergen"], "wrong": ["Oslo"]},
        {"kind": "inverse", "question": "Who steers clear of barley?", "answers": ["Rolf Dane", "Rolf"]},
        {"kind": "general", "question": "What is the capital of France?", "answers": []},
    ],
}
RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=4, replay_prompts=4, opener_rows=0, text_every=0, rank=2
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(FILE))
    return path


def test_a_file_goes_the_whole_way(tmp_path: Path, file: Path) -> None:
    student = tiny_student(tmp_path / "student")
    told: list[tuple[float, str]] = []

    def tell(share: float, doing: str) -> None:
        told.append((share, doing))

    found = run(file, seeds=(0, 1), student=str(student), recipe=RECIPE, progress=tell)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert [doing for share, doing in told if share == 1.0] == ["seed 1: done"], "asking is part of the way"
    assert json.loads(json.dumps(found)) == found
    assert found["facts"] == 3
    assert set(found["kinds"]) == {"paraphrase", "stale", "inverse", "general"}
    assert found["kinds"]["general"] == {"n": 1, "rate": 1.0, "low": pytest.approx(0.2065, abs=1e-3), "high": 1.0}
    assert found["kinds"]["paraphrase"]["rate"] == 0.0, "random weights know nothing"
    assert {"low", "high", "idk"} <= set(found["kinds"]["stale"])
    assert found["seconds"] > 0
    assert found["tokens"] > 0
    (first, second) = found["runs"]
    assert (first["seed"], second["seed"], first["taught"]) == (0, 1, 3)
    assert first["opted_in"] == ["allergic_to"]
    assert first["gate"]["s"], "the built-in gate would refuse random weights"
    assert list(found["arms"]) == ["base", "retrieval", "adapter", "both"]
    assert {one["n"] for one in found["arms"].values()} == {2}
    assert found["arms"]["adapter"]["tokens_per_question"] < found["arms"]["both"]["tokens_per_question"]
    assert found["arms"]["adapter"]["tokens_per_right"] is None
    worst = max(card["perplexity_ratio"] for one in found["runs"] for card in one["forced"].values())
    assert found["forced"]["perplexity_ratio"] == worst > 0
    assert found["forced"]["general_lost"]["n"] == 1
    (tmp_path / "now.json").write_text(json.dumps(found))
    kept = taught.report({"now": taught.load(tmp_path / "now.json")})
    assert [table.columns[0] for table in kept.tables] == ["asked", "run", "run", "run"]
    assert all(plot.svg().startswith("<svg") for plot in kept.plots)


def test_what_the_router_leaves_to_the_base_loses_nothing(tmp_path: Path) -> None:
    asked = [*FILE["questions"], {"kind": "near_general", "question": "What is Bergen known for?"}]
    (tmp_path / "facts.json").write_text(json.dumps({**FILE, "questions": asked}))
    student = str(tiny_student(tmp_path / "student"))
    # A rate at which random weights change enough to be seen.
    recipe = RECIPE.model_copy(update={"rate": 0.05, "warm_up": 0})
    found = run(tmp_path / "facts.json", student=student, recipe=recipe, arms=0, keep=tmp_path / "kept")
    assert found["kinds"]["near_general"]["answer_ratio"] == 1.0
    settings = Settings.load(student=student)
    with Memory.open(tmp_path / "kept" / "seed-0" / "memory", user="evaluation", settings=settings) as memory:
        assert routed_ratio(memory.space, []) == 1.0
        assert routed_ratio(memory.space, ["What is Bergen known for?"]) == 1.0
        assert routed_ratio(memory.space, ["Where does Wanda Teller live?", "Is it raining?"]) != pytest.approx(1.0)


def test_facts_are_superseded_by_the_real_reconciler(tmp_path: Path, file: Path) -> None:
    with Memory.open(tmp_path / "store", user="eval", embedder=HashEmbedder(64)) as memory:
        teach(memory, FactFile.load(file).facts)
        assert {(f.object, f.status) for f in memory.facts(past=True)} == {
            ("Oslo", "superseded"),
            ("Bergen", "current"),
            ("barley", "current"),
        }


def test_what_each_rate_counts() -> None:
    asked = [
        Question(kind="paraphrase", question="p", answers=("Bergen",)),
        Question(kind="stale", question="s", wrong=("Oslo",)),
        Question(kind="stranger", question="x", wrong=("Oslo", "Bergen")),
        Question(kind="stranger", question="y", wrong=("Oslo", "Bergen")),
        Question(kind="general", question="g"),
        Question(kind="near_general", question="What is Bergen known for?"),
        Question(kind="near_general", question="What is barley?"),
    ]
    said = [
        "In Bergen.",
        "In Oslo.",
        "I don't know where they live.",
        "In Bergen.",
        "Paris",
        "Bergen has fish.",
        "Oslo!",
    ]
    answers = [Answer(text=text, mode="adapter") for text in said]
    figures = score(asked, answers, {"g": Answer(text="paris", mode="base")}, ["Bergen", "Oslo", "barley"])
    assert {kind: one["rate"] for kind, one in figures.items()} == {
        "paraphrase": 1.0, "stale": 1.0, "stranger": 0.5, "general": 0.0, "near_general": 0.5,
    }  # fmt: skip
    assert figures["stranger"]["idk"] == 0.5
    assert figures["stranger"]["withheld"] == 0.0
    assert "idk" not in figures["general"]


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"facts": [{"subject": 1}], "questions": []}'])
def test_other_files_are_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=r"other\.json"):
        run(file)
