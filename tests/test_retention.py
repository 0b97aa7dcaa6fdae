"""Expiry by rules, told before it is done, sparing what is kept or needed; and age as a factor of rank."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent import Memory, Settings, Turn
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.records import Claim, Episode, Fact, PartialDate, Source
from memory_agent.retention import FLOOR, Policy, expiry, factor
from memory_agent.semantic.ontology import load
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def turn(id: str, days: float, **more: Any) -> Episode:
    at = NOW - timedelta(days=days)
    told = {
        "session": "s",
        "role": "user",
        "speaker": "alice",
        "at": at,
        "recorded_at": at,
        "digest": id,
        "content": id,
    }
    return Episode.model_validate({"id": id, **told, **more})


def fact(id: str, *sources: Episode, predicate: str = "lives_in", **more: Any) -> Fact:
    told = {"subject": "Alice", "subject_id": "a", "object": "Porto", "text": id, "recorded_at": NOW, **more}
    rests_on = tuple(Source(episode_id=e.id, start=0, end=1, quote="x", at=e.at) for e in sources)
    return Fact.model_validate({"id": id, "predicate": predicate, "sources": rests_on, **told})


def due(rules: str, episodes: list[Episode], facts: list[Fact] = []) -> tuple[set[str], set[str]]:  # noqa: B006
    found = expiry(Policy.read(rules), episodes, facts, load(), NOW)
    return set(found.due), set(found.spared)


def test_the_last_rule_that_fits_decides() -> None:
    turns = [
        turn("old", 400),
        turn("young", 10),
        turn("tool", 40, role="tool"),
        turn("mine", 4000, metadata={"class": "diary"}),
    ]
    assert due("episode=365d", turns) == ({"old", "mine"}, set())
    assert due("episode=365d, episode:tool=30d, episode:diary=never", turns) == ({"old", "tool"}, set())
    assert due("episode:tool=30d, episode=365d", turns) == ({"old", "mine"}, set())
    assert due("", turns) == (set(), set())


def test_flags_are_classes() -> None:
    turns = [turn("pin", 8, flags=("secret:pin",)), turn("card", 8, flags=("secret:card",)), turn("plain", 8)]
    assert due("episode:secret=7d", turns)[0] == {"pin", "card"}
    assert due("episode:secret:pin=7d", turns)[0] == {"pin"}


def test_facts_expire_by_predicate_class_permanence_and_status_from_when_they_were_last_said() -> None:
    old, new = turn("old", 100), turn("new", 5)
    facts = [fact("f1", old), fact("f2", old, new), fact("f3", old, status="superseded")]
    turns = [old, new]
    assert due("fact=90d", turns, facts)[0] == {"f1", "f3"}
    assert due("fact:superseded=90d", turns, facts)[0] == {"f3"}
    assert due("fact=90d, fact:location=never", turns, facts)[0] == set()
    assert due("fact:stable=90d", turns, facts)[0] == {"f1", "f3"}
    assert due("fact:planned=1d", turns, [fact("f", old, modality="planned")])[0] == {"f"}


def test_what_a_standing_fact_rests_on_is_spared_unless_the_rule_says_so() -> None:
    turns, facts = [turn("e1", 100), turn("e2", 100)], [fact("f", turn("e1", 100))]
    assert due("episode=90d", turns, facts) == ({"e2"}, {"e1"})
    assert due("episode=90d!", turns, facts) == ({"e1", "e2"}, set())
    assert due("episode=90d, fact=90d", turns, facts) == ({"e1", "e2", "f"}, set())


def test_what_is_kept_stays_and_so_does_what_it_needs() -> None:
    whole, part = turn("whole", 100, metadata={"keep": True}), turn("part", 100, metadata={"keep": ["f2"]})
    facts = [fact("f1", whole), fact("f2", part), fact("f3", part)]
    gone, spared = due("episode=1d!, fact=1d", [whole, part], facts)
    assert gone == {"f3"}
    assert spared == {"whole", "part", "f1", "f2"}


def test_a_turn_may_name_its_own_last_day() -> None:
    turns = [turn("over", 2, metadata={"expires": "2025-12-31"}), turn("not yet", 2, metadata={"expires": "2026-01"})]
    assert due("", [*turns, turn("odd", 2, metadata={"expires": "soon"})]) == ({"over"}, set())


@pytest.mark.parametrize(
    "text", ["episode", "episode=1", "turn=3d", "fact:x=3d!", "episode=-3d", "fact=3 d", "fact: x=3d"]
)
def test_what_is_no_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"no rule|leave the !"):
        Policy.read(text)


@pytest.mark.parametrize("text", ["soon", "0d", "-1d", "5"])
def test_what_is_no_half_life_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="half-life"):
        Policy.read(decay=text)


@given(ages=st.lists(st.floats(-10, 5000), min_size=2, max_size=2), half=st.integers(1, 1000))
def test_the_older_never_counts_more_and_never_nothing(ages: list[float], half: int) -> None:
    policy = Policy.read(decay=f"{half}d")
    young, old = (factor(policy, turn("e", age), NOW, load()) for age in sorted(ages))
    assert FLOOR <= old <= young <= 1
    assert factor(Policy(), turn("e", ages[0]), NOW, load()) == 1


def test_half_a_life_takes_half_of_what_can_go_and_lasting_things_do_not_fade() -> None:
    policy, ontology = Policy.read(decay="100d"), load()
    assert factor(policy, turn("e", 100), NOW, ontology) == pytest.approx((1 + FLOOR) / 2)
    assert factor(policy, turn("e", 100, metadata={"keep": True}), NOW, ontology) == 1
    assert ontology["previously_lived_in"].permanence == "permanent"
    assert factor(policy, fact("f", turn("e", 100), predicate="previously_lived_in"), NOW, ontology) == 1
    assert factor(policy, fact("f", turn("e", 100)), NOW, ontology) < 1


@pytest.fixture
def memory() -> Iterator[Memory]:
    clock = FrozenClock(NOW)
    with Memory.open("memory://", user="alice", embedder=HashEmbedder(64), clock=clock) as memory:
        days = {"t1": 400, "t2": 390, "t3": 2}
        texts = {
            "t1": "So {Alice | lives_in | Lisbon} then.",
            "t2": "Zebra crossings were painted.",
            "t3": "And {Alice | works_at | Acme} now.",
        }
        turns = [Turn(role="user", content=texts[id], id=id, at=NOW - timedelta(days=days[id])) for id in texts]
        memory.add(turns, session="s")
        memory.consolidate(extractor=MarkedExtractor())
        yield memory


def test_a_dry_run_says_what_would_go_and_changes_nothing(memory: Memory) -> None:
    before = memory.space.ledger.position()
    report = memory.retention.expire("episode=365d", dry_run=True)
    assert report.dry_run
    assert set(report.due) == {"t2"}
    assert report.due["t2"] == "episode=365d, said 2024-12-07"
    (lives,) = memory.facts(predicate="lives_in")
    assert report.spared == {"t1": f"fact {lives.id} rests on it"}
    assert report.forgotten == {"episode": ("t2",)}
    assert memory.space.ledger.position() == before
    done = memory.retention.expire("episode=365d")
    assert (done.due, done.forgotten, done.dry_run) == (report.due, report.forgotten, False)
    with pytest.raises(NotFound):
        memory.get("t2")
    assert memory.get("t1")
    assert memory.search("zebra crossings", kinds=("episode",)).hits[0].record.id != "t2"
    assert memory.retention.expire("episode=365d").forgotten == {}


def test_an_expired_fact_goes_with_its_words_and_several_go_at_once(memory: Memory) -> None:
    (lives,) = memory.facts(predicate="lives_in")
    report = memory.retention.expire("fact:lives_in=365d, episode=365d")
    assert set(report.due) == {lives.id, "t1", "t2"}
    assert memory.facts(predicate="lives_in") == []
    assert [f.predicate for f in memory.facts()] == ["works_at"]
    assert {c.predicate for c in memory.space.ledger.select(Claim)} == {"works_at"}


def test_a_kept_fact_outlives_its_rule_until_it_is_let_go(memory: Memory) -> None:
    (lives,) = memory.facts(predicate="lives_in")
    memory.retention.keep(lives.id)
    rules = "fact=365d, episode=365d!"
    assert set(memory.retention.expire(rules, dry_run=True).due) == {"t2"}
    assert memory.facts(predicate="lives_in") == [lives]
    memory.retention.keep(lives.id, False)
    assert set(memory.retention.expire(rules, dry_run=True).due) == {lives.id, "t1", "t2"}
    memory.retention.keep("t2")
    assert "t2" in memory.retention.expire(rules, dry_run=True).spared
    with pytest.raises(NotFound):
        memory.retention.keep("nothing")


def test_the_settings_rules_are_the_default() -> None:
    settings = Settings(expire="episode=30d")
    with Memory.open(
        "memory://", user="a", embedder=HashEmbedder(), clock=FrozenClock(NOW), settings=settings
    ) as memory:
        memory.add([Turn(role="user", content="old", id="t", at=NOW - timedelta(days=31))])
        assert set(memory.retention.expire().due) == {"t"}
        assert memory.retention.expire().due == {}


def test_decay_lets_the_new_pass_the_old_and_says_so() -> None:
    def ranked(decay: str, **more: Any) -> list[tuple[str, str]]:
        settings = Settings(decay=decay)
        with Memory.open(
            "memory://", user="a", embedder=HashEmbedder(), clock=FrozenClock(NOW), settings=settings
        ) as memory:
            for id, days in (("old", 900), ("new", 1)):
                at = NOW - timedelta(days=days)
                memory.add([Turn(role="user", content="the parcel came", id=id, at=at)], session=id)
            return [(hit.record.id, hit.why.note) for hit in memory.search("parcel", **more).hits]

    assert {id for id, _ in ranked("")} == {"old", "new"}
    faded = ranked("90d")
    assert [id for id, _ in faded] == ["new", "old"]
    assert "age counts 0.50" in faded[1][1]
    assert "age counts" not in str(ranked("90d", as_of=PartialDate("2025")))
