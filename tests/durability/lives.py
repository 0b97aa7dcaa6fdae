"""Memories to be backed up, damaged and examined."""

from __future__ import annotations

from pathlib import Path

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

SETTINGS = Settings(lock_wait=5)


def memory_of(store: str | Path, user: str = "alice", *, clock: FrozenClock | None = None) -> Memory:
    return Memory.open(
        str(store),
        user=user,
        embedder=HashEmbedder(64),
        clock=clock or FrozenClock("2024-06-01T12:00:00+00:00"),
        settings=SETTINGS,
    )


def said(id: str, content: str, at: str = "2024-05-01") -> dict[str, str]:
    return {"role": "user", "speaker": "Alice", "content": content, "id": id, "at": f"{at}T10:00:00+00:00"}


def lived(store: str | Path, user: str = "alice", towns: tuple[str, str] = ("Lisbon", "Porto")) -> Memory:
    """A memory with turns, facts, one that was superseded, a block and a summary; open."""
    memory = memory_of(store, user)
    memory.add(
        [
            said("t1", f"I moved. {{Alice | lives_in | {towns[0]}}}", "2024-01-01"),
            said("t2", f"Again. {{Alice | lives_in | {towns[1]}}} {{Alice | likes | fado}}", "2024-02-01"),
            said("t3", "My sister: {Ana Field | works_at | Acme}", "2024-03-01"),
        ],
        session="s1",
    )
    memory.consolidate(extractor=MarkedExtractor())
    memory.blocks.put("human", "Alice sings fado.")
    memory.summaries()
    return memory
