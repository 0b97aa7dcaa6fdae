"""A memory of one user, in memory, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memory_agent import Memory, Settings
from memory_agent.testing import FrozenClock, HashEmbedder

NO_STUDENT = Settings(student="none")
"""Tokens are then estimated, and no tokenizer is loaded."""


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock("2026-01-01T00:00:00+00:00")


@pytest.fixture
def memory(clock: FrozenClock) -> Iterator[Memory]:
    with Memory.open("memory://", user="alice", embedder=HashEmbedder(64), clock=clock, settings=NO_STUDENT) as opened:
        yield opened
