"""Corrections: what replaces what, what they rest on, and what falls with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.consolidation.offline import OfflineExtractor
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.records import Adapter, Episode, Fact
from memory_agent.testing import HashEmbedder

TURNS = [
    {"role": "user", "id": "t1", "at": "2025-01-05T10:00:00+00:00", "content": "I live in Lisbon."},
    {"role": "user", "id": "t2", "at": "2025-01-05T10:01:00+00:00", "content": "I work at Siemens."},
]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "store", user="Alice", embedder=HashEmbedder()) as memory:
        memory.add(TURNS, session="s1")
        memory.consolidate(extractor=OfflineExtractor())
        yield memory


def home(memory: Memory) -> Fact:
    (fact,) = memory.facts("Alice", predicate="lives_in")
    return fact


def test_a_corrected_fact_holds_from_now_on_and_names_its_source(memory: Memory) -> None:
    old = home(memory)
    new = memory.update(old.id, object="Porto", valid_from="2024-03")
    assert isinstance(new, Fact)
    assert (new.object, new.valid_from) == ("Porto", "2024-03")
    assert home(memory) == memory.get(new.id)
    source = memory.get(new.sources[-1].episode_id)
    assert isinstance(source, Episode)
    assert "Porto" in source.content
    assert source.session == "edits"


def test_what_was_believed_before_can_still_be_asked(memory: Memory) -> None:
    old = home(memory)
    memory.update(old.id, object="Porto")
    assert [f.object for f in memory.facts("Alice", predicate="lives_in", known_at=old.recorded_at)] == ["Lisbon"]


def test_a_correction_survives_the_next_consolidation(memory: Memory) -> None:
    memory.update(home(memory).id, object="Porto")
    memory.add([{"role": "user", "content": "I have a dog called Biscuit."}], session="s2")
    memory.consolidate(extractor=OfflineExtractor())
    assert home(memory).object == "Porto"


def test_a_correction_switches_off_what_was_taught_the_old_value(memory: Memory) -> None:
    old = home(memory)
    adapter = Adapter(
        id="adapter_x",
        shard="s",
        state="promoted",
        base="b",
        facts=(f"{old.id}@{old.version}",),
        sha256="x",
        created_at=old.recorded_at,
    )
    with memory.space.ledger.transaction() as tx:
        tx.put(adapter)
    memory.update(old.id, object="Porto")
    off = memory.get("adapter_x")
    assert isinstance(off, Adapter)
    assert off.state == "off"


def test_a_corrected_turn_is_read_again(memory: Memory) -> None:
    memory.update("t1", content="I live in Braga.")
    assert memory.facts("Alice", predicate="lives_in") == []
    memory.consolidate(extractor=OfflineExtractor())
    assert home(memory).object == "Braga"
    assert memory.search("Braga", kinds=("episode",)).hits[0].record.id == "t1"


def test_what_cannot_be_corrected_is_refused_and_changes_nothing(memory: Memory) -> None:
    before = memory.facts()
    with pytest.raises(NotFound):
        memory.update("fact_none", object="Porto")
    with pytest.raises(InvalidInput, match="already"):
        memory.update(home(memory).id, object="Lisbon")
    with pytest.raises(InvalidInput, match="give content"):
        memory.update("t1")
    with pytest.raises(InvalidInput, match="date"):
        memory.update(home(memory).id, valid_from="last spring")
    with pytest.raises(InvalidInput, match="empty"):
        memory.update("t1", content="  ")
    assert memory.facts() == before
