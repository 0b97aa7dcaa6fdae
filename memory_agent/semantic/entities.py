"""Entities: how a name, an alias or a word of a question leads to somebody or something.

Reading only. Names are compared without case, accents and possessives. A first name leads to an
entity only while it is the only one of that name; nothing here merges two entities.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from importlib import resources

from memory_agent.protocols import Reader
from memory_agent.records import Entity
from memory_agent.semantic.evidence import People
from memory_agent.semantic.folding import fold
from memory_agent.space import Space

_WORD = re.compile(r"\w+(?:'\w+)*")
_LIVING = frozenset({"person", "animal"})
_LONGEST = 6
"""Words of a text that are tried together as one name."""


def compatible(a: str, b: str) -> bool:
    """Whether entities of these types can be the same: only the living and the lifeless never are."""
    return "thing" in (a, b) or (a in _LIVING) == (b in _LIVING)


def is_described(name: str) -> bool:
    """Whether `name` describes somebody by another ("Maya's sister") instead of naming them."""
    return "'s " in fold(name)


def is_name(text: str) -> bool:
    """Whether `text` is written as a proper name: every word but small ones begins with a capital or a digit."""
    words = [w for w in text.split() if w not in ("of", "the", "and", "de", "da", "do", "del", "la", "van", "von", "&")]
    return bool(words) and all(w[0].isupper() or w[0].isdigit() for w in words)


class Directory:
    """All entities of a space, found by name. A merged entity leads to the one it was merged into."""

    def __init__(self, entities: Mapping[str, Entity]) -> None:
        self.entities = entities

    @classmethod
    def of(cls, reader: Reader) -> Directory:
        """The directory of everything `reader` holds."""
        return cls.over(reader.select(Entity))

    @classmethod
    def over(cls, entities: Iterable[Entity]) -> Directory:
        """The directory of these entities."""
        return cls({e.id: e for e in entities})

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        members: dict[str, list[str]] = defaultdict(list)
        for id, entity in self.entities.items():
            if entity.merged_into:
                members[self.people.root(id)].append(id)
        return members

    @cached_property
    def _by_name(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for entity in self.entities.values():
            for name in (entity.name, *entity.aliases):
                found[fold(name)].add(self.people.root(entity.id))
        return found

    @cached_property
    def _by_first(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for entity in self.entities.values():
            for name in (entity.name, *entity.aliases) if entity.type in (*_LIVING, "thing") else ():
                first = fold(name).split(" ")[0]
                if first != fold(name) and not is_described(name) and is_name(name):
                    found[first].add(self.people.root(entity.id))
        return found

    @cached_property
    def people(self) -> People:
        return People(self.entities)

    def members(self, root: str) -> list[str]:
        """The id itself and every id that was merged into it."""
        return sorted({root, *self._members.get(root, ())})

    def find(self, name: str) -> list[Entity]:
        """The entities of that id, name or alias; else the only one of that first name; best match first."""
        if name in self.entities:
            return [self.entities[self.people.root(name)]]
        folded = fold(name)
        found = self._by_name.get(folded) or self._by_name.get(re.sub(r"'s?$", "", folded), set())
        if not found and len(first := self._by_first.get(folded, set())) == 1:
            found = first
        return sorted((self.entities[id] for id in found if id in self.entities), key=lambda e: (fold(e.name), e.id))

    def link(self, text: str) -> list[Entity]:
        """The entities that `text` names, in the order of their first mention.

        The longest name at a place counts; "Maya's sister" names Maya too. A lower-case word that is
        also a common one ("will") is no mention, nor is a word for what has no proper name ("pottery").
        """
        words = [m[0] for m in _WORD.finditer(text.replace("\u2019", "'"))]
        found: dict[str, Entity] = {}
        at = 0
        while at < len(words):
            taken = 1
            asking = at == 0 and words[0] in ("Will", "May")
            for length in range(min(_LONGEST, len(words) - at), int(asking), -1):
                phrase = words[at : at + length]
                if entity := self._mentioned(phrase):
                    if owner := self._owner(phrase):
                        found.setdefault(owner.id, owner)
                    found.setdefault(entity.id, entity)
                    taken = length
                    break
            at += taken
        return list(found.values())

    def _owner(self, words: list[str]) -> Entity | None:
        """Whom a description ("Maya's sister") is by, who is then named too."""
        ends = [n for n, word in enumerate(words[:-1], 1) if word.endswith("'s")]
        return self._mentioned([*words[: ends[-1] - 1], words[ends[-1] - 1][:-2]]) if ends else None

    def _mentioned(self, words: list[str]) -> Entity | None:
        phrase = " ".join(words)
        entities = self.find(phrase)
        if len(entities) != 1 or (len(words) == 1 and phrase in common_words()):
            return None
        names = (entities[0].name, *entities[0].aliases)
        return entities[0] if any(is_name(n) or is_described(n) for n in names) else None


@lru_cache(maxsize=1)
def common_words() -> frozenset[str]:
    """English words that are somebody's name too, in lower case."""
    return frozenset(resources.files("memory_agent.semantic").joinpath("common_words.txt").read_text("utf-8").split())


def link(space: Space, text: str) -> list[Entity]:
    """The entities of the space that `text` names: full names, aliases, and first names that only one bears."""
    return Directory.of(space.ledger).link(text)


def resolve_mention(space: Space, name: str) -> Entity | None:
    """The one entity of that id, name, alias or unique first name; None where there is none or more than one."""
    found = Directory.of(space.ledger).find(name)
    return found[0] if len(found) == 1 else None
