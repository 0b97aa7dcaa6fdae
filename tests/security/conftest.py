"""A space to attack, in a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.space import Space
from memory_agent.testing import FrozenClock, HashEmbedder


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """Alice's memory, empty; its clock stands at the start of 2026."""
    clock = FrozenClock("2026-01-01T00:00:00+00:00")
    with Memory.open(
        tmp_path / "store", user="alice", embedder=HashEmbedder(32), clock=clock, settings=Settings()
    ) as opened:
        yield opened


@pytest.fixture
def space(memory: Memory) -> Space:
    """The space of Alice's memory."""
    return memory.space
