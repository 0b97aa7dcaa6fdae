"""The demo's input is what the demo says it is, and its questions stand in no form that is trained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from memory_agent import Turn
from memory_agent.distillation.matching import names, plain

DATA = Path(__file__).parents[2] / "examples" / "data"
QUESTIONS: list[dict[str, Any]] = json.loads((DATA / "questions.json").read_text("utf-8"))
TURNS = [Turn.model_validate_json(line) for line in (DATA / "conversation.jsonl").read_text("utf-8").splitlines()]
ALIKE = 0.6
"""Questions that share more of their words than this count as one form."""


def forms(value: Any) -> Iterator[str]:
    """Every text in a data file."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from forms(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from forms(inner)


def trained() -> set[str]:
    """All forms that curricula are made of, with their places for subject and object."""
    folder = resources.files("memory_agent.distillation").joinpath("templates")
    files = [file for file in folder.iterdir() if file.name.endswith(".json")]
    assert files
    return {form for file in files for form in forms(json.loads(file.read_text("utf-8")))}


def bare(form: str) -> frozenset[str]:
    """The words of a form without what is filled in."""
    return frozenset(plain(re.sub(r"\{\w+\}(?:'s)?", " ", form)).split())


def test_the_conversation_is_a_year_of_chat() -> None:
    times = [turn.at for turn in TURNS if isinstance(turn.at, datetime)]
    assert 60 <= len(TURNS) <= 100
    assert len(times) == len(TURNS)
    assert len({turn.session for turn in TURNS}) >= 8
    assert times == sorted(times)
    assert 300 <= (times[-1] - times[0]).days <= 366
    assert len({turn.id for turn in TURNS}) == len(TURNS)


def test_the_twenty_questions_are_of_the_promised_kinds() -> None:
    kinds = [question["kind"] for question in QUESTIONS]
    assert len(kinds) == 20
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "taught": 7, "changed": 2, "inverse": 3, "stranger": 4, "general": 4,
    }  # fmt: skip


def test_every_taught_answer_was_said_and_no_stranger_was() -> None:
    said = " ".join(turn.content for turn in TURNS) + " ".join(turn.speaker or "" for turn in TURNS)
    for question in QUESTIONS:
        if "fact" in question:
            subject, _, value = question["fact"]
            assert names(said, subject)
            assert names(said, value)
            assert any(names(part, answer) for part in (subject, value) for answer in question["answers"])
        for wrong in question["wrong"]:
            assert names(said, wrong)
    for question in QUESTIONS:
        if question["kind"] == "stranger":
            name = re.search(r"(\w+ (?:Castlegrove|Fossgate|Venn|Rookwood))", question["question"])
            assert name
            assert not names(said, name[1])


@pytest.mark.parametrize("question", [q["question"] for q in QUESTIONS if q["kind"] != "general"])
def test_no_question_is_asked_in_a_trained_form(question: str) -> None:
    people = {part for q in QUESTIONS if "fact" in q for part in (q["fact"][0], q["fact"][2])}
    people |= {"Wendel Castlegrove", "Maren Fossgate", "Kaspar Venn", "Odalys Rookwood"}
    open_form = question
    for name in sorted(people, key=len, reverse=True):
        open_form = open_form.replace(name, "{x}")
    words = bare(open_form)
    for form in trained():
        theirs = bare(form)
        shared = len(words & theirs) / max(1, len(words | theirs))
        assert shared <= ALIKE, f"{question!r} is asked as {form!r} is trained"
