"""Training by an engine that is there already, on several processes: one shard a task, on the hook of `distill`.

    memory-agent distill --prepare       writes a job folder for each shard that is to be built, and says where
    torchrun --nproc-per-node 2 -m memory_agent.scheduling.launch FOLDER      (or `accelerate launch`)
    memory-agent distill                 takes the adapters it finds, probes them, and lets the gate decide

A process trains every shard whose turn it is by its rank, so no two train the same one and none waits
for another. An adapter appears whole: what was killed is trained again by the next launch or by `distill` itself.
On Ray: `on_ray`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from memory_agent.config import launched_as
from memory_agent.distillation import registry
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.job import prepare
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, options_of, plan
from memory_agent.distillation.trainers import Train, find_trainer, method_of, trainer_of
from memory_agent.errors import InvalidInput
from memory_agent.models.local import LocalModel
from memory_agent.protocols import Progress, Trainer
from memory_agent.space import Space


def prepare_jobs(
    space: Space,
    *,
    recipe: Recipe | None = None,
    trainer: str | Trainer | Train | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    options: Options | None = None,
) -> list[Path]:
    """Write the job folder of each shard that a distillation with these arguments would train; their paths.

    Raises StoreBusy while a distillation runs, and what the student raises.
    """
    with space.ledger.lock(registry.LOCK):
        student = LocalModel.load(space.settings)
        recipe, options = recipe or Recipe.of(space.settings), options_of(space, options)
        writer = options.paraphraser
        method = method_of(trainer_of(space.settings, trainer))
        found = plan(space, recipe, seed, options, student.revision, method)
        folders = []
        for shard in found.dirty:
            folder = registry.jobs_folder(space) / found.digests[shard.id]
            taught = [TaughtFact.of(fact) for fact in (*shard.facts, *shard.past)]
            prepare(folder / "job", taught, recipe, student, seed, progress, writer.write(taught) if writer else None)
            folders.append(folder)
        return folders


def train_share(folder: Path, rank: int, of: int, trainer: Trainer | None = None) -> list[Path]:
    """Train every `of`th of the jobs in `folder`, from the `rank`th on, that has no adapter yet; the adapters' folders.

    Raises InvalidInput without jobs, and TrainerFailed.
    """
    mine = [home for n, home in enumerate(_homes(folder)) if n % of == rank]
    return [train(home, trainer) for home in mine if not _trained(home)]


def untrained(folder: Path) -> list[Path]:
    """The jobs in `folder` that have no adapter yet. Raises InvalidInput when there are no jobs at all."""
    return [home for home in _homes(folder) if not _trained(home)]


def train(home: Path, trainer: Trainer | None = None) -> Path:
    """Train one prepared job; its adapter's folder. Raises TrainerFailed."""
    return (trainer or find_trainer()).train(home / "job", home / "out")


def _homes(folder: Path) -> list[Path]:
    found = sorted(path.parent.parent for path in folder.glob("*/job/job.json"))
    if not found:
        raise InvalidInput(f"no job lies in {folder}: `memory-agent distill --prepare` says where it put them")
    return found


def _trained(home: Path) -> bool:
    return (home / "out").is_dir()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train this process's share of the jobs in the folder that the command line names."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        raise SystemExit("usage: torchrun --nproc-per-node N -m memory_agent.scheduling.launch FOLDER")
    rank, of = launched_as()
    for adapter in train_share(Path(given[0]), rank, of):
        sys.stdout.write(f"process {rank} of {of} trained {adapter}\n")


if __name__ == "__main__":
    main()
