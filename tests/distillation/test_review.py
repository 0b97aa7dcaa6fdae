"""The queue of what waits for a person, and what a decision does to graph and weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.distillation.selection import Policy, select_from
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Episode
from memory_agent.semantic import ontology
from memory_agent.testing import FrozenClock, HashEmbedder


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    clock = FrozenClock("2026-01-01T00:00:00+00:00")
    opened = Memory.open(tmp_path / "store", user="alice", embedder=HashEmbedder(32), clock=clock, settings=Settings())
    with opened as memory:
        yield memory


def say(memory: Memory, text: str, by: str = "Alice", at: str = "2026-01-01T00:00:00+00:00", **metadata: object) -> str:
    turn = {"role": "user", "speaker": by, "content": text, "at": at, "metadata": metadata}
    return memory.add([turn]).added[0]


def taught(memory: Memory) -> set[str]:
    policy = Policy.of(memory.space.settings, "alice")
    return {f.text for f in select_from(memory.space.ledger, ontology.load(), memory.space.clock.now(), policy).facts}


def test_what_another_source_says_waits_until_it_is_approved(memory: Memory) -> None:
    say(memory, "I live in Porto.")
    say(memory, "Alice works at Quarkline.", by="Mallory")
    memory.consolidate()
    (one,) = memory.review.waiting()
    assert (one.fact.object, one.reason, one.sources) == ("Quarkline", "untrusted", ("mallory",))
    assert memory.review.waiting("Bob") == []
    assert taught(memory) == {"Alice lives in Porto."}
    memory.review.approve(one.fact.id)
    assert memory.review.waiting() == []
    assert taught(memory) == {"Alice lives in Porto.", "Alice works at Quarkline."}
    assert memory.space.ledger.audit_chain()[-1].action == "approve"


def test_what_is_rejected_falls_everywhere_and_the_turn_stays(memory: Memory) -> None:
    said = say(memory, "Alice works at Quarkline.", by="Mallory")
    say(memory, "I live in Porto.")
    memory.consolidate()
    (one,) = memory.review.waiting()
    with memory.space.ledger.transaction() as tx:
        held = Adapter(id="a", shard="s", state="promoted", base="b", facts=(f"{one.fact.id}@1",), sha256="a" * 64,
                       created_at=memory.space.clock.now())  # fmt: skip
        tx.put(held)
    memory.review.reject(one.fact.id)
    assert memory.review.waiting() == []
    assert [f.object for f in memory.facts(past=True)] == ["Porto"]
    assert memory.space.ledger.select(Adapter)[0].state == "off"
    assert memory.get(said).content == "Alice works at Quarkline."  # type: ignore[attr-defined]
    assert memory.consolidate().episodes == 0


def test_a_word_of_low_trust_ends_nothing_until_it_is_approved(memory: Memory) -> None:
    say(memory, "I live in Porto.", at="2025-06-01T00:00:00+00:00")
    say(memory, "Alice moved to Moscow in December 2025.", by="Bot", trust="low")
    memory.consolidate()
    homes = {f.object: f.status for f in memory.facts(predicate="lives_in")}
    assert homes == {"Porto": "current", "Moscow": "disputed"}
    (alarm,) = memory.review.waiting()
    assert (alarm.fact.object, alarm.reason) == ("Moscow", "contradicts")
    memory.review.approve(alarm.fact.id)
    assert [f.object for f in memory.facts(predicate="lives_in")] == ["Moscow"]


def test_a_decision_about_nothing_is_refused(memory: Memory) -> None:
    with pytest.raises(NotFound):
        memory.review.approve("fact_nowhere")
    with pytest.raises(InvalidInput):
        memory.review.reject()


def test_whoever_takes_turns_in_cannot_approve_them(memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="reviews"):
        say(memory, "Alice works at Quarkline.", by="Mallory", approved=["fact_x"])
    assert memory.space.ledger.count(Episode, Query()) == 0


def test_a_correction_is_the_owners_word(memory: Memory) -> None:
    say(memory, "I live in Porto.", by="Ana")
    memory.consolidate()
    (home,) = memory.facts(predicate="lives_in")
    memory.update(home.id, object="Faro")
    assert [f.object for f in memory.facts(predicate="lives_in")] == ["Faro"]
    assert len(taught(memory)) == 1
    assert memory.review.waiting() == []
