"""Training prepared jobs on Ray: one shard a task, on the hook of `distill`.

    memory-agent distill --prepare       writes a job folder for each shard that is to be built, and says where
    python -m memory_agent.scheduling.on_ray FOLDER        on this machine; --address names a cluster, `auto` (as
                                                           within `ray job submit`) the one Ray finds
    memory-agent distill                 takes the adapters it finds, probes them, and lets the gate decide

The folder has to be on storage that all of the cluster's machines share. Ray begins a task again whose
machine was lost; an adapter appears whole, so what was killed is trained by the next launch or by `distill`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from memory_agent.errors import MissingExtra, TrainerFailed
from memory_agent.protocols import Trainer
from memory_agent.scheduling.launch import train, untrained

LOCAL = "local"
"""The address of a Ray of one's own."""


def train_on_ray(
    folder: Path, trainer: Trainer | None = None, *, address: str = LOCAL, cpus: float = 1.0, gpus: float = 0.0
) -> list[Path]:
    """Train the jobs in `folder` that have no adapter yet, each as a task of so many cores and GPUs; their adapters.

    Uses the Ray this process has joined, else the cluster at `address`; "local" starts one that only this machine
    reaches and that ends with this call. `trainer` travels to the tasks by pickle. Raises InvalidInput without jobs,
    MissingExtra without Ray, and TrainerFailed with what the first failing task said; the others are waited for.
    """
    homes = untrained(folder.absolute())
    if not homes:
        return []
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray would tell its makers that it runs
    try:
        import ray
        from ray.exceptions import RayError
    except ModuleNotFoundError as error:
        raise MissingExtra("training on Ray", "ray") from error
    ours = not ray.is_initialized()
    if ours:
        alone = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address == LOCAL else {}
        ray.init(address=address, log_to_driver=False, **alone)
    try:
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=2)(train)
        running = [task.remote(home, trainer) for home in homes]
        trained, failed = [], None
        for home, one in zip(homes, running, strict=True):
            try:
                trained.append(ray.get(one))
            except RayError as error:
                failed = failed or TrainerFailed(f"the task for {home} failed: {_cause(error)}")
        if failed is not None:
            raise failed
        return trained
    finally:
        if ours:
            ray.shutdown()


def _cause(error: Exception) -> str:
    """What the task raised, in a line; Ray's own words hold its whole stack."""
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause).strip() else ''}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the jobs in the folder that the command line names."""
    parser = argparse.ArgumentParser("memory_agent.scheduling.on_ray", description="Train prepared jobs on Ray.")
    parser.add_argument("folder", type=Path, help="what `memory-agent distill --prepare` named")
    parser.add_argument("--address", default=LOCAL, help="a cluster's, or auto; by default this machine alone")
    parser.add_argument("--cpus", type=float, default=1.0, help="cores of a task")
    parser.add_argument("--gpus", type=float, default=0.0, help="GPUs of a task, also parts of one")
    given = parser.parse_args(arguments)
    for adapter in train_on_ray(given.folder, address=given.address, cpus=given.cpus, gpus=given.gpus):
        sys.stdout.write(f"trained {adapter}\n")


if __name__ == "__main__":
    main()
