"""Summaries: sentences that name their facts, replaced only where the facts changed."""

from __future__ import annotations

import json

import pytest

from memory_agent import consolidation
from memory_agent.consolidation.forgetting import forget
from memory_agent.consolidation.summaries import refresh, summaries
from memory_agent.consolidation.wording import Wording
from memory_agent.protocols import Query
from memory_agent.records import Fact, Summary
from memory_agent.testing import ScriptedChatModel
from memory_agent.testing.extractor import MarkedExtractor


def test_each_sentence_names_its_facts_and_their_proof(space, say) -> None:
    say("2023-01-05", "{Alice | likes | tea} {Alice | likes | chess} {Alice | lives_in | Rome}", session="a")
    say("2023-02-05", "{Alice | likes | tea}", session="b")
    consolidation.consolidate(space, MarkedExtractor())
    (alice,) = summaries(space, "Alice")
    facts = {f.id: f for f in space.ledger.select(Fact, Query(where={"retired_at": None}))}
    assert set(alice.of) == {f.id for f in facts.values() if f.subject == "Alice"}
    for line in alice.lines:
        assert all(facts[id].object in line.text for id in line.of)
    likes = next(line for line in alice.lines if "chess" in line.text)
    assert (len(likes.of), likes.proof) == (2, 2)
    (said,) = summaries(space, "session:b")
    assert [line.text for line in said.lines] == ["Alice likes tea."]


def test_only_what_changed_is_replaced(space, say) -> None:
    say("2023-01-05", "{Alice | likes | tea} {Alice | lives_in | Rome} {Bob | lives_in | Oslo}", session="a")
    consolidation.consolidate(space, MarkedExtractor())
    assert len(refresh(space).added) == 3
    assert not refresh(space).changed
    say("2024-01-05", "{Alice | lives_in | Lyon}", session="b")
    consolidation.consolidate(space, MarkedExtractor())
    delta = refresh(space)
    (alice,) = summaries(space, "Alice")
    (bob,) = summaries(space, "Bob")
    assert alice.id in delta.changed
    assert bob.id not in delta.changed
    assert delta.kept_lines >= 2
    assert "Lyon" in alice.text
    assert "Rome" not in alice.text


def test_what_comes_back_and_what_keeps_changing_is_observed_with_its_proof(space, say) -> None:
    for month, town in enumerate(("Rome", "Oslo", "Lyon"), start=1):
        say(f"2023-0{month}-05", f"{{Alice | lives_in | {town}}} {{Alice | hobby | rowing}}", session=town)
    consolidation.consolidate(space, MarkedExtractor())
    (alice,) = summaries(space, "Alice")
    assert any("changed 2 times" in line.text and line.proof == 3 for line in alice.lines)
    assert any("coming back to rowing (3 times)" in line.text for line in alice.lines)


def test_forgetting_leaves_no_summary_of_before(space, say) -> None:
    id = say("2023-01-05", "{Alice | likes | kohlrabi} {Alice | lives_in | Rome}")
    say("2023-02-05", "{Alice | likes | tea}")
    consolidation.consolidate(space, MarkedExtractor())
    refresh(space)
    forget(space, id, reason="test")
    assert not any("kohlrabi" in s.text for s in space.ledger.select(Summary))
    assert all("kohlrabi" not in s.text for s in summaries(space))


TELLING = [
    "{Alice | likes | tea} {Alice | likes | chess}",
    "{Alice | lives_in | Rome} {Bob | friend | Alice}",
    "{Alice | lives_in | Oslo}",
]


def test_a_refresh_around_what_a_run_changed_leaves_what_a_whole_one_would(space, say) -> None:
    for n, text in enumerate(TELLING):
        say(f"2023-0{n + 1}-05", text, session=f"s{n % 2}")
        report = consolidation.consolidate(space, MarkedExtractor())
        refresh(space, {*report.facts_added, *report.facts_changed, *report.facts_closed})
    delta = refresh(space)
    assert (delta.added, delta.changed, delta.dropped) == ([], [], [])


class Worded(MarkedExtractor):
    """Reads marked turns, and words the summary of Alice by a scripted model; it has no words for any other."""

    def __init__(self, reply: object) -> None:
        super().__init__()
        model = ScriptedChatModel(replies=lambda asked: reply if 'about "Alice"' in str(asked[0].content) else "prose")
        self.wording = Wording(model)


def lines(*said: tuple[str, list[int]]) -> str:
    return "Here you are: " + json.dumps({"lines": [{"text": text, "facts": facts} for text, facts in said]})


def worded(space, reply: object) -> list[tuple[str, int]]:
    consolidation.consolidate(space, Worded(reply))
    (alice,) = summaries(space, "Alice")
    assert {id for line in alice.lines for id in line.of} == set(alice.of)
    return [(line.text, len(line.of)) for line in alice.lines]


PLAIN = [("Alice lives in Rome.", 1), ("Alice works as a nurse.", 1)]


@pytest.mark.parametrize(
    ("reply", "kept"),
    [
        (lines(("Alice, a nurse, lives in Rome.", [1, 2])), [("Alice, a nurse, lives in Rome.", 2)]),
        (lines(("In Rome Alice lives.", [1])), [("In Rome Alice lives.", 1), PLAIN[1]]),
        (lines(("Alice, a nurse, lives in Rome.", [1])), PLAIN),  # says a fact that it does not name
        (lines(("Alice lives in Rome with Zoltan.", [1])), PLAIN),  # a name that stands nowhere
        (lines(("Alice has lived in Rome since 1999.", [1])), PLAIN),  # and a number
        (lines(("She is fine.", [1])), PLAIN),  # says nothing of the fact it names
        (lines(("Alice lives in Rome.", [7])), PLAIN),
        ("I would rather not.", PLAIN),
        ('{"lines": [{"text": "Alice', PLAIN),
        ("", PLAIN),
        (ValueError("boom"), PLAIN),
    ],
)  # fmt: skip
def test_a_model_words_only_what_it_can_name(space, say, reply: object, kept: list[tuple[str, int]]) -> None:
    say("2023-01-05", "{Alice | lives_in | Rome} {Alice | occupation | nurse}")
    assert worded(space, reply) == kept


def test_words_stay_until_a_fact_changes_and_go_with_it(space, say) -> None:
    id = say("2023-01-05", "{Alice | lives_in | Rome} {Alice | occupation | nurse}")
    said = lines(("Alice, a nurse, lives in Rome.", [1, 2]))
    assert worded(space, said) == [("Alice, a nurse, lives in Rome.", 2)]
    assert not refresh(space).changed
    say("2023-02-05", "{Alice | lives_in | Oslo}")
    consolidation.consolidate(space, MarkedExtractor())
    (alice,) = summaries(space, "Alice")
    assert "Rome" not in alice.text
    forget(space, id, reason="test")
    assert all("nurse" not in s.text for s in space.ledger.select(Summary))
