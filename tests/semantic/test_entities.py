"""Which entities a text names."""

from __future__ import annotations

from memory_agent.records import Entity
from memory_agent.semantic.entities import Directory

PEOPLE = [
    Entity(id="alice", name="Alice", type="person"),
    Entity(id="zoe", name="Zoë Ångström", type="person", aliases=("Tom's sister",)),
    Entity(id="ana1", name="Ana Silva", type="person"),
    Entity(id="ana2", name="Ana Costa", type="person"),
    Entity(id="tom", name="Tom", type="person"),
    Entity(id="will", name="Will", type="person"),
    Entity(id="leeds", name="University of Leeds", type="organisation"),
    Entity(id="pottery", name="pottery", type="thing"),
    Entity(id="ally", name="Ally", type="person", merged_into="alice"),
]
DIRECTORY = Directory.over(PEOPLE)


def linked(text: str) -> list[str]:
    return [e.id for e in DIRECTORY.link(text)]


def test_names_are_found_without_case_accents_and_possessives() -> None:
    assert linked("Where does ALICE live?") == ["alice"]
    assert linked("what is zoe angstrom's job") == ["zoe"]
    assert linked("Does Tom’s sister know the University of Leeds?") == ["tom", "zoe", "leeds"]


def test_a_first_name_leads_only_to_the_one_who_bears_it() -> None:
    assert linked("Where is Zoe?") == ["zoe"]
    assert linked("Where is Ana?") == []
    assert linked("Where is Ana Costa?") == ["ana2"]


def test_common_words_and_bare_things_are_no_mentions() -> None:
    assert linked("Who will win?") == []
    assert linked("Will it rain?") == []
    assert linked("Will it rain on Will?") == ["will"]
    assert linked("What is pottery?") == []
    assert linked("What is the capital of France?") == []


def test_the_merged_leads_to_the_one_it_was_merged_into() -> None:
    assert linked("How old is Ally?") == ["alice"]
    assert DIRECTORY.find("ally")[0].id == "alice"
    assert DIRECTORY.members("alice") == ["alice", "ally"]


def test_an_entity_is_found_by_its_id_too() -> None:
    assert [e.id for e in DIRECTORY.find("ally")] == ["alice"]
    assert DIRECTORY.find("nobody") == []
