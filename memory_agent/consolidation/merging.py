"""Saying by hand that two entities are one, and taking it back.

A merge only sets `merged_into`; claims keep the entity they were read with. So a split restores the
graph exactly: the facts are derived anew, once with and once without it.
"""

from __future__ import annotations

from memory_agent.consolidation.derive import rederive
from memory_agent.consolidation.job import JOB
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query, Transaction
from memory_agent.records import Entity
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.folding import fold
from memory_agent.semantic.ontology import load
from memory_agent.space import Space


def merge(space: Space, id: str, into: str) -> Entity:
    """Let the entity `id` be the entity `into` from now on; that entity.

    Raises NotFound, InvalidInput when they are one already, StoreBusy while a consolidation runs.
    """
    wait = space.settings.lock_wait
    with space.ledger.lock(JOB, wait=wait), space.ledger.transaction(wait=wait) as tx:
        people = Directory.of(tx).people
        one, other = people.root(_entity(tx, id).id), people.root(_entity(tx, into).id)
        if one == other:
            raise InvalidInput(f"{id} and {into} are one entity already")
        tx.put(_entity(tx, one).model_copy(update={"merged_into": other}))
        _settle(space, tx, [one, other])
        tx.audit("merge", [one, other])
        return _entity(tx, other)


def split(space: Space, id: str) -> Entity:
    """Take back the merge of the entity `id` into another; the entity, on its own again.

    Raises NotFound, InvalidInput when it was not merged, StoreBusy while a consolidation runs.
    """
    wait = space.settings.lock_wait
    with space.ledger.lock(JOB, wait=wait), space.ledger.transaction(wait=wait) as tx:
        entity = _entity(tx, id)
        if entity.merged_into is None:
            raise InvalidInput(f"{id} ({entity.name}) was not merged into another entity")
        alone = entity.model_copy(update={"merged_into": None})
        tx.put(alone)
        _settle(space, tx, [id, entity.merged_into])
        tx.audit("split", [id, entity.merged_into])
        return alone


def merged(space: Space, name: str) -> str:
    """The id of the one merged entity of that id or name of its own. Raises NotFound, InvalidInput for several."""
    everyone = space.ledger.select(Entity)
    if any(e.id == name for e in everyone):
        return name
    found = [e.id for e in everyone if e.merged_into and fold(e.name) == fold(name)]
    if not found:
        raise NotFound(f"no merged entity was called {name!r}; `memory-agent entities` lists them")
    if len(found) > 1:
        raise InvalidInput(f"{name!r} was the name of {len(found)}: give an id ({', '.join(found)})")
    return found[0]


def _entity(tx: Transaction, id: str) -> Entity:
    found = tx.select(Entity, Query(ids=[id]))
    if not found:
        raise NotFound(f"no entity {id!r} stands in this memory")
    return found[0]


def _settle(space: Space, tx: Transaction, ids: list[str]) -> None:
    rederive(tx, ids, Directory.of(tx), load(), space.clock.now())
