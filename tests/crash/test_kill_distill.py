"""kill -9 at random instants of a distillation: real trainer and store, a student that is small and random.

Each finished run teaches one fact more than the one before, so there is always something to build. Between
the runs nothing may be half promoted, and the adapter that answers must be whole and of one run.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import harness
import pytest
from harness import Ack, kill_repeatedly
from students import tiny_student

from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.probes import Sample
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Query
from memory_agent.records import Adapter, Episode, Fact, Run, Source
from memory_agent.space import Space, space_key
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent_stores.chroma import ChromaIndex
from memory_agent_stores.sqlite import SqliteLedger

harness.PRELOAD += [
    "torch",
    "transformers",
    "peft",
    "memory_agent.distillation.trainers.lora",
    "memory_agent_stores.sqlite",
]

KEY = space_key("default", "alice")
RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=4, replay_prompts=4, opener_rows=0, text_every=0, rank=2
)
OPTIONS = Options(gate=Gate(thresholds={}), sample=Sample(*[1] * 8), cap=3)


def opened(folder: Path) -> tuple[Backend, Space]:
    backend = Backend(SqliteLedger(folder), ChromaIndex(folder), folder)
    settings = Settings(student=str(folder.parent / "student"), threads=1)
    space = Space(
        key=KEY,
        tenant="default",
        user="alice",
        agent=None,
        ledger=backend.ledger.space(KEY),
        index=backend.index.space(KEY),
        embedder=Embedder(HashEmbedder(64), "hash"),
        folder=folder / "spaces" / "alice",
        settings=settings,
        clock=FrozenClock(),
    )
    return backend, space


def learn(space: Space) -> str:
    """Put one more fact into the graph; its id."""
    n = space.ledger.count(Fact)
    now, text = space.clock.now(), f"Person{n} Field lives in Town{n}."
    episode = Episode(
        id=f"e{n}", session="s", role="user", speaker="Ana", content=text, at=now, recorded_at=now, digest=f"{n}"
    )
    fact = Fact(
        id=f"f{n}",
        subject=f"Person{n} Field",
        subject_id=f"p{n}",
        predicate="lives_in",
        object=f"Town{n}",
        text=text,
        recorded_at=now,
        sources=(Source(episode_id=episode.id, start=0, end=6, quote=text[:6]),),
    )
    with space.ledger.transaction() as tx:
        tx.put(episode, fact)
    return fact.id


def distil_for_ever(folder: Path, ack: Ack) -> None:
    _, space = opened(folder)
    while True:
        ack(learn(space))
        report = distill(space, recipe=RECIPE, options=OPTIONS)
        ack("promoted " + " ".join(report.adapters))


def nothing_is_half_done(folder: Path, acknowledged: list[str]) -> None:
    backend, space = opened(folder)
    try:
        assert backend.ledger.check() == []
        assert {line for line in acknowledged if line.startswith("f")} <= {f.id for f in space.ledger.select(Fact)}
        serving = registry.with_state(space.ledger, "promoted")
        for adapter in space.ledger.select(Adapter):
            assert adapter.state in ("promoted", "previous")
            assert registry.verify(space, adapter)
        taught = [entity for adapter in serving for entity in adapter.entities]
        assert len(taught) == len(set(taught)), "two adapters answer for one entity"
        told = [line.split()[1:] for line in acknowledged if line.startswith("promoted")]
        known = {adapter.id for adapter in space.ledger.select(Adapter)}
        assert all(id in known for ids in told for id in ids)
        if told:
            covered = {t.rpartition("@")[0] for a in serving for t in a.facts}
            assert {t for a in space.ledger.select(Adapter) if a.id in told[-1] for t in a.facts} <= {
                f"{id}@1" for id in covered
            }
        assert space.ledger.count(Run, Query(where={"state": "running"})) <= 1
    finally:
        backend.ledger.close()


@pytest.mark.parametrize("kills", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_kill_during_distillation(tmp_path: Path, kills: int) -> None:
    tiny_student(tmp_path / "student")
    kill_repeatedly(distil_for_ever, nothing_is_half_done, tmp_path / "store", kills=kills, longest=6.0)
    backend, space = opened(tmp_path / "store")
    learn(space)
    report = distill(space, recipe=RECIPE, options=OPTIONS)
    assert report.promoted
    assert {f"f{n}" for n in range(space.ledger.count(Fact))} == set(report.facts)
    states = {run.state for run in space.ledger.select(Run)}
    assert states <= {"done", "failed"}
    folders = {folder.name for folder in registry.adapters_folder(space).iterdir()}
    assert folders <= {a.sha256 for a in space.ledger.select(Adapter)}, "a killed run left weights behind"
    assert not list(registry.jobs_folder(space).iterdir()), "a killed run left rows behind"
    backend.ledger.close()
    shutil.rmtree(tmp_path / "store")
