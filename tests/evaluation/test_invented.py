"""Invented files of facts: as many as asked for, and questions whose answers follow from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from students import tiny_student
from typer.testing import CliRunner

from memory_agent.cli.main import app
from memory_agent.distillation.recipe import Recipe
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.distillation import run, teach
from memory_agent.evaluation.invented import invented
from memory_agent.memory import Memory
from memory_agent.semantic.ontology import load
from memory_agent.testing import HashEmbedder

SMALL = {"epochs": 1, "forward_forms": 1, "fewest_unknown": 4, "replay_prompts": 4, "opener_rows": 0, "text_every": 0}


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 300), seed=st.integers(0, 5))
def test_the_questions_follow_from_the_facts(count: int, seed: int) -> None:
    file = invented(count, seed)
    assert file == invented(count, seed)
    assert len(file.facts) == count
    people = {fact.subject for fact in file.facts}
    now = [fact for fact in file.facts if fact.valid_to is None]
    for fact in now:
        asked = [q for q in file.questions if q.kind == "paraphrase" and fact.object in q.answers]
        assert any(fact.subject in q.question for q in asked), fact
        inverse = [q for q in file.questions if q.kind == "inverse" and fact.object in q.question]
        assert any(fact.subject in q.answers for q in inverse), fact
    for question in file.questions:
        assert not set(question.answers) & set(question.wrong), question
        if question.kind == "stranger":
            assert not [name for name in people if name in question.question], question
        if question.kind == "absent_attribute":
            (who,) = [name for name in people if name in question.question]
            own = {fact.object for fact in now if fact.subject == who and fact.object in question.wrong}
            assert not own, (question.question, own)


def test_a_value_that_changed_is_asked_for_as_stale() -> None:
    file = invented(300)
    past = [fact for fact in file.facts if fact.valid_to is not None]
    assert past
    for fact in past:
        assert load()[fact.predicate].cardinality == "one"
        asked = [q for q in file.questions if q.kind == "stale" and fact.subject in q.question]
        assert any(q.wrong == (fact.object,) and q.answers for q in asked)


def test_what_stands_in_the_file_stands_in_the_graph(tmp_path: Path) -> None:
    facts = invented(300).facts
    with Memory.open(tmp_path / "store", user="eval", embedder=HashEmbedder(64)) as memory:
        teach(memory, facts)
        status = {(fact.subject, fact.predicate, fact.object): fact.status for fact in memory.facts(past=True)}
    for fact in facts:
        wanted = "current" if fact.valid_to is None else "superseded"
        assert status[fact.subject, fact.predicate, fact.object] == wanted, fact


def test_more_than_there_are_names_for_is_refused() -> None:
    for count in (0, 10**6):
        with pytest.raises(InvalidInput, match=f"{count} facts cannot be invented"):
            invented(count)


def test_a_kept_run_is_taken_up_and_no_other_one(tmp_path: Path) -> None:
    student, file = str(tiny_student(tmp_path / "student")), invented(6)
    first = run(file, student=student, recipe=Recipe(**SMALL), arms=0, keep=tmp_path / "kept")
    again = run(file, student=student, recipe=Recipe(**SMALL), arms=0, keep=tmp_path / "kept")
    assert (first["file"], first["runs"][0]["rows"] > 0, again["runs"][0]["rows"]) == ("invented-6", True, 0)
    assert again["kinds"] == first["kinds"]
    with pytest.raises(InvalidInput, match="differs in facts;"):
        run(invented(7), student=student, recipe=Recipe(**SMALL), arms=0, keep=tmp_path / "kept")


def test_the_command_wants_a_file_or_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_AGENT_STUDENT", str(tiny_student(tmp_path / "student")))
    small = [word for name, value in SMALL.items() for word in ("--recipe", f"{name}={value}")]
    done = CliRunner().invoke(app, ["eval", "distill", "--invent", "4", "--arms", "0", "--json", *small])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["facts"] == 4
    with pytest.raises(InvalidInput, match="--invent"):
        CliRunner().invoke(app, ["eval", "distill", "--json"], catch_exceptions=False)
