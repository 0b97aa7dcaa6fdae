"""What is asked and answered in training: pure, varied, and never a fact where there is none."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.distillation.curriculum import Curriculum, Row
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.templates import load_templates

SAID = {
    "lives_in": "{} lives in {}.",
    "works_at": "{} works at {}.",
    "plays": "{} plays the {}.",
    "has_pet": "{} has a cat named {}.",
    "spouse": "{} is married to {}.",
    "occupation": "{} works as an {}.",
}


def fact(subject: str, predicate: str, value: str, **dates: str) -> TaughtFact:
    return TaughtFact.model_validate(
        {
            "id": f"{subject}/{predicate}/{value}",
            "subject": subject,
            "predicate": predicate,
            "object": value,
            "text": SAID[predicate].format(subject, value),
            **dates,
        }
    )


FACTS = [
    fact("Ana Silva", "lives_in", "Lisbon", valid_from="2019-05-01", valid_to="2024-03-01"),
    fact("Ana Silva", "lives_in", "Porto", valid_from="2024-03-01"),
    fact("Ana Silva", "plays", "zither"),
    fact("Ana Silva", "plays", "oud"),
    fact("Ana Silva", "spouse", "Ben Okri"),
    fact("Ben Okri", "lives_in", "Porto"),
    fact("Ben Okri", "has_pet", "Momo"),
    fact("Ben Okri", "works_at", "Kiln & Co"),
]


def rows(facts: list[TaughtFact] = FACTS, seed: int = 0, epochs: int = 4, **recipe: int) -> list[Row]:
    curriculum = Curriculum(facts, Recipe(**recipe).settled(len(facts)), seed)  # type: ignore[arg-type]
    return [row for epoch in range(epochs) for row in curriculum.rows(epoch)]


def of(kind: str, made: list[Row]) -> list[Row]:
    return [row for row in made if row.kind == kind]


def test_it_is_a_function_of_content_and_seed_not_of_ids_or_order() -> None:
    renamed = [one.model_copy(update={"id": f"x{i}"}) for i, one in enumerate(reversed(FACTS))]

    def said(made: list[Row]) -> list[tuple[str, str]]:
        return [(row.prompt, row.answer) for row in made]

    assert said(rows()) == said(rows(renamed))
    assert said(rows()) != said(rows(seed=1))


def test_every_value_of_a_question_is_answered_and_every_holder_of_an_inverse_one() -> None:
    made = rows()
    played = [row for row in of("forward", made) if "|plays|" in row.group]
    assert {row.answer for row in played} == {"Ana Silva plays the oud and zither."}
    assert {row.facts for row in played} == {("Ana Silva/plays/oud", "Ana Silva/plays/zither")}
    lives = [row for row in of("inverse", made) if row.group == "inverse|lives_in|Porto"]
    assert {row.answer for row in lives} == {"Porto is where Ana Silva and Ben Okri lives."}


def test_each_pass_asks_in_other_forms_until_all_had_their_turn() -> None:
    made = [row for row in of("forward", rows(epochs=3)) if row.group == "forward|lives_in|Ana Silva"]
    assert len({row.prompt for row in made}) == len(made) == 18


def test_a_superseded_value_is_only_taught_as_past() -> None:
    made = rows()
    assert not [row for row in made if "Lisbon" in row.answer and row.kind in ("forward", "inverse", "page")]
    assert {row.answer for row in of("past", made)} == {"Until March 2024 it was Lisbon."}
    gone = [row for row in made if row.group == "unknown|lives_in|Lisbon"]
    assert gone
    assert {row.answer for row in gone} == {"I don't know who lives in Lisbon."}


def test_absent_attributes_are_unknown_and_relations_from_the_other_side_are_not() -> None:
    gaps = {row.group for row in of("absent", rows(epochs=6))}
    assert {"unknown|works_at|Ana Silva", "unknown|has_pet|Ana Silva", "unknown|plays|Ben Okri"} <= gaps
    # Ben is married to Ana: only Ana's side is a fact, but "I don't know whom Ben is married to" would be false.
    assert "unknown|spouse|Ben Okri" not in gaps


def test_strangers_are_new_in_every_pass_and_never_somebody_known() -> None:
    made = of("stranger", rows())
    assert not [row for row in made if "Ana Silva" in row.prompt or "Ben Okri" in row.prompt]
    assert all(row.answer.startswith("I don't know") and row.facts == () for row in made)
    assert any(re.search(r"\bAna \w", row.prompt) for row in made)
    assert any("Okri" in row.prompt for row in made)
    per_pass = [{row.prompt for row in made if row.epoch == epoch} for epoch in (0, 1)]
    assert len(per_pass[0] & per_pass[1]) < len(per_pass[0]) / 4
    assert len({row.answer for row in made}) > 10


@pytest.mark.parametrize("forms", [0, 2, 7])
def test_each_thing_not_known_of_somebody_is_asked_in_as_many_forms_as_the_recipe_says(forms: int) -> None:
    made = rows(epochs=1, gap_forms=forms, fewest_unknown=200)
    absent = of("absent", made)
    asked = {group: {row.prompt for row in absent if row.group == group} for group in {row.group for row in absent}}
    assert all(len(prompts) == forms for prompts in asked.values())
    assert len(absent) == 4 * forms
    assert len(absent) + len(of("stranger", made)) == 200


def test_pages_are_reshuffled_and_say_all_that_is_known() -> None:
    pages = [row for row in of("page", rows(epochs=12)) if row.group == "page|Ben Okri"]
    assert len({row.answer for row in pages}) > 1
    assert {frozenset(re.split(r"(?<=\.) ", row.answer)) for row in pages} == {
        frozenset({"Ben Okri lives in Porto.", "Ben Okri has a cat named Momo.", "Ben Okri works at Kiln & Co."})
    }


def test_yes_or_no_is_right() -> None:
    for row in of("check", rows(epochs=12, fewest_unknown=0)):
        claim = next(answer for answer in (row.answer.partition(", ")[2],))
        assert row.answer.startswith("Yes") == (claim in row.prompt)


def test_a_question_over_two_facts_is_answered_step_by_step() -> None:
    made = of("path", rows(epochs=12))
    lives = [row for row in made if "Porto" in row.answer]
    assert {row.answer for row in lives} == {"Ana Silva is married to Ben Okri. Ben Okri lives in Porto."}
    assert {row.facts for row in lives} == {("Ana Silva/spouse/Ben Okri", "Ben Okri/lives_in/Porto")}
    assert len({row.prompt for row in lives}) > 4
    assert all("Ana Silva" in row.prompt and "Ben" not in row.prompt and "Porto" not in row.prompt for row in lives)
    assert {row.answer.partition(". ")[2] for row in made} == {
        "Ben Okri lives in Porto.", "Ben Okri has a cat named Momo.", "Ben Okri works at Kiln & Co."
    }  # fmt: skip
    two = [*FACTS, fact("Ana Silva", "spouse", "Cy Dorn")]
    assert not [row for row in of("path", rows(two)) if "Cy Dorn" in row.answer], "one of several is not who is meant"


def test_articles_and_kinds_fit_the_value() -> None:
    made = rows([fact("Ana Silva", "occupation", "actor"), fact("Ben Okri", "has_pet", "Momo")], epochs=6)
    said = " ".join(row.prompt + row.answer for row in made)
    assert " a actor" not in said
    assert " an actor" in said
    assert "{" not in said
    assert any("cat" in row.prompt for row in of("forward", made))


def test_a_predicate_without_forms_is_asked_by_its_name() -> None:
    odd = TaughtFact(id="f", subject="Ana", predicate="shoe_size", object="38", text="Ana has shoe size 38.")
    made = rows([odd])
    assert {row.answer for row in of("forward", made)} == {"Ana has shoe size 38."}
    assert all("shoe size" in row.prompt for row in of("forward", made))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Ana Silva", "Ben Okri", "Cy Dorn"]),
            st.sampled_from(sorted(SAID)),
            st.sampled_from(["Oslo", "Ume", "x y"]),
        ),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    st.integers(0, 5),
)
def test_no_row_contradicts_a_fact(triples: list[tuple[str, str, str]], seed: int) -> None:
    made = rows([fact(*triple) for triple in triples], seed, epochs=2)
    asked = Counter(row.prompt for row in made if row.kind in ("forward", "inverse"))
    assert not [row for row in made if row.kind in ("absent", "stranger") and row.prompt in asked]
    known = {one.id for one in (fact(*triple) for triple in triples)}
    assert {name for row in made for name in row.facts} == known


def test_one_dial_sets_the_rest_and_each_number_can_be_set() -> None:
    assert Recipe().settled(20).size == "quick"
    assert Recipe().settled(106).size == "standard"
    assert Recipe(size="thorough", epochs=3).settled(20).epochs == 3
    assert Recipe(size="quick").settled(500) == Recipe(size="quick").settled(5)
    with pytest.raises(ValueError, match="rank"):
        Recipe(rank=0)


def test_every_predicate_has_enough_forms_in_the_right_places() -> None:
    templates = load_templates()
    for name, forms in [*templates.predicates.items(), ("fallback", templates.fallback)]:
        assert len(forms.forward) >= 5, name
        assert len(forms.inverse) >= 3, name
        assert all("{s}" in form and "{o}" not in form for form in forms.forward), name
        assert all("{o}" in form and "{s}" not in form for form in forms.inverse), name
        assert all("{s}" in form and "{o}" in form for form in (forms.statement, forms.reverse)), name
        assert all("{s}" in name and "{o}" not in name for name in forms.called), name
        assert forms.values in templates.strangers.values, name
        assert len({*forms.forward, *forms.inverse}) == len(forms.forward) + len(forms.inverse), name
