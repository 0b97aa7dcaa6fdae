"""Which adapter a question belongs to, or none.

The rules, in order (docs/decisions/2026-11-23-routing.md says why):

    names a taught entity                                    -> its shard
    names a person unknown to graph and base                 -> a shard, trained to say that it does not know
    asks for a person, names a taught value                  -> the shards that were taught the value
    asks for one of the user's own circle                    -> a shard, likewise
    names an entity of the graph that no adapter was taught  -> "unknown": the weights hold nothing of it
    anything else                                            -> the untouched base model

Pure, but for `familiar`, which asks the base model whether a name means something to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import Literal

from memory_agent.records import Adapter, Entity, Fact
from memory_agent.semantic.folding import fold

Familiar = Callable[[str], bool]
_WORD = re.compile(r"[^\W_]+(?:[-&'’.](?=[^\W_])[^\W_]+)*")
_POSSESSIVE = re.compile(r"(?:'s|’s|['’])$")


@dataclass(frozen=True)
class Route:
    """Where a question goes. `adapters` is empty for "base" and "unknown"; `entities` are those it names."""

    kind: Literal["entity", "value", "stranger", "unknown", "base"]
    adapters: tuple[Adapter, ...] = ()
    entities: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class _Word:
    text: str
    folded: str
    is_name: bool
    """Written with a capital, and not merely because it begins a sentence."""
    joined: bool
    """Only a space stands between it and the word before."""


@dataclass(frozen=True)
class _Entry:
    """What a name or value in a table stands for, and whether it is written with a capital."""

    proper: bool
    ids: tuple[str, ...]


Table = Mapping[tuple[str, ...], _Entry]


@lru_cache(maxsize=1)
def _data() -> Mapping[str, str]:
    text = resources.files("memory_agent.distillation").joinpath("routing.json").read_text("utf-8")
    data: Mapping[str, str] = json.loads(text)
    return data


@lru_cache(maxsize=1)
def _leading() -> frozenset[str]:
    return frozenset(_data()["leading_words"].split())


@lru_cache(maxsize=1)
def _particles() -> frozenset[str]:
    return frozenset(_data()["particles"].split())


@lru_cache(maxsize=16)
def _rule(name: str) -> re.Pattern[str]:
    return re.compile(_data()[name])


def is_personal(question: str) -> bool:
    """Whether the question is about the asker's own life ("my", "do I"), not a how-to ("How do I ...")."""
    folded = fold(question)
    if _rule("own_circle").search(folded):
        return True
    return bool(_rule("first_person").search(folded)) and not _rule("how_to").search(folded)


def _words(question: str) -> list[_Word]:
    words: list[_Word] = []
    end, possessive = 0, False
    for found in _WORD.finditer(question):
        text = _POSSESSIVE.sub("", found[0])
        begins = not question[: found.start()].strip() or question[: found.start()].rstrip()[-1] in '.?!:"“('
        folded = fold(text)
        is_name = text[:1].isupper() and not (begins and folded in _leading()) and folded != "i"
        joined = bool(words) and not question[end : found.start()].strip(" ") and not possessive
        words.append(_Word(text, folded, is_name, joined))
        end, possessive = found.end(), text != found[0]
    return words


def names_in(question: str) -> list[str]:
    """The runs of two or more capitalised words, particles ("van") within: what looks like a full name."""
    runs: list[str] = []
    current: list[_Word] = []
    for word in [*_words(question), _Word("", "", False, False)]:
        if current and word.joined and (word.is_name or word.folded in _particles()):
            current.append(word)
            continue
        while current and not current[-1].is_name:
            current.pop()
        if sum(part.is_name for part in current) > 1:
            runs.append(" ".join(part.text for part in current))
        current = [word] if word.is_name else []
    return runs


def _folded_words(text: str) -> tuple[str, ...]:
    return tuple(word.folded for word in _words(text))


@dataclass(frozen=True)
class Router:
    """Decides for one state of a space: the adapters that may answer, the facts they know, all entities.

    `facts` are those the adapters were taught, by fact id.
    """

    adapters: Sequence[Adapter]
    facts: Mapping[str, Fact]
    entities: Sequence[Entity]

    @cached_property
    def by_entity(self) -> Mapping[str, Adapter]:
        """Entity id -> the newest adapter that was taught it."""
        return {entity: adapter for adapter in self.adapters for entity in adapter.entities}

    @cached_property
    def _roots(self) -> Mapping[str, str]:
        """Entity id -> the id of what it was merged into, at the end of the chain."""
        into = {entity.id: entity.merged_into for entity in self.entities}

        def root(id: str) -> str:
            seen = set()
            while (further := into.get(id)) and id not in seen:
                seen.add(id)
                id = further
            return id

        return {id: root(id) for id in into}

    @cached_property
    def _names(self) -> Table:
        """Entities by the words of their names; by a first name only where one person alone has it."""
        whole: dict[tuple[str, ...], set[tuple[str, bool]]] = {}
        first: dict[tuple[str, ...], set[tuple[str, bool]]] = {}
        for entity in self.entities:
            id = self._roots[entity.id]
            for name in (entity.name, *entity.aliases):
                words, proper = _folded_words(name), name[:1].isupper()
                if words:
                    whole.setdefault(words, set()).add((id, proper))
                if len(words) > 1 and proper and entity.type == "person":
                    first.setdefault(words[:1], set()).add((id, proper))
        table: dict[tuple[str, ...], _Entry] = {}
        for words, held in [*whole.items(), *first.items()]:
            if len({id for id, _ in held}) == 1:
                table.setdefault(words, _Entry(any(proper for _, proper in held), (next(iter(held))[0],)))
        return table

    @cached_property
    def _values(self) -> Table:
        """Ids of the adapters that were taught a value, by its words."""
        table: dict[tuple[str, ...], _Entry] = {}
        for adapter in self.adapters:
            for id in facts_taught([adapter]):
                fact = self.facts.get(id)
                words = _folded_words(fact.object) if fact else ()
                if fact and words:
                    before = table.get(words, _Entry(fact.object[:1].isupper(), ()))
                    table[words] = _Entry(before.proper, tuple(sorted({*before.ids, adapter.id})))
        return table

    def route(self, question: str, familiar: Familiar) -> Route:
        """Where the question goes. `familiar(name)` is asked only for full names that the graph does not hold."""
        words = _words(question)
        linked = self._linked(words)
        if not self.adapters:
            return Route("base", (), tuple(linked), "no adapter is promoted")
        taught = list(dict.fromkeys(self.by_entity[id].id for id in linked if id in self.by_entity))
        if taught:
            by_id = {adapter.id: adapter for adapter in self.adapters}
            return Route("entity", tuple(by_id[id] for id in taught), tuple(linked), "names what an adapter was taught")
        held = self._held(words)
        strangers = [name for name in names_in(question) if not self._is_known(name, held) and not familiar(name)]
        if strangers:
            return Route("stranger", self._any_shard(), (), f"{strangers[0]} is unknown to graph and base")
        folded = fold(question)
        if _rule("asks_for_person").search(folded) and not _rule("asks_of_world").search(folded):
            if holders := self._holders(words):
                return Route("value", holders, (), "asks who has a taught value")
            if _rule("own_circle").search(folded):
                return Route("stranger", self._any_shard(), (), "asks for somebody the user knows")
        if any(self._is_person(id) for id in linked):
            return Route("unknown", (), tuple(linked), "names somebody whom no adapter was taught")
        return Route("base", (), tuple(linked), "names nobody of the graph")

    def _any_shard(self) -> tuple[Adapter, ...]:
        """One shard for questions about nobody it knows: each was trained to refuse those."""
        return (min(self.adapters, key=lambda adapter: adapter.shard),)

    def _is_person(self, id: str) -> bool:
        return any(entity.id == id and entity.type == "person" for entity in self.entities)

    def _held(self, words: list[_Word]) -> list[tuple[str, ...]]:
        """The names and values of the graph that stand in the question, by their words."""
        return [
            tuple(word.folded for word in words[start:end])
            for table in (self._names, self._values)
            for start, end, _ in _found(words, table)
        ]

    def _is_known(self, name: str, held: Sequence[tuple[str, ...]]) -> bool:
        """Whether the name, or the part of it that stands in the graph, is an entity or a taught value.

        "Sons Brewery" is known where the question names the whole "Pell & Sons Brewery".
        """
        words = _folded_words(name)
        if words in self._names or words in self._values:
            return True
        return any(words == whole[n : n + len(words)] for whole in held for n in range(len(whole)))

    def _linked(self, words: list[_Word]) -> list[str]:
        """Ids of the entities named, in order; "Maren Fossgate" does not name a Maren of another surname."""
        return [
            id
            for start, end, entry in _found(words, self._names)
            if end - start > 1 or not _within_longer_name(words, start)
            for id in entry.ids
        ]

    def _holders(self, words: list[_Word]) -> tuple[Adapter, ...]:
        """The adapters that were taught a value the question names."""
        ids = {id for _, _, entry in _found(words, self._values) for id in entry.ids}
        return tuple(adapter for adapter in self.adapters if adapter.id in ids)


def _found(words: list[_Word], table: Table) -> Iterator[tuple[int, int, _Entry]]:
    """The longest entries of the table that stand in the question: first word, word after the last, entry.

    What is written with a capital must be so in the question, unless the asker uses none at all.
    """
    any_capital = any(word.is_name for word in words)
    longest = max(map(len, table), default=0)
    place = 0
    while place < len(words):
        for end in range(min(place + longest, len(words)), place, -1):
            entry = table.get(tuple(word.folded for word in words[place:end]))
            if entry and (not entry.proper or words[place].text[:1].isupper() or not any_capital):
                yield place, end, entry
                place = end
                break
        else:
            place += 1


def _within_longer_name(words: list[_Word], at: int) -> bool:
    """Whether the word has another name right before or after it."""
    after = at + 1 < len(words) and words[at + 1].is_name and words[at + 1].joined
    before = at > 0 and words[at - 1].is_name and words[at].joined
    return before or after


def facts_taught(adapters: Iterable[Adapter]) -> list[str]:
    """Ids of all facts that these adapters were taught, without versions."""
    return sorted({taught.rpartition("@")[0] for adapter in adapters for taught in adapter.facts})
