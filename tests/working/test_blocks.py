"""Blocks: edited within their limits, read-only ones not at all, and every edit in the history with its reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memory_agent import Memory
from memory_agent.agent import as_agent
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.records import Block, BlockVersion, Entity
from memory_agent.testing.models import HashEmbedder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open("memory://", user="alice", embedder=HashEmbedder()) as memory:
        yield memory


def test_a_block_is_appended_to_replaced_in_and_rewritten(memory: Memory) -> None:
    blocks = memory.blocks
    blocks.put("human", "Name: Alice", description="about the user")
    assert blocks.append("human", "Lives in Lisbon").value == "Name: Alice\nLives in Lisbon"
    assert "Porto" in blocks.replace("human", "Lisbon", "Porto", reason="she moved").value
    blocks.rethink("human", "Alice, of Porto")
    assert blocks.get("human").value == "Alice, of Porto"
    assert blocks.get("human").description == "about the user"
    assert [block.label for block in blocks.all()] == ["human"]


def test_every_edit_is_in_the_history_with_its_reason(memory: Memory) -> None:
    memory.blocks.put("human", "Alice", reason="first meeting")
    memory.blocks.append("human", "of Porto", reason="she moved")
    memory.blocks.put("human", "Alice again")
    told = [(e.version, e.action, e.actor, e.value, e.reason) for e in memory.blocks.history("human")]
    assert told == [
        (1, "put", "owner", "Alice", "first meeting"),
        (2, "append", "agent", "Alice\nof Porto", "she moved"),
        (3, "put", "owner", "Alice again", ""),
    ]
    block = memory.blocks.get("human")
    assert memory.history(block.id) == memory.blocks.history("human")
    assert memory.get(block.id) == block
    assert "she moved" in memory.explain(block.id).text
    assert isinstance(memory.get(f"{block.id}@2"), BlockVersion)


def test_the_limit_holds_and_a_refused_edit_changes_nothing(memory: Memory) -> None:
    memory.blocks.put("human", "0123456789", limit=12)
    with pytest.raises(InvalidInput, match="12 characters"):
        memory.blocks.append("human", "more")
    with pytest.raises(InvalidInput, match="12 characters"):
        memory.blocks.put("other", "x" * 13, limit=12)
    assert memory.blocks.get("human").value == "0123456789"
    assert len(memory.blocks.history("human")) == 1


@pytest.mark.parametrize(("label", "limit"), [("", 10), (" ", 10), ("two\nlines", 10), ("x" * 101, 10), ("human", 0)])
def test_a_bad_label_or_limit_is_refused(memory: Memory, label: str, limit: int) -> None:
    with pytest.raises(InvalidInput):
        memory.blocks.put(label, limit=limit)
    assert memory.blocks.all() == []


def test_a_read_only_block_is_the_owners_alone(memory: Memory) -> None:
    memory.blocks.put("persona", "I am terse.", read_only=True)
    for edit in (memory.blocks.append, memory.blocks.rethink):
        with pytest.raises(InvalidInput, match="read-only"):
            edit("persona", "x")
    assert memory.blocks.put("persona", "I am kind.", read_only=True).value == "I am kind."


@pytest.mark.parametrize("old", ["absent", "a", ""])
def test_a_passage_must_stand_exactly_once(memory: Memory, old: str) -> None:
    memory.blocks.put("human", "banana")
    with pytest.raises(InvalidInput, match="times"):
        memory.blocks.replace("human", old, "x")


def test_an_unknown_block_names_those_there_are(memory: Memory) -> None:
    memory.blocks.put("human")
    with pytest.raises(NotFound, match="human"):
        memory.blocks.get("humna")


def test_every_edit_is_in_the_chain_without_its_text(memory: Memory) -> None:
    memory.blocks.put("human", "secret words")
    memory.blocks.append("human", "more secret words", reason="because of secret words")
    entries = [entry for entry in memory.space.ledger.audit_chain() if entry.action.startswith("block.")]
    assert [entry.action for entry in entries] == ["block.put", "block.append"]
    assert "secret" not in str(entries)


def test_agents_share_what_is_shared_and_nothing_else(memory: Memory) -> None:
    memory.blocks.put("human", "Alice")
    planner, critic = as_agent(memory, "planner"), as_agent(memory, "critic")
    planner.blocks.put("persona", "I plan.")
    critic.blocks.put("persona", "I doubt.")
    planner.blocks.append("human", "likes plans")
    assert [b.value for b in critic.blocks.all()] == ["Alice\nlikes plans", "I doubt."]
    assert [b.value for b in planner.blocks.all()] == ["Alice\nlikes plans", "I plan."]
    critic.blocks.put("human", "Alice, to me")
    assert planner.blocks.get("human").value == "Alice\nlikes plans"
    assert critic.blocks.get("human").value == "Alice, to me"
    with pytest.raises(NotFound):
        memory.blocks.get("persona")


def test_forgetting_a_block_takes_its_history_along(memory: Memory) -> None:
    block = memory.blocks.put("human", "Zebulon lives here")
    memory.blocks.rethink("human", "nothing")
    report = memory.forget(block.id, reason="asked")
    assert set(report.forgotten) == {"block", "block_version"}
    for kind in (Block, BlockVersion):
        assert memory.space.ledger.count(kind) == 0


def test_forgetting_somebody_reaches_the_history_of_blocks(memory: Memory) -> None:
    with memory.space.ledger.transaction() as tx:
        tx.put(Entity(id="e:z", name="Zebulon", type="person"))
    memory.blocks.put("human", "Has a brother, Zebulon.", reason="told of Zebulon")
    memory.blocks.rethink("human", "Nothing.")
    memory.forget("e:z", reason="asked")
    assert "Zebulon" not in str(memory.blocks.history("human"))
