"""Prepared jobs trained by several processes are what `distill` itself would have trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from students import tiny_student

from memory_agent import distillation
from memory_agent.config import Settings, launched_as
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.probes import Sample
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options
from memory_agent.distillation.trainers.lora import LoraTrainer
from memory_agent.errors import InvalidInput
from memory_agent.memory import Memory
from memory_agent.protocols import Progress
from memory_agent.scheduling.launch import prepare_jobs, train_share
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=2, replay_prompts=2, opener_rows=0, text_every=0, rank=2
)
OPTIONS = Options(gate=Gate(thresholds={}), sample=Sample(*[1] * 8), cap=1)


class Counting:
    """The real trainer, which notes what it trained."""

    name = LoraTrainer.__qualname__

    def __init__(self) -> None:
        self.trained: list[str] = []

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        self.trained.append(job.parent.name)
        return LoraTrainer(threads=1).train(job, out, progress)


def test_each_process_trains_its_share_and_distill_takes_it(tmp_path: Path) -> None:
    student = tiny_student(tmp_path / "student")
    settings = Settings(student=str(student), threads=1)
    with Memory.open(
        "memory://", user="Ann", embedder=HashEmbedder(16), settings=settings, clock=FrozenClock()
    ) as memory:
        said = ["{Ann | lives_in | Porto}", "{Rui | lives_in | Faro}", "{Eva | lives_in | Rome}"]
        memory.add([{"role": "user", "speaker": "Ann", "content": text} for text in said], session="s")
        memory.consolidate(extractor=MarkedExtractor())
        folders = prepare_jobs(memory.space, recipe=RECIPE, options=OPTIONS)
        assert len(folders) == 3
        home = folders[0].parent
        processes = [Counting(), Counting()]
        for rank, trainer in enumerate(processes):
            train_share(home, rank, 2, trainer)
        assert [len(each.trained) for each in processes] == [2, 1]
        assert {name for each in processes for name in each.trained} == {folder.name for folder in folders}
        again = Counting()
        assert train_share(home, 0, 1, again) == []
        report = distillation.distill(memory.space, recipe=RECIPE, options=OPTIONS, trainer=again)
        assert (report.promoted, len(report.adapters), again.trained) == (True, 3, [])
        assert prepare_jobs(memory.space, recipe=RECIPE, options=OPTIONS) == []
        with pytest.raises(InvalidInput, match="distill --prepare"):
            train_share(tmp_path, 0, 1)


def test_the_place_among_processes_is_torchruns() -> None:
    assert launched_as({}) == (0, 1)
    assert launched_as({"RANK": "1", "WORLD_SIZE": "2"}) == (1, 2)
    for wrong in ({"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x"}):
        with pytest.raises(InvalidInput):
            launched_as(wrong)
