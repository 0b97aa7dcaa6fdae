"""Which questions reach an adapter, and which must reach the untouched base."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memory_agent.distillation.routing import Router, is_personal, names_in
from memory_agent.records import Adapter, Entity, Fact

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fact(id: str, subject: str, predicate: str, object: str) -> Fact:
    return Fact(
        id=id,
        subject=subject,
        subject_id=f"e:{subject}",
        predicate=predicate,
        object=object,
        text=f"{subject} {predicate} {object}.",
        recorded_at=NOW,
    )


def adapter(id: str, *facts: Fact) -> Adapter:
    return Adapter(
        id=id,
        shard=f"s{id}",
        state="promoted",
        base="b",
        facts=tuple(f"{f.id}@1" for f in facts),
        entities=tuple(sorted({f.subject_id for f in facts})),
        sha256=id,
        created_at=NOW,
    )


FACTS = [
    fact("f1", "Wanda Teller", "lives_in", "Bergen"),
    fact("f2", "Wanda Teller", "plays", "lute"),
    fact("f3", "Jonas van Hoorn", "has_pet", "Tango"),
    fact("f4", "Jonas van Hoorn", "works_at", "Grey Heron Press"),
    fact("f5", "Wanda Brask", "allergic_to", "barley"),
]
ENTITIES = [
    Entity(id="e:Wanda Teller", name="Wanda Teller", type="person", aliases=("Wanda T.",)),
    Entity(id="e:Jonas van Hoorn", name="Jonas van Hoorn", type="person"),
    Entity(id="e:Wanda Brask", name="Wanda Brask", type="person"),
    Entity(id="e:Bergen", name="Bergen", type="place"),
    Entity(id="e:Una Field", name="Una Field", type="person"),
    Entity(id="e:Joni", name="Joni", type="person", merged_into="e:Jonas van Hoorn"),
]
A, B = adapter("a", FACTS[0], FACTS[1], FACTS[4]), adapter("b", FACTS[2], FACTS[3])
ROUTER = Router([A, B], {f.id: f for f in FACTS}, ENTITIES)
FAMOUS = {"Mona Lisa", "Albert Einstein", "New York"}


def kind(question: str) -> tuple[str, tuple[str, ...]]:
    route = ROUTER.route(question, FAMOUS.__contains__)
    return route.kind, tuple(adapter.id for adapter in route.adapters)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where is Wanda Teller's flat?", ("entity", ("a",))),
        ("where is wanda teller's flat?", ("entity", ("a",))),
        ("What does Jonas van Hoorn do all day?", ("entity", ("b",))),
        ("And Jonas, what does he do?", ("entity", ("b",))),
        ("Does Joni have a dog?", ("entity", ("b",))),
        ("Do Wanda Teller and Jonas van Hoorn know each other?", ("entity", ("a", "b"))),
        ("Who could play me something on the lute?", ("value", ("a",))),
        ("Tango is whose dog?", ("value", ("b",))),
        ("whose dog is tango?", ("value", ("b",))),
        ("Which of my friends is paid by Grey Heron Press?", ("value", ("b",))),
        ("Which of my friends keeps bees?", ("stranger", ("a",))),
        ("Where does Wanda Fossgate live?", ("stranger", ("a",))),
        ("Where does Elmar Quist live?", ("stranger", ("a",))),
        ("Where does Una Field live?", ("unknown", ())),
        ("What is Bergen known for?", ("base", ())),
        ("How many strings does a lute have?", ("base", ())),
        ("Who invented the lute?", ("base", ())),
        ("Who danced the tango at the World Fair?", ("base", ())),
        ("Who painted the Mona Lisa?", ("base", ())),
        ("What did Albert Einstein play?", ("base", ())),
        ("How do I boil an egg?", ("base", ())),
        ("What is the capital of France?", ("base", ())),
    ],
)
def test_route(question: str, expected: tuple[str, tuple[str, ...]]) -> None:
    familiar = FAMOUS | {"World Fair"}
    route = ROUTER.route(question, familiar.__contains__)
    assert (route.kind, tuple(adapter.id for adapter in route.adapters)) == expected


def test_a_first_name_that_two_people_share_names_nobody() -> None:
    assert ROUTER.route("Where does Wanda live?", FAMOUS.__contains__).kind == "base"


def test_without_adapters_everything_goes_to_the_base() -> None:
    assert Router([], {}, ENTITIES).route("Where does Wanda Teller live?", FAMOUS.__contains__).kind == "base"


def test_the_base_is_asked_only_about_names_that_the_graph_does_not_hold() -> None:
    asked: list[str] = []

    def familiar(name: str) -> bool:
        asked.append(name)
        return True

    ROUTER.route("Where is Wanda Teller's flat?", familiar)
    ROUTER.route("Is Grey Heron Press near Elmar Quist?", familiar)
    assert asked == ["Elmar Quist"]


def test_names_are_runs_of_capitals_within_one_clause() -> None:
    assert names_in("Does Johann van der Berg know Elmar Quist?") == ["Johann van der Berg", "Elmar Quist"]
    assert names_in("Is Paris, France far from Rome?") == []
    assert names_in("In Wanda's London flat") == []


@pytest.mark.parametrize(
    ("question", "personal"),
    [
        ("Where do I live?", True),
        ("What did I say about the boiler?", True),
        ("When is my dentist's appointment?", True),
        ("Is there anyone I know in Oslo?", True),
        ("How do I boil an egg?", False),
        ("How can I learn Greek?", False),
        ("What is 2 plus 2?", False),
    ],
)
def test_is_personal(question: str, personal: bool) -> None:
    assert is_personal(question) is personal


def test_part_of_a_name_that_the_graph_holds_whole_is_no_stranger() -> None:
    brewer = fact("f6", "Jonas van Hoorn", "works_at", "Kettle & Sons Brewery")
    router = Router([adapter("c", brewer)], {brewer.id: brewer}, ENTITIES)
    assert router.route("Who works at Kettle & Sons Brewery?", FAMOUS.__contains__).kind == "value"
    assert router.route("Who works at Crown & Sons Brewery?", FAMOUS.__contains__).kind == "stranger"
