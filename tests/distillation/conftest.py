"""Spaces to distil, in real stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_agent.config import Settings
from memory_agent.models.embedders import Embedder
from memory_agent.space import Space, open_backend, space_key
from memory_agent.testing import FrozenClock, HashEmbedder


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Space]:
    """An empty SQLite store bound to Alice."""
    backend = open_backend(str(tmp_path / "store"))
    key = space_key("default", "alice")
    yield Space(
        key=key,
        tenant="default",
        user="alice",
        agent=None,
        ledger=backend.ledger.space(key),
        index=backend.index.space(key),
        embedder=Embedder(HashEmbedder(64), "hash"),
        folder=tmp_path / "store" / "spaces" / "alice",
        settings=Settings(),
        clock=FrozenClock("2026-01-01T00:00:00+00:00"),
    )
    backend.index.close()
    backend.ledger.close()
