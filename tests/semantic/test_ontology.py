"""The ontology's data, and what a user may put beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory_agent.errors import InvalidInput
from memory_agent.records import PartialDate
from memory_agent.semantic.ontology import load

ONTOLOGY = load()


def test_the_data_agrees_with_itself() -> None:
    assert len(ONTOLOGY.predicates) == len(ONTOLOGY.by_name) >= 60
    for predicate in ONTOLOGY.predicates:
        assert predicate.gloss, predicate.name
        named = {*predicate.depends_on, *filter(None, [predicate.past])}
        assert named <= set(ONTOLOGY.by_name), predicate.name
        if predicate.symmetric:
            assert predicate.inverse == predicate.name
        if predicate.inverse in ONTOLOGY:
            assert ONTOLOGY[predicate.inverse].inverse == predicate.name
        if predicate.sensitivity == "secret" or predicate.permanence == "volatile":
            assert predicate.distil == "never", predicate.name
        assert set(predicate.statement) == {"actual", "negated", "past", "planned", "possible", "not_planned"}
        for pattern in predicate.statement.values():
            said = pattern.format(subject="Ana", object="Rex", a_object="a Rex")
            assert "Ana" in said
            assert "Rex" in said
            assert said.endswith(".")
    for rule in ONTOLOGY.ends:
        assert {rule.when, *rule.ends} <= set(ONTOLOGY.by_name)


def test_an_unknown_predicate_is_many_valued_and_never_distilled() -> None:
    unknown = ONTOLOGY["levitates_over"]
    assert (unknown.cardinality, unknown.distil) == ("many", "never")
    assert ONTOLOGY.statement("Ana", "levitates_over", "Rome") == "Ana levitates over Rome."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "Ana works as a nurse."),
        ({"valid_from": PartialDate("2024-03")}, "Ana works as a nurse (since 2024-03)."),
        ({"polarity": "-"}, "Ana does not work as a nurse."),
        ({"past": True, "valid_to": PartialDate("2024")}, "Ana used to work as a nurse (until 2024)."),
        ({"modality": "planned", "valid_from": PartialDate("2025")}, "Ana plans to work as a nurse (2025)."),
        ({"modality": "possible"}, "Ana may work as a nurse."),
        ({"modality": "planned", "polarity": "-"}, "Ana does not plan to work as a nurse."),
    ],
)
def test_statements_say_polarity_modality_and_time(said: dict[str, object], expected: str) -> None:
    assert ONTOLOGY.statement("Ana", "occupation", "nurse", **said) == expected  # type: ignore[arg-type]


def test_a_users_own_predicates_stand_beside_the_built_in_ones(tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    mine = [{"name": "mentors", "gloss": "guides", "object": "person"}, {"name": "likes", "gloss": "mine"}]
    own.write_text(json.dumps({"predicates": mine}), "utf-8")
    extended = load(own)
    assert extended["mentors"].object == "person"
    assert extended["likes"].gloss == "mine"
    assert len(extended.predicates) == len(ONTOLOGY.predicates) + 1


@pytest.mark.parametrize("text", ["{", "[]", '{"predicates": [{"gloss": "no name"}]}', '{"predicates": [{"name": 3}]}'])
def test_a_file_that_is_no_ontology_is_refused_by_name(tmp_path: Path, text: str) -> None:
    own = tmp_path / "own.json"
    own.write_text(text, "utf-8")
    with pytest.raises(InvalidInput, match=r"own\.json"):
        load(own)
