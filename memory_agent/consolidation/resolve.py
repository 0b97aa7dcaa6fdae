"""Which entity a name in a turn stands for.

An entity's id is a hash of the name under which it was first met, so the same turns give the same
ids. A name leads to the entity that bears it. Two entities become one only on evidence: the text
says so ("my sister Ana"), never because they share a first name. A bare first name leads to a
full-named person only if that speaker, or that session, has spoken of the person before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from memory_agent.protocols import Query, Reader
from memory_agent.records import Claim, Entity, Episode
from memory_agent.semantic.entities import compatible, is_described, is_name
from memory_agent.semantic.folding import fold, key


def entity_id(name: str, told_apart_by: str = "") -> str:
    """The id of an entity first met under `name`; `told_apart_by` is what tells it from an earlier namesake."""
    return f"ent_{key(fold(name), told_apart_by)}"


class Resolver:
    """Finds or makes entities, one transaction after the other; no good any more once one of them failed."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._tx: Reader
        self.entities = {e.id: e for e in entities}
        self.written: dict[str, Entity] = {}
        """What this transaction is to put."""
        self.added = 0
        """How many of them are new."""
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_first: dict[str, list[str]] = defaultdict(list)
        for entity in self.entities.values():
            self._index(entity)

    def begin(self, tx: Reader) -> None:
        """Work within `tx` from now on."""
        self._tx, self.written, self.added = tx, {}, 0

    def resolve(self, name: str, type: str, episode: Episode) -> str:
        """The id of the entity that `name` stands for in `episode`; made if there is none."""
        found = list(self._by_name.get(fold(name), ()))
        if " " not in name.strip():  # Jordan may be a man and a country; a full name is one
            found = [id for id in found if compatible(self.entities[id].type, type)]
        if not found and " " not in name.strip() and is_name(name):
            found = [id for id in self._by_first.get(fold(name), ()) if self._spoken_of(id, episode)]
            found = found if len(found) == 1 else []
        if not found:
            return self._make(name, type, ()).id
        best = found[0] if len(found) == 1 else self._nearest(found, episode)
        self._learn(best, name, type)
        return best

    def same(self, name: str, other: str, type: str, episode: Episode) -> str | None:
        """Take in that `name` and `other` are one ("Maya's sister" is "Ana"); the entity's id.

        None when the text contradicts what is known: both name different entities with names of their own.
        """
        described, proper = (name, other) if is_described(name) else (other, name)
        holders = self._by_name.get(fold(described), ())
        bearers = [
            id for id in self._by_name.get(fold(proper), ()) if self.entities[id].type in ("person", "animal", "thing")
        ]
        both = [id for id in bearers if id in holders]
        if both:
            return both[0]
        if not is_described(described):
            return self._one_name(described, proper, holders, bearers)
        unnamed = [id for id in holders if not self._proper_names(id)]
        free = [id for id in bearers if not self._descriptions(id)]
        if unnamed and free:
            return self._join(unnamed[0], free[0])
        if unnamed:
            return self._alias(unnamed[0], proper, first=True)
        if free and not self._is_speaker(free[0], episode):
            return self._alias(free[0], described)
        return self._make(proper, type, (described,), told_apart_by=fold(described)).id

    def _one_name(self, a: str, b: str, holders: Sequence[str], bearers: Sequence[str]) -> str | None:
        if len(holders) == 1 and not bearers:
            return self._alias(holders[0], b)
        if len(bearers) == 1 and not holders:
            return self._alias(bearers[0], a)
        return None

    def _nearest(self, ids: Sequence[str], episode: Episode) -> str:
        """Of several namesakes, the speaker's own, else the one spoken of here, else the first met."""
        owned = f"{fold(episode.speaker)}'s "
        own = [id for id in ids if any(d.startswith(owned) for d in self._descriptions(id))]
        here = [id for id in ids if self._spoken_of(id, episode)]
        return next(iter([*own, *here, *ids]))

    def _spoken_of(self, id: str, episode: Episode) -> bool:
        """Whether that speaker or that session has spoken of the entity."""
        claims = self._tx.select(Claim, Query(where={"subject_id": id}))
        claims += self._tx.select(Claim, Query(where={"object_id": id}))
        if any(c.speaker == episode.speaker for c in claims):
            return True
        told = sorted({c.episode_id for c in claims})
        return bool(told) and self._tx.count(Episode, Query(where={"session": episode.session}, ids=told)) > 0

    def _is_speaker(self, id: str, episode: Episode) -> bool:
        return fold(episode.speaker) in {fold(n) for n in self._names(id)}

    def _names(self, id: str) -> tuple[str, ...]:
        entity = self.entities[id]
        return entity.name, *entity.aliases

    def _proper_names(self, id: str) -> list[str]:
        return [n for n in self._names(id) if not is_described(n)]

    def _descriptions(self, id: str) -> list[str]:
        return [fold(n) for n in self._names(id) if is_described(n)]

    def _make(self, name: str, type: str, aliases: tuple[str, ...], told_apart_by: str = "") -> Entity:
        id = entity_id(name, told_apart_by)
        while id in self.entities:
            told_apart_by += "|" + type
            id = entity_id(name, told_apart_by)
        self.added += 1
        return self._write(Entity(id=id, name=name.strip(), type=type, aliases=aliases))

    def _write(self, entity: Entity) -> Entity:
        self.entities[entity.id] = self.written[entity.id] = entity
        self._index(entity)
        return entity

    def _index(self, entity: Entity) -> None:
        for name in (entity.name, *entity.aliases):
            folded = fold(name)
            if entity.id not in self._by_name[folded]:
                self._by_name[folded].append(entity.id)
            first = folded.split(" ")[0]
            full = first != folded and is_name(name) and not is_described(name)
            if full and entity.type in ("person", "thing") and entity.id not in self._by_first[first]:
                self._by_first[first].append(entity.id)

    def _learn(self, id: str, name: str, type: str) -> None:
        """Note a new spelling of the name, and a type where none was known."""
        entity = self.entities[id]
        if entity.type == "thing" and type != "thing":
            entity = entity.model_copy(update={"type": type})
        if fold(name) not in {fold(n) for n in (entity.name, *entity.aliases)}:
            entity = entity.model_copy(update={"aliases": (*entity.aliases, name.strip())})
        if entity is not self.entities[id]:
            self._write(entity)

    def _alias(self, id: str, name: str, *, first: bool = False) -> str:
        """Give the entity another name; with `first` it becomes the one it is called by."""
        entity = self.entities[id]
        if first:
            entity = entity.model_copy(update={"name": name.strip(), "aliases": (entity.name, *entity.aliases)})
        else:
            entity = entity.model_copy(update={"aliases": (*entity.aliases, name.strip())})
        return self._write(entity).id

    def _join(self, unnamed: str, named: str) -> str:
        """Merge an entity known by description into the one that bears the name; undone by clearing `merged_into`."""
        self._write(self.entities[unnamed].model_copy(update={"merged_into": named}))
        return named
