"""The adapters of a space as a person looks at them: one by its id's beginning, two compared, one promoted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from memory_agent.distillation import registry
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.scorecard import Scorecard
from memory_agent.errors import DistillationError, InvalidInput, NotFound
from memory_agent.models.local import LocalModel
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Fact, Record
from memory_agent.space import Space

_FEWEST = 4
"""Letters of an id that are enough to name it."""


class Shown(Record):
    """One adapter whole: its record, what it was made with, and the facts that it was taught."""

    adapter: Adapter
    manifest: Mapping[str, Any] = Field(default_factory=dict)
    """Empty when its files are gone."""
    facts: Mapping[str, str] = Field(default_factory=dict)
    """Fact id and version -> its sentence, of those that can still be read."""
    fallen: tuple[str, ...] = ()
    """Ids of facts that no longer stand as they were taught."""
    whole: bool = False
    """Whether its files are there and are what its id says."""


class Difference(Record):
    """What separates two adapters."""

    before: str
    after: str
    added: Mapping[str, str] = Field(default_factory=dict)
    """Fact id and version -> sentence, of what only `after` was taught."""
    removed: Mapping[str, str] = Field(default_factory=dict)
    figures: Mapping[str, tuple[float | None, float | None]] = Field(default_factory=dict)
    """Figure of the scorecard -> its value in each, where they differ."""
    made_with: Mapping[str, tuple[Any, Any]] = Field(default_factory=dict)
    """Entry of the manifest, recipe and all -> its value in each, where they differ."""


def find(space: Space, id: str) -> Adapter:
    """The adapter whose id is `id` or begins so. Raises NotFound, and InvalidInput when several do."""
    every = space.ledger.select(Adapter)
    found = [adapter for adapter in every if adapter.id == id]
    if not found and len(id) >= _FEWEST:
        found = [adapter for adapter in every if adapter.id.startswith(id)]
    if not found:
        raise NotFound(f"no adapter has the id {id}")
    if len(found) > 1:
        raise InvalidInput(f"{id} is the beginning of {len(found)} adapters' ids; say more of it")
    return found[0]


def show(space: Space, id: str) -> Shown:
    """One adapter whole. Raises as `find`."""
    adapter = find(space, id)
    there = registry.is_whole(space, adapter)
    return Shown(
        adapter=adapter,
        manifest=registry.manifest(space, adapter) if there else {},
        facts=_sentences(space, adapter.facts),
        fallen=tuple(registry.fallen(space.ledger, adapter)),
        whole=there and registry.verify(space, adapter),
    )


def compare(space: Space, before: str, after: str) -> Difference:
    """What `after` has that `before` has not, and the other way round. Raises as `find`."""
    old, new = show(space, before), show(space, after)
    cards = [Scorecard.read(one.adapter.scorecard) for one in (old, new)]
    names = sorted({name for card in cards for name in (*card.kinds, *card.measures)})
    figures = {name: (cards[0].figure(name), cards[1].figure(name)) for name in names}
    made = [_flat({k: v for k, v in one.manifest.items() if k not in ("facts", "digest")}) for one in (old, new)]
    settings = {name: (made[0].get(name), made[1].get(name)) for name in sorted({*made[0], *made[1]})}
    said = {**_sentences(space, old.adapter.facts), **_sentences(space, new.adapter.facts)}
    return Difference(
        before=old.adapter.id,
        after=new.adapter.id,
        added={id: said.get(id, "") for id in new.adapter.facts if id not in old.adapter.facts},
        removed={id: said.get(id, "") for id in old.adapter.facts if id not in new.adapter.facts},
        figures={name: pair for name, pair in figures.items() if pair[0] != pair[1]},
        made_with={name: pair for name, pair in settings.items() if pair[0] != pair[1]},
    )


def promote(space: Space, id: str, gate: Gate | None = None) -> tuple[Adapter, tuple[str, ...]]:
    """Let an adapter answer that did not, judging its scorecard by `gate` (the built-in one); it, and the objections.

    With objections nothing was changed. Raises as `find`, DistillationError when it can never answer again (its facts
    have fallen, its files are gone or changed, the student is another), StoreBusy while a distillation runs.
    """
    judge = gate or Gate.load()
    with space.ledger.lock(registry.LOCK):
        adapter = find(space, id)
        revision = LocalModel.load(space.settings).revision
        if adapter.base != revision:
            raise DistillationError(f"adapter {adapter.id} was trained for another student; distill again")
        if not registry.is_whole(space, adapter) or not registry.verify(space, adapter):
            raise DistillationError(f"the files of adapter {adapter.id} are gone or were changed; distill again")
        objections = judge.objections(Scorecard.read(adapter.scorecard))
        with space.ledger.transaction() as tx:
            if fallen := registry.fallen(tx, adapter):
                raise DistillationError(f"{len(fallen)} facts of adapter {adapter.id} no longer stand; distill again")
            if not objections:
                answering = registry.with_state(tx, "promoted")
                registry.promote(tx, [adapter], [entity for one in answering for entity in one.entities])
        return find(space, adapter.id), objections


def _sentences(space: Space, taught: Sequence[str]) -> dict[str, str]:
    """Fact id and version -> what it says, of those that stand in the ledger."""
    ids = sorted({name.rpartition("@")[0] for name in taught})
    rows = space.ledger.select(Fact, Query(ids=ids)) if ids else []
    said = {f"{fact.id}@{fact.version}": fact.text for fact in rows}
    return {name: said[name] for name in taught if name in said}


def _flat(entries: Mapping[str, Any], under: str = "") -> dict[str, Any]:
    """Nested entries under dotted names."""
    found: dict[str, Any] = {}
    for name, value in entries.items():
        if isinstance(value, Mapping):
            found.update(_flat(value, f"{under}{name}."))
        else:
            found[f"{under}{name}"] = value
    return found
