"""kill -9 at random instants of work on a PostgreSQL store: clients die, the server and the others go on."""

from __future__ import annotations

import itertools
from pathlib import Path

import harness
import pytest
from harness import Ack, kill_repeatedly
from test_kill_consolidate import KEY, TOWNS, _turn

from memory_agent import consolidation, episodic
from memory_agent.config import Settings
from memory_agent.consolidation import job
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Query
from memory_agent.records import Claim, Episode, Fact
from memory_agent.retrieval import index
from memory_agent.space import Space, open_backend
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

harness.PRELOAD += ["memory_agent_stores.postgres", "memory_agent_stores.postgres_index"]


def opened(folder: Path) -> tuple[Backend, Space]:
    """The store whose URL lies beside `folder`."""
    backend = open_backend((folder.parent / "url").read_text())
    ledger, vectors = backend.ledger.space(KEY), backend.index.space(KEY)
    embedder = Embedder(HashEmbedder(64), "hash")
    settings = Settings(lock_wait=20)
    space = Space(KEY, "default", "Alice", None, ledger, vectors, embedder, folder, settings, FrozenClock())
    return backend, space


def live(folder: Path, ack: Ack) -> None:
    _, space = opened(folder)
    first = space.ledger.count(Episode)
    for n in itertools.count(first, 4):
        turns = [_turn(k) for k in range(n, n + 4)]
        episodic.take_in(space, turns, f"s{n // 4}")
        ack(" ".join(str(turn["id"]) for turn in turns))
        index.catch_up(space)
        with space.ledger.lock("index", wait=10):
            pass
        consolidation.consolidate(space, MarkedExtractor())
        ack(" ".join(f"read {turn['id']}" for turn in turns))


def whole(folder: Path, acknowledged: list[str]) -> None:
    backend, space = opened(folder)
    try:
        assert backend.ledger.check() == []
        held = {e.id for e in space.ledger.select(Episode)}
        read = {e.id for e in space.ledger.select(Episode) if e.run is not None}
        lines = [line for line in acknowledged if not line.startswith("read")]
        assert {id for line in lines for id in line.split()} <= held
        assert len(held) % 4 == 0, "a batch was torn"
        due = {w for line in acknowledged if line.startswith("read") for w in line.split() if w != "read"}
        assert due <= read, "what was acknowledged as consolidated is not"
        assert {c.episode_id for c in space.ledger.select(Claim)} == read, "a batch is half written"
        current = space.ledger.select(Fact, Query(where={"retired_at": None}))
        assert len({f.id for f in current}) == len(current), "a fact stands twice"
        homes = [f for f in current if f.predicate == "lives_in" and f.status == "current"]
        assert [f.object for f in homes] == [TOWNS[(len(read) - 1) % len(TOWNS)]] if read else not homes
        index.catch_up(space)
        assert space.index.ids("episode") == held
        with space.ledger.lock("consolidate", wait=5), space.ledger.lock("index", wait=5):
            pass  # the dead holder's locks are free
    finally:
        backend.index.close()
        backend.ledger.close()


@pytest.mark.parametrize("kills", [12, pytest.param(300, marks=pytest.mark.soak)])
def test_kill_during_work_on_postgres_loses_nothing(tmp_path: Path, postgres_url: str, kills: int) -> None:
    (tmp_path / "url").write_text(postgres_url)
    job.load()
    tally = kill_repeatedly(live, whole, tmp_path / "store", kills=kills, longest=0.6)
    assert tally.kills == kills
