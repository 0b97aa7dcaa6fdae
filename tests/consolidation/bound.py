"""A space bound to a user of an open store, for tests."""

from __future__ import annotations

from memory_agent.config import Settings
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend
from memory_agent.space import Space, space_key
from memory_agent.testing import FrozenClock, HashEmbedder


def space_of(backend: Backend, user: str = "Alice", clock: FrozenClock | None = None) -> Space:
    key = space_key("default", user)
    return Space(
        key=key,
        tenant="default",
        user=user,
        agent=None,
        ledger=backend.ledger.space(key),
        index=backend.index.space(key),
        embedder=Embedder(HashEmbedder(64), "hash"),
        folder=backend.folder / "spaces" / key.replace("/", "@"),
        settings=Settings(),
        clock=clock or FrozenClock("2025-01-01T00:00:00+00:00"),
    )
