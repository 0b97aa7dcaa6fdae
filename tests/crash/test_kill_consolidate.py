"""kill -9 at random instants while turns are consolidated: real SQLite, real Chroma."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from harness import Ack, kill_repeatedly

from memory_agent import consolidation, episodic
from memory_agent.config import Settings
from memory_agent.consolidation import job
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Query
from memory_agent.records import Claim, Episode, Fact
from memory_agent.retrieval import index
from memory_agent.space import Space, open_backend, space_key
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

KEY = space_key("default", "Alice")
TOWNS = ["Lisbon", "Porto", "Faro", "Rome"]


def opened(folder: Path) -> tuple[Backend, Space]:
    backend = open_backend(str(folder))
    ledger, vectors = backend.ledger.space(KEY), backend.index.space(KEY)
    embedder = Embedder(HashEmbedder(64), "hash")
    space = Space(KEY, "default", "Alice", None, ledger, vectors, embedder, folder, Settings(), FrozenClock())
    return backend, space


def live_and_consolidate(folder: Path, ack: Ack) -> None:
    """Turn n says one new thing and that Alice moved on to the next town; each session is consolidated."""
    _, space = opened(folder)
    first = space.ledger.count(Episode)
    for n in itertools.count(first, 4):
        turns = [_turn(k) for k in range(n, n + 4)]
        episodic.take_in(space, turns, f"s{n // 4}")
        done = consolidation.consolidate(space, MarkedExtractor())
        ack(" ".join([*(str(turn["id"]) for turn in turns), done.run]))
        index.catch_up(space)


def _turn(k: int) -> dict[str, object]:
    town = TOWNS[k % len(TOWNS)]
    said = f"{{Alice | likes | tea {k}}} {{Alice | lives_in | {town}}} {{Alice | commute | tram {k}}}"
    minutes = f"2023-01-{1 + k // 1440:02d}T{k // 60 % 24:02d}:{k % 60:02d}:00+00:00"
    return {"role": "user", "speaker": "Alice", "content": said, "id": f"t{k}", "at": minutes}


def whole(folder: Path, acknowledged: list[str]) -> None:
    backend, space = opened(folder)
    try:
        assert backend.ledger.check() == []
        read = {e.id for e in space.ledger.select(Episode) if e.run is not None}
        due = {id for line in acknowledged for id in line.split() if id.startswith("t")}
        assert due <= read, "what was acknowledged as consolidated is not"
        claims = space.ledger.select(Claim)
        assert {c.episode_id for c in claims} == read, "a batch is half written"
        current = space.ledger.select(Fact, Query(where={"retired_at": None}))
        assert len({f.id for f in current}) == len(current), "a fact stands twice"
        assert {f.object for f in current if f.predicate == "likes"} == {f"tea {id[1:]}" for id in read}
        homes = [f for f in current if f.predicate == "lives_in" and f.status == "current"]
        assert [f.object for f in homes] == [TOWNS[(len(read) - 1) % len(TOWNS)]] if read else not homes
    finally:
        backend.index.close()
        backend.ledger.close()


@pytest.mark.parametrize("kills", [50, pytest.param(500, marks=pytest.mark.soak)])
def test_kill_during_consolidation_leaves_no_batch_half_read(tmp_path: Path, kills: int) -> None:
    job.load()
    tally = kill_repeatedly(live_and_consolidate, whole, tmp_path / "store", kills=kills, longest=0.6)
    assert tally.kills == kills
    backend, space = opened(tmp_path / "store")
    consolidation.consolidate(space, MarkedExtractor())
    assert space.ledger.count(Episode, Query(where={"run": None})) == 0
    pairs = {(c.episode_id, c.predicate) for c in space.ledger.select(Claim)}
    assert len(pairs) == 3 * space.ledger.count(Episode) == space.ledger.count(Claim), "a claim was read twice"
    backend.index.close()
    backend.ledger.close()
