"""A space over a real SQLite ledger and Chroma index in a fresh folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bound import space_of

from memory_agent import episodic
from memory_agent.protocols import Backend
from memory_agent.records import Turn
from memory_agent.space import Space, open_backend

Say = Callable[..., str]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    made = open_backend(str(tmp_path / "store"))
    yield made
    made.index.close()
    made.ledger.close()


@pytest.fixture
def space(backend: Backend) -> Space:
    return space_of(backend)


@pytest.fixture
def say(space: Space) -> Say:
    """say("2023-01-05", "text", by="Bob", session="s", role="user") takes one turn in; its id."""

    def take(at: str, text: str, *, by: str = "Alice", session: str = "s", role: str = "user") -> str:
        when = datetime.fromisoformat(at).replace(tzinfo=UTC)
        turn = Turn(role=role, speaker=by, content=text, at=when)  # type: ignore[arg-type]
        return episodic.take_in(space, [turn], session).added[0]

    return take
