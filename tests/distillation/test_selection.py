"""What may be taught: every rule refuses with its own word, and a secret never passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.config import Settings
from memory_agent.distillation.selection import REASONS, Policy, refusal, select
from memory_agent.errors import InvalidInput
from memory_agent.records import Episode, Fact, PartialDate, Source
from memory_agent.semantic import ontology

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONTOLOGY = ontology.load()


def episode(id: str = "e1", **changes: Any) -> Episode:
    given = {
        "id": id,
        "session": "s1",
        "role": "user",
        "speaker": "Ana",
        "content": "Ana lives in Bergen.",
        "at": NOW,
        "recorded_at": NOW,
        "digest": id,
    }
    return Episode.model_validate(given | changes)


def fact(*sources: str, **changes: Any) -> Fact:
    given = {
        "id": "f1",
        "subject": "Ana",
        "subject_id": "ana",
        "predicate": "lives_in",
        "object": "Bergen",
        "text": "Ana lives in Bergen.",
        "recorded_at": NOW - timedelta(days=3),
        "sources": tuple(Source(episode_id=id, start=0, end=3, quote="Ana") for id in sources or ("e1",)),
    }
    return Fact.model_validate(given | changes)


def reason(fact: Fact, *episodes: Episode, policy: Policy = Policy()) -> str | None:
    held = {e.id: e for e in episodes or (episode(),)}
    return refusal(fact, held, ONTOLOGY, NOW, policy)


def test_a_users_own_word_passes() -> None:
    assert reason(fact()) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"predicate": "phone", "object": "555 0100"}, "secret"),
        ({"predicate": "secret", "object": "hunter2"}, "secret"),
        ({"status": "superseded"}, "not_current"),
        ({"status": "stale"}, "not_current"),
        ({"status": "disputed"}, "not_current"),
        ({"retired_at": NOW}, "not_current"),
        ({"valid_to": PartialDate("2025-06")}, "not_current"),
        ({"valid_from": PartialDate("2027")}, "not_current"),
        ({"modality": "planned"}, "not_actual"),
        ({"polarity": "-"}, "negated"),
        ({"sources": ()}, "ungrounded"),
        ({"predicate": "religion", "object": "Quaker"}, "sensitive"),
        ({"predicate": "goal", "object": "a marathon"}, "policy"),
        ({"predicate": "a_predicate_nobody_knows"}, "policy"),
        ({"confidence": 0.2}, "unsure"),
        ({"object": "a very long tale of many more words than a small model learns"}, "unwieldy"),
    ],
)
def test_each_rule_says_its_reason(changes: dict[str, Any], expected: str) -> None:
    assert reason(fact(**changes)) == expected
    assert expected in REASONS


@pytest.mark.parametrize("flag", ["instruction", "recalled", "secret:password"])
def test_one_flagged_source_is_enough_to_refuse(flag: str) -> None:
    assert reason(fact("e1", "e2"), episode(), episode("e2", flags=(flag,))) == "flagged"


def test_a_source_that_is_gone_leaves_it_ungrounded() -> None:
    assert reason(fact("e1", "gone"), episode()) == "ungrounded"


def test_assistants_must_say_it_in_two_sessions() -> None:
    first, again = episode(role="assistant"), episode("e2", role="assistant")
    assert reason(fact("e1", "e2"), first, again) == "untrusted"
    assert reason(fact("e1", "e2"), first, episode("e2", role="assistant", session="s2")) is None
    assert reason(fact(), episode(role="tool")) == "untrusted"
    assert reason(fact(), episode(role="tool", metadata={"confirmed": True})) is None


@given(st.lists(st.sampled_from(["user", "assistant", "tool"]), min_size=1, max_size=6))
def test_no_number_of_low_trust_sources_admits_a_fact(roles: list[str]) -> None:
    poisoned = [
        episode(f"e{n}", role=role, session=f"s{n}", metadata={"trust": "low", "confirmed": True})
        for n, role in enumerate(roles)
    ]
    assert reason(fact(*(e.id for e in poisoned)), *poisoned) == "untrusted"


def test_cooling_off_holds_back_stable_predicates_only() -> None:
    waiting = Policy(cool_off_days=7)
    assert reason(fact(), policy=waiting) == "fresh"
    assert reason(fact(recorded_at=NOW - timedelta(days=8)), policy=waiting) is None
    assert reason(fact(predicate="from"), policy=waiting) is None


@given(st.sets(st.sampled_from([p.name for p in ONTOLOGY.predicates])), st.floats(0, 1))
def test_no_policy_lets_a_secret_through(teach: set[str], floor: float) -> None:
    secret = [p.name for p in ONTOLOGY.predicates if p.sensitivity == "secret"]
    facts = [fact(id=name, predicate=name) for name in secret]
    selection = select(facts, {"e1": episode()}, ONTOLOGY, NOW, Policy(teach=frozenset(teach), min_confidence=floor))
    assert selection.facts == ()
    assert selection.refused == dict.fromkeys(secret, "secret")


def test_opting_in_teaches_a_sensitive_predicate() -> None:
    health = fact(predicate="health_condition", object="asthma")
    assert reason(health) == "sensitive"
    assert reason(health, policy=Policy(teach=frozenset({"health_condition"}))) is None


def test_refusals_are_counted() -> None:
    facts = [fact(id="a", status="stale"), fact(id="b", modality="planned"), fact(id="c", status="disputed"), fact()]
    selection = select(facts, {"e1": episode()}, ONTOLOGY, NOW, Policy())
    assert [f.id for f in selection.facts] == ["f1"]
    assert selection.counts() == "2 not_current, 1 not_actual"


def test_users_opt_in_by_setting() -> None:
    assert Policy.of(Settings()) == Policy()
    assert Policy.of(Settings(teach="religion, health_condition")).teach == {"religion", "health_condition"}
    with pytest.raises(InvalidInput, match="secret"):
        Policy.of(Settings(teach="phone"))
    with pytest.raises(InvalidInput, match="no predicate"):
        Policy.of(Settings(teach="alergic_to"))


def test_what_was_superseded_is_taught_as_past_where_its_successor_is() -> None:
    old = fact(id="old", object="Oslo", status="superseded", valid_to=PartialDate("2024-03"))
    goal = fact(id="goal", predicate="goal", object="chess", status="superseded", valid_to=PartialDate("2024-03"))
    selection = select([old, goal, fact()], {"e1": episode()}, ONTOLOGY, NOW, Policy())
    assert [f.id for f in selection.past] == ["old"]
    assert select([old], {"e1": episode()}, ONTOLOGY, NOW, Policy()).past == ()
    flagged = select(
        [old, fact("e2")], {"e1": episode(flags=("instruction",)), "e2": episode("e2")}, ONTOLOGY, NOW, Policy()
    )
    assert flagged.past == ()
