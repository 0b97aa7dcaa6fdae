"""kill -9 at random instants while turns are added: real SQLite, real Chroma."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from harness import Ack, kill_repeatedly

from memory_agent import episodic
from memory_agent.config import Settings
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Query
from memory_agent.records import Episode
from memory_agent.retrieval import index
from memory_agent.space import Space, space_key
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent_stores.chroma import ChromaIndex
from memory_agent_stores.sqlite import SqliteLedger

KEY = space_key("default", "alice")


def opened(folder: Path) -> tuple[Backend, Space]:
    """A store whose graph files are written every 40 vectors, so that kills strike there too."""
    backend = Backend(SqliteLedger(folder), ChromaIndex(folder, sync_threshold=40), folder)
    ledger, vectors = backend.ledger.space(KEY), backend.index.space(KEY)
    embedder = Embedder(HashEmbedder(512), "hash")
    space = Space(KEY, "default", "alice", None, ledger, vectors, embedder, folder, Settings(), FrozenClock())
    return backend, space


def add_for_ever(folder: Path, ack: Ack) -> None:
    _, space = opened(folder)
    first = space.ledger.count(Episode)
    for n in itertools.count(first, 10):
        ids = [f"t{n + k}" for k in range(10)]
        episodic.take_in(space, [{"role": "user", "content": f"I saw bird number {id}", "id": id} for id in ids])
        ack(" ".join(ids))
        index.catch_up(space)


def nothing_is_lost(folder: Path, acknowledged: list[str]) -> None:
    backend, space = opened(folder)
    try:
        held = {episode.id for episode in space.ledger.select(Episode)}
        due = {id for line in acknowledged for id in line.split()}
        assert due <= held
        assert len(held) % 10 == 0, "a batch was torn"
        assert backend.ledger.check() == []
        index.catch_up(space)
        state = space.index.state()
        assert held == space.index.ids("episode")
        assert state is None or state.position == space.ledger.position()
        for id in list(due)[:3]:
            found = space.index.query("episode", space.embedder.embed([f"alice: I saw bird number {id}"])[0], 3)
            assert id in [near for near, similarity in found if similarity > 0.999]
    finally:
        backend.index.close()
        backend.ledger.close()


@pytest.mark.parametrize("kills", [50, pytest.param(500, marks=pytest.mark.soak)])
def test_kill_during_add_loses_nothing_acknowledged(tmp_path: Path, kills: int) -> None:
    tally = kill_repeatedly(add_for_ever, nothing_is_lost, tmp_path / "store", kills=kills, longest=0.45)
    assert tally.kills == kills
    backend, space = opened(tmp_path / "store")
    added = episodic.take_in(space, [{"role": "user", "content": "and the next run goes on", "id": "last"}])
    assert added.added == ("last",)
    assert index.catch_up(space) == 1
    assert space.ledger.count(Episode, Query(ids=["last"])) == 1
    backend.index.close()
    backend.ledger.close()
