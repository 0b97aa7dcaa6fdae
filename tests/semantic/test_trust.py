"""How far sources are believed: levels, cool-off, quotas, alarms, and who owns a memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.errors import InvalidInput
from memory_agent.records import APPROVED, Episode, Fact, Source
from memory_agent.semantic.trust import Standing, Trust, owners, source_of
from memory_agent.space import open_backend

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALICE = frozenset({"alice"})


def episode(id: str = "e1", *, by: str = "Alice", days_ago: float = 0, **changes: Any) -> Episode:
    when = NOW - timedelta(days=days_ago)
    given = {"session": "s", "role": "user", "content": "x", "at": NOW, "recorded_at": when, "digest": id}
    return Episode.model_validate({"id": id, "speaker": by} | given | changes)


def fact(*told: Episode, id: str = "f", subject: str = "Alice", **changes: Any) -> Fact:
    given = {"subject_id": "a", "predicate": "lives_in", "object": "Porto", "text": "t", "recorded_at": NOW}
    sources = tuple(Source(episode_id=e.id, start=0, end=1, quote="x") for e in told)
    return Fact.model_validate({"id": id, "subject": subject, "sources": sources} | given | changes)


def objection(*told: Episode, subject: str = "Alice", trust: str = "", now: datetime = NOW) -> str | None:
    one = fact(*told, subject=subject)
    return Standing.of(Trust.load(trust), ALICE, [one], {e.id: e for e in told}).objection(one, told, now)


def test_the_owners_word_passes_at_once() -> None:
    assert objection(episode()) is None
    assert objection(episode(by="ALICE"), subject="Bob") is None


def test_anothers_word_about_a_third_never_passes_alone() -> None:
    late = NOW + timedelta(days=400)
    assert objection(episode(by="Mallory"), now=late) == "untrusted"
    assert objection(episode(by="Mallory"), episode("e2", by="mallory", session="s2"), now=late) == "untrusted"
    assert objection(episode(by="Mallory"), episode("e2", by="Bob")) is None, "two sources agree"


def test_a_speakers_word_about_themself_cools_off_first() -> None:
    told = episode(by="Bob")
    assert objection(told, subject="Bob Stone") == "cooling"
    assert objection(told, subject="Bob Stone", now=NOW + timedelta(days=8)) is None


def test_cooling_counts_from_when_it_was_taken_in_not_from_when_it_claims_to_be() -> None:
    assert objection(episode(by="Bob", at=NOW - timedelta(days=900)), subject="Bob") == "cooling"


def test_the_user_sets_how_far_a_source_is_believed() -> None:
    crm = episode(metadata={"source": "CRM"})
    assert objection(crm) == "untrusted"
    assert objection(crm, trust="crm=self") == "cooling"
    assert objection(crm, trust="crm=owner") is None
    assert objection(episode(by="Bob"), subject="Eve", trust="bob=owner") is None
    with pytest.raises(InvalidInput, match="level"):
        Trust.load("crm=high")


def test_a_mark_of_low_trust_goes_before_everything() -> None:
    marked = {"trust": "low", "confirmed": True}
    assert objection(episode(metadata=marked)) == "untrusted"
    assert objection(episode(metadata=marked), trust="alice=owner") == "untrusted"


@given(st.lists(st.sampled_from(["email", "web", "tool", "Mallory", "Eve"]), min_size=1, max_size=8))
def test_no_number_of_low_sources_agree(names: list[str]) -> None:
    told = [episode(f"e{n}", by=name, metadata={"trust": "low"}) for n, name in enumerate(names)]
    assert objection(*told, now=NOW + timedelta(days=999)) == "untrusted"


def test_a_review_decides() -> None:
    assert objection(episode(by="Mallory", metadata={APPROVED: ["f"]})) is None
    assert objection(episode(by="Mallory", metadata={APPROVED: ["other"]})) == "untrusted"


def test_of_what_one_source_tells_in_a_day_only_so_much_passes() -> None:
    told = [episode(f"e{n}", by="Bob", days_ago=30) for n in range(25)]
    facts = [fact(e, id=f"f{n}", subject="Bob") for n, e in enumerate(told)]
    standing = Standing.of(Trust.load(), ALICE, facts, {e.id: e for e in told})
    found = [standing.objection(f, [e], NOW) for f, e in zip(facts, told, strict=True)]
    assert (found.count(None), found.count("quota")) == (20, 5)


def test_who_contradicts_the_owner_often_is_believed_no_more() -> None:
    told = [episode(f"e{n}", by="Bob", days_ago=30) for n in range(4)]
    wrong = [fact(e, id=f"d{n}", status="disputed") for n, e in enumerate(told[:3])]
    about_bob = fact(told[3], id="f", subject="Bob")
    for disputes, expected in ((2, None), (3, "alarmed")):
        facts = [*wrong[:disputes], about_bob]
        standing = Standing.of(Trust.load(), ALICE, facts, {e.id: e for e in told})
        assert standing.objection(about_bob, [told[3]], NOW) == expected


def test_turns_marked_low_in_the_owners_name_do_not_silence_the_owner() -> None:
    forged = [episode(f"e{n}", metadata={"trust": "low"}) for n in range(5)]
    facts = [fact(e, id=f"d{n}", status="disputed") for n, e in enumerate(forged)]
    told = episode("own")
    standing = Standing.of(Trust.load(), ALICE, facts, {e.id: e for e in [*forged, told]})
    assert standing.objection(fact(told), [told], NOW) is None


def test_a_source_is_what_the_turn_names_else_who_speaks() -> None:
    assert source_of(episode(metadata={"source": " E-Mail "})) == "e-mail"
    assert source_of(episode(metadata={"origin": "mem0"})) == "mem0"
    assert source_of(episode(by="Bob")) == "bob"
    assert source_of(episode(by="Bob", role="tool")) == "tool"
    assert source_of(episode(metadata={"source": 7})) == "alice"


@pytest.mark.parametrize(
    ("speakers", "expected"),
    [
        (["Alice"], "alice"),
        (["Mallory", "Alice"], "alice"),
        (["Ana", "Bo"], "ana"),
        ([], "alice"),
    ],
)
def test_the_owner_is_called_like_the_user_else_spoke_first(speakers: list[str], expected: str) -> None:
    backend = open_backend("memory://")
    ledger = backend.ledger.space("default/alice")
    with ledger.transaction() as tx:
        tx.put(episode("web", by="Web", metadata={"source": "web"}))
        tx.put(*(episode(f"e{n}", by=name) for n, name in enumerate(speakers)))
    assert owners(ledger, "alice") == {expected}
    backend.ledger.close()
