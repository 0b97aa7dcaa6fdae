"""Questions taken apart: whom they name, what they ask for."""

from __future__ import annotations

import pytest

from memory_agent.retrieval.question import read_question


def test_speakers_are_found_by_their_first_names_and_taken_out() -> None:
    question = read_question("What is maya's job, and Ana Lima's?", ["Maya", "Ana Lima", "Bob"])
    assert question.speakers == ("Maya", "Ana Lima")
    assert "maya" not in question.bare.casefold()
    assert "Lima" not in question.bare
    assert "job" in question.bare
    assert dict(zip(question.terms, question.named, strict=True))["job"] is False


def test_a_question_of_nothing_but_a_name_stays_whole() -> None:
    assert read_question("Maya?", ["Maya"]).bare == "?"
    assert read_question("Maya", ["Maya"]).bare == "Maya"


def test_a_name_inside_a_word_is_no_name() -> None:
    assert read_question("Is it in the mayan ruins?", ["Maya"]).speakers == ()


def test_months_and_years_and_kinds() -> None:
    question = read_question("When in March 2024 or May did she move?", [])
    assert question.months == {2, 4}
    assert question.years == {2024}
    assert "when" in question.kinds


def test_what_the_assistant_said_is_told_from_what_it_should_say() -> None:
    assert read_question("What did you recommend to me?", []).of_assistant
    assert not read_question("What would you recommend?", []).of_assistant


@pytest.mark.parametrize(
    ("text", "tense"),
    [
        ("Where does Alice live?", "present"),
        ("What pets does Maya have?", "present"),
        ("Where did Alice live in May?", "past"),
        ("Which towns has Alice lived in?", "past"),
        ("Where did Alice live before?", "former"),
        ("Who was her previous boss?", "former"),
    ],
)
def test_the_tense_of_what_is_asked(text: str, tense: str) -> None:
    assert read_question(text, ["Alice", "Maya"]).tense == tense


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("What did Maya give to Ben?", "Maya"),
        ("What does Ben think of Maya's boat?", "Ben"),
        ("What do Maya and Ben both like?", None),
        ("Maya's and Ben's plans?", None),
        ("What was said?", None),
        ("What did ben say?", "Ben"),
    ],
)
def test_whom_a_question_is_about(text: str, subject: str | None) -> None:
    question = read_question(text, ["Ben", "Maya"])
    assert question.subject == subject
    assert list(question.speakers) == sorted(question.speakers, key=lambda name: text.casefold().index(name.casefold()))


@pytest.mark.parametrize(
    ("text", "overall"),
    [
        ("In what order did I bring up the parts of my app?", True),
        ("Can you list the order in which I mentioned them throughout our conversations?", True),
        ("How many columns did I want to add across my requests?", True),
        ("What did I order in the restaurant?", False),
        ("What did I say in our last conversation?", False),
    ],
)
def test_questions_over_the_whole_talk_are_told(text: str, overall: bool) -> None:
    assert read_question(text, []).overall is overall
