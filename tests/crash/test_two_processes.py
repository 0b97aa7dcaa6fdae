"""Two processes on one store: nothing is lost, nothing is torn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from harness import forkserver

from memory_agent import episodic
from memory_agent.config import Settings
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import IndexState, Vectors
from memory_agent.records import Episode
from memory_agent.retrieval import index
from memory_agent.space import Space, open_backend, space_key
from memory_agent.testing import HashEmbedder
from memory_agent_stores.chroma import ChromaIndex


def a_space(folder: Path) -> Space:
    backend, key = open_backend(str(folder)), space_key("default", "alice")
    return Space(
        key, "default", "alice", None, backend.ledger.space(key), backend.index.space(key),
        Embedder(HashEmbedder(), "hash"), backend.folder, Settings(),
    )  # fmt: skip


def vectors(count: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def _write_and_look(folder: Path, prefix: str, rounds: int) -> None:
    space = ChromaIndex(folder, sync_threshold=10, exact=0).space("default/alice")
    state = IndexState("m", 8, 1)
    for n in range(rounds):
        ids = [f"{prefix}{n}-{k}" for k in range(7)]
        mine = vectors(7, seed=ord(prefix) + n)
        space.apply("episode", ids, mine, [], state=state)
        assert ids[0] in [id for id, _ in space.query("episode", mine[0], 5)]
        assert set(ids) <= space.ids("episode")


def test_two_processes_write_and_search_one_folder(tmp_path: Path) -> None:
    context = forkserver()
    writers = [context.Process(target=_write_and_look, args=(tmp_path, prefix, 4)) for prefix in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    index = ChromaIndex(tmp_path, sync_threshold=10)
    assert index.space("default/alice").count("episode") == 2 * 4 * 7
    index.close()


def _add_and_search(folder: Path, name: str, rounds: int, failed: Any) -> None:
    space = a_space(folder)
    for n in range(rounds):
        ids = [f"{name}{n}-{k}" for k in range(5)]
        turns = [{"role": "user", "content": f"{id} said by {name} in round {n}", "id": id} for id in ids]
        episodic.take_in(space, turns)
        index.catch_up(space)
        found = [id for id, _ in space.ledger.match([f"{name}{n}"], limit=50)]
        if f"{name}{n}-0" not in found:
            failed.put(f"{name}{n} was not found by its words")
        question = space.embedder.embed([f"alice: {name}{n}-0 said by {name} in round {n}"])[0]
        if space.index.query("episode", question, 1)[0][0] != f"{name}{n}-0":
            failed.put(f"{name}{n} was not found by its vector")


def test_two_processes_add_and_search_one_store(tmp_path: Path) -> None:
    context = forkserver()
    failed = context.Queue()
    workers = [context.Process(target=_add_and_search, args=(tmp_path, name, 4, failed)) for name in ("ann", "bea")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert failed.empty(), failed.get()
    space = a_space(tmp_path)
    index.catch_up(space)
    assert space.ledger.count(Episode) == space.index.count("episode") == 40
    assert open_backend(str(tmp_path)).ledger.check() == []
