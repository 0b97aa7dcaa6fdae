"""Blocks: edited within their limits, read-only ones not at all, and every edit in the audit chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.space import Space
from memory_agent.testing.models import HashEmbedder
from memory_agent.working import blocks


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    with Memory.open(tmp_path / "m", user="alice", embedder=HashEmbedder()) as memory:
        yield memory.space


def test_a_block_is_appended_to_replaced_in_and_rewritten(space: Space) -> None:
    blocks.put(space, "human", "Name: Alice", description="about the user")
    assert blocks.append(space, "human", "Lives in Lisbon").value == "Name: Alice\nLives in Lisbon"
    assert "Porto" in blocks.replace(space, "human", "Lisbon", "Porto", reason="she moved").value
    blocks.rethink(space, "human", "Alice, of Porto")
    assert blocks.get(space, "human").value == "Alice, of Porto"
    assert blocks.get(space, "human").description == "about the user"
    assert [block.label for block in blocks.every(space)] == ["human"]


def test_the_limit_holds_and_a_refused_edit_changes_nothing(space: Space) -> None:
    blocks.put(space, "human", "0123456789", limit=12)
    with pytest.raises(InvalidInput, match="12 characters"):
        blocks.append(space, "human", "more")
    with pytest.raises(InvalidInput, match="12 characters"):
        blocks.put(space, "other", "x" * 13, limit=12)
    assert blocks.get(space, "human").value == "0123456789"


def test_a_read_only_block_is_the_owners_alone(space: Space) -> None:
    blocks.put(space, "persona", "I am terse.", read_only=True)
    for edit in (blocks.append, blocks.rethink):
        with pytest.raises(InvalidInput, match="read-only"):
            edit(space, "persona", "x")
    assert blocks.put(space, "persona", "I am kind.", read_only=True).value == "I am kind."


@pytest.mark.parametrize("old", ["absent", "a", ""])
def test_a_passage_must_stand_exactly_once(space: Space, old: str) -> None:
    blocks.put(space, "human", "banana")
    with pytest.raises(InvalidInput, match="times"):
        blocks.replace(space, "human", old, "x")


def test_an_unknown_block_names_those_there_are(space: Space) -> None:
    blocks.put(space, "human")
    with pytest.raises(NotFound, match="human"):
        blocks.get(space, "humna")


def test_every_edit_is_in_the_chain_without_its_text(space: Space) -> None:
    blocks.put(space, "human", "secret words")
    blocks.append(space, "human", "more secret words", reason="because of secret words")
    entries = [entry for entry in space.ledger.audit_chain() if entry.action.startswith("block.")]
    assert [entry.action for entry in entries] == ["block.put", "block.append"]
    assert "secret" not in str(entries)
