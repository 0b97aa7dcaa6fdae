"""Proof that a forgotten fact is out of the weights, not merely unlikely to be told.

A shard is a pure function of what its facts say, the recipe, the seed and the base; neither ids nor
history go in. So a build from the graph as it stands now is a build from a graph that never held the
fact, and if the serving adapter has that build's hash, no bit of it depends on what was forgotten.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from memory_agent.distillation import registry
from memory_agent.distillation.paraphrasing import Paraphraser
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import train_shard
from memory_agent.distillation.selection import Policy, select_from
from memory_agent.distillation.sharding import CAP, Shard, layout
from memory_agent.distillation.trainers import Train, method_of, trainer_of
from memory_agent.errors import TrainingElsewhere
from memory_agent.models.local import LocalModel
from memory_agent.protocols import Progress, Query, Trainer
from memory_agent.records import Adapter, Fact, Record
from memory_agent.semantic import ontology
from memory_agent.space import Space


class Unlearned(Record):
    """Whether a fact is out of the weights."""

    fact: str
    proven: bool
    """No problem was found, and every serving adapter equals its rebuild."""
    rebuilt: Mapping[str, str] = Field(default_factory=dict)
    """Serving adapter -> the hash of its rebuild from the graph as it stands now."""
    problems: tuple[str, ...] = ()


def verify_unlearned(
    space: Space,
    fact_id: str,
    *,
    trainer: str | Trainer | Train | None = None,
    policy: Policy | None = None,
    cap: int = CAP,
    paraphraser: Paraphraser | None = None,
    progress: Progress | None = None,
) -> Unlearned:
    """Rebuild every serving adapter from the present graph and compare hashes; see the module.

    `trainer`, `policy`, `cap` and `paraphraser` must be those of the run that built them. Takes as long as training.
    Raises StoreBusy while a distillation runs, and what training raises.
    """
    with space.ledger.lock(registry.LOCK):
        problems = _traces(space, fact_id)
        student = LocalModel.load(space.settings)
        selection = select_from(
            space.ledger, ontology.load(), space.clock.now(), policy or Policy.of(space.settings, space.user)
        )
        shards = {shard.id: shard for shard in layout(selection.facts, cap, selection.past)}
        serving = registry.with_state(space.ledger, "promoted")
        rebuilt: dict[str, str] = {}
        by = trainer_of(space.settings, trainer)
        writer = paraphraser or Paraphraser.of(space)
        for n, adapter in enumerate(serving):
            shard = shards.get(adapter.shard)
            if shard is None or set(shard.entities) != set(adapter.entities):
                problems.append(f"adapter {adapter.id} is not of the present graph; distill first")
                continue
            made_with = registry.manifest(space, adapter)
            if made_with.get("method", method_of(by)) != method_of(by):
                problems.append(f"adapter {adapter.id} was made by {made_with['method']}; verify with that trainer")
                continue
            if made_with.get("paraphrases") != (writer.name if writer else None):
                problems.append(f"adapter {adapter.id} was made with other paraphrases; verify with its settings")
                continue

            def passed_on(share: float, doing: str, n: int = n) -> None:
                if progress:
                    progress((n + share) / len(serving), doing)

            try:
                rebuilt[adapter.id] = _rebuilt(shard, student, made_with, by, passed_on, writer)
            except TrainingElsewhere:
                problems.append(f"adapter {adapter.id} was trained elsewhere and cannot be rebuilt here")
                continue
            if rebuilt[adapter.id] != adapter.sha256:
                problems.append(f"adapter {adapter.id} differs from its rebuild {rebuilt[adapter.id]}")
            elif not registry.verify(space, adapter):
                problems.append(f"the files of adapter {adapter.id} are not what was promoted")
    return Unlearned(fact=fact_id, proven=not problems, rebuilt=rebuilt, problems=tuple(problems))


def _rebuilt(
    shard: Shard,
    student: LocalModel,
    made_with: Mapping[str, Any],
    trainer: Trainer,
    progress: Progress,
    paraphraser: Paraphraser | None,
) -> str:
    """The hash of the shard's adapter, built anew as its manifest says, in a folder that is deleted."""
    recipe, seed = Recipe.model_validate(made_with["recipe"]), int(made_with["seed"])
    with tempfile.TemporaryDirectory(prefix="memory-agent-verify-") as folder:
        _, out = train_shard(shard, Path(folder), student, recipe, trainer, seed, progress, paraphraser)
        return registry.hash_adapter(out)


def _traces(space: Space, fact_id: str) -> list[str]:
    """Where the fact, or weights that were taught it, still are."""
    problems = []
    if space.ledger.count(Fact, Query(ids=[fact_id])):
        problems.append(f"the fact {fact_id} still stands in the graph")
    for adapter in space.ledger.select(Adapter):
        if any(taught.rpartition("@")[0] == fact_id for taught in adapter.facts):
            if adapter.state not in ("off", "refused"):
                problems.append(f"adapter {adapter.id} was taught it and is {adapter.state}")
            if (registry.adapters_folder(space) / adapter.sha256).is_dir():
                problems.append(f"the weights of adapter {adapter.id}, which was taught it, are still on disk")
    return problems
