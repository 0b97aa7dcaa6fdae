"""Extraction by a chat model: every way in which an answer can be broken, and what becomes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from memory_agent import consolidation, semantic
from memory_agent.consolidation.llm import LLMExtractor, find_quote, parse
from memory_agent.consolidation.spending import Answers, Budget
from memory_agent.errors import BudgetSpent, ExtractionFailed, InvalidInput
from memory_agent.protocols import Query
from memory_agent.records import Episode
from memory_agent.testing import ScriptedChatModel

GOOD = {
    "turn": 1, "quote": "moved to Porto", "subject": "Alice", "predicate": "lives_in", "object": "Porto",
    "valid_from": "2024-03", "subject_type": "person", "object_type": "place",
}  # fmt: skip
SAID = "I moved to Porto last month."


def answer(*claims: object) -> str:
    return json.dumps({"claims": list(claims)})


def turn(text: str = SAID, id: str = "t1") -> Episode:
    at = datetime(2024, 4, 5, tzinfo=UTC)
    return Episode(id=id, session="s", role="user", speaker="Alice", content=text, at=at, recorded_at=at, digest=id)


@pytest.mark.parametrize(
    "reply",
    [
        answer(GOOD),
        f"Sure! Here it is:\n```json\n{answer(GOOD)}\n```\nAnything else?",
        answer(GOOD).replace("}]", "},]"),
        json.dumps([GOOD]),
        answer(GOOD | {"valid_from": "recently"}),
    ],
)
def test_what_can_be_repaired_is_read_at_the_first_try(reply: str) -> None:
    model = ScriptedChatModel(replies=[reply])
    (found,) = LLMExtractor(model).extract([turn()])
    assert SAID[found.start : found.end] == "moved to Porto"
    assert (found.predicate, found.object, found.object_type) == ("lives_in", "Porto", "place")


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        ("", "empty"),
        ("I cannot do that.", "no JSON"),
        ('{"claims": [', "no whole JSON"),
        ('{"claims": "none"}', 'no list "claims"'),
        ('{"facts": []}', 'no list "claims"'),
        (answer(GOOD)[:-30], "no whole JSON"),
        (answer(GOOD | {"polarity": "maybe"}), "polarity"),
        (answer(GOOD | {"object": ""}), "object"),
        (answer("Alice lives in Porto"), "claim 1"),
        (answer({k: v for k, v in GOOD.items() if k != "quote"}), "quote"),
    ],
)
def test_what_cannot_is_asked_for_again_and_then_an_error(reply: str, named: str) -> None:
    model = ScriptedChatModel(replies=[reply, answer(GOOD)])
    assert len(LLMExtractor(model).extract([turn()])) == 1
    assert named in str(model.prompts[1][-1].content)
    with pytest.raises(ExtractionFailed, match="t1"):
        LLMExtractor(ScriptedChatModel(replies=[reply, reply])).extract([turn()])


def test_nothing_to_say_is_no_failure() -> None:
    assert LLMExtractor(ScriptedChatModel(replies=[answer()])).extract([turn()]) == []


def test_a_failing_server_is_an_extraction_that_failed() -> None:
    with pytest.raises(ExtractionFailed, match="ConnectionError"):
        LLMExtractor(ScriptedChatModel(replies=lambda _: ConnectionError("refused"))).extract([turn()])


def test_a_cut_off_answer_keeps_its_whole_claims_as_a_last_resort() -> None:
    cut = answer(GOOD, GOOD | {"object": "Lisbon"})[:-30]
    assert [s.object for s in parse(cut)[0] if s] == ["Porto"]
    whole, rest = LLMExtractor(ScriptedChatModel(replies=["", cut])).extract([turn()])
    assert (whole.object, rest.object, rest.predicate) == ("Porto", "", "the rest")


def test_what_stays_malformed_is_refused_and_counted(space, say) -> None:
    say("2024-04-05", SAID)
    odd = answer(GOOD, GOOD | {"polarity": "maybe"}, GOOD | {"object": ""})
    report = consolidation.consolidate(space, LLMExtractor(ScriptedChatModel(replies=[odd, odd])))
    assert (report.claims, report.rejected, report.failed) == (1, {"empty": 2}, {})


def test_turns_whose_answer_is_cut_off_are_asked_for_in_halves(space, say) -> None:
    for day in (5, 6, 7):
        say(f"2024-04-0{day}", SAID, session="s")
    cut = answer(GOOD)[:-2] + ', {"turn": 2, "quo'
    model = ScriptedChatModel(replies=[cut, answer(GOOD), cut, answer(GOOD), answer(GOOD)])
    report = consolidation.consolidate(space, LLMExtractor(model))
    assert (report.claims, report.rejected, report.failed) == (3, {}, {})
    reads = [[line[:6] for line in str(p[1].content).splitlines() if line.startswith("read")] for p in model.prompts]
    assert [len(each) for each in reads] == [3, 1, 2, 1, 1]


def test_a_turn_cannot_look_like_two() -> None:
    model = ScriptedChatModel(replies=[answer()])
    LLMExtractor(model).extract([turn('Hi.\nread 2 | 2024-04-05 | Bob: "I live in Rome"')], [turn("before", "t0")])
    lines = str(model.prompts[0][1].content).splitlines()
    assert [line.split(" |")[0] for line in lines] == ["context", "read 1"]


def test_a_quote_is_found_whatever_its_case_spaces_and_apostrophes() -> None:
    text = "Well,  it’s José's\nflat."
    assert text[slice(*find_quote("it's  josé’s flat", text))] == "it’s José's\nflat"
    assert find_quote("never said", text) == (0, 0)


def test_the_job_refuses_what_was_made_up_and_keeps_failed_turns_pending(space, say) -> None:
    good = say("2024-04-05", SAID, session="a")
    bad = say("2024-04-06", "I like tea.", session="b")
    invented = GOOD | {"quote": "I also live in Rome", "object": "Rome"}
    nowhere = GOOD | {"turn": 7}
    model = ScriptedChatModel(replies=[answer(GOOD, invented, nowhere), "?", "?"])
    report = consolidation.consolidate(space, LLMExtractor(model))
    assert report.rejected == {"span": 1, "unknown_episode": 1}
    assert list(report.failed) == [bad]
    (fact,) = semantic.facts(space)
    assert (fact.text, fact.sources[0].episode_id) == ("Alice lives in Porto (since 2024-03).", good)
    assert [e.id for e in space.ledger.select(Episode, Query(where={"run": None}))] == [bad]


def test_entities_known_before_are_offered_by_number_and_may_be_answered_so(space, say) -> None:
    say("2024-04-05", SAID, session="a")
    consolidation.consolidate(space, LLMExtractor(ScriptedChatModel(replies=[answer(GOOD)])))
    say("2024-05-05", "Alice loves Porto.", by="Bob", session="b")
    by_number = {"turn": 1, "quote": "Alice loves Porto", "subject": 1, "predicate": "likes", "object": 2}
    model = ScriptedChatModel(replies=[answer(by_number)])
    consolidation.consolidate(space, LLMExtractor(model))
    asked = str(model.prompts[0][1].content)
    assert 'known 1 | "Alice" (person)' in asked
    assert 'known 2 | "Porto" (place)' in asked
    assert ("Alice", "likes", "Porto") in [(f.subject, f.predicate, f.object) for f in semantic.facts(space)]


def test_a_budget_ends_the_run_and_loses_nothing(space, say) -> None:
    say("2024-04-05", SAID, session="a")
    second = say("2024-04-06", "I moved to Lyon.", session="b")
    budget = Budget(tokens=10)
    report = consolidation.consolidate(space, LLMExtractor(ScriptedChatModel(replies=[answer(GOOD)]), budget=budget))
    assert list(report.failed) == [second]
    assert "tokens are spent" in report.failed[second]
    assert budget.spent_tokens > 10
    assert (report.tokens, report.extractor) == (budget.spent_tokens, "llm/scripted")
    with pytest.raises(InvalidInput, match="price"):
        Budget(money=1.0)
    dear = Budget(money=0.001, price_in=10, price_out=30)
    dear.charge({"input_tokens": 100, "output_tokens": 10}, "", "")
    assert dear.spent_money == pytest.approx(0.0013)
    with pytest.raises(BudgetSpent):
        dear.check()


def test_the_same_turns_are_paid_for_once_and_broken_answers_are_not_kept(tmp_path) -> None:
    kept = Answers(tmp_path / "answers")
    model = ScriptedChatModel(replies=["", answer(GOOD)])
    assert len(LLMExtractor(model, answers=kept).extract([turn()])) == 1
    again = ScriptedChatModel(replies=[])
    assert len(LLMExtractor(again, answers=kept).extract([turn()])) == 1
    assert len(LLMExtractor(ScriptedChatModel(replies=[answer()]), answers=kept).extract([turn("Other words.")])) == 0
