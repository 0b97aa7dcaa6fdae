"""What is known about predicates: how many values, how lasting, how private, what depends on what.

The data lie in `ontology.json`; the file of `MEMORY_AGENT_ONTOLOGY` is put beside them. An unknown
predicate never fails: it gets `Ontology.unknown`, many-valued and never distilled.

A user's file has the same shape and needs only what differs from the defaults:

    {"predicates": [{"name": "mentors", "gloss": "person the subject guides", "object": "person"}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from memory_agent.config import ontology_file
from memory_agent.errors import InvalidInput
from memory_agent.records import Modality, PartialDate, Polarity, Record
from memory_agent.semantic.folding import fold, fold_value

Cardinality = Literal["one", "many"]
Permanence = Literal["permanent", "stable", "volatile"]
Sensitivity = Literal["ordinary", "sensitive", "secret"]
Distil = Literal["never", "stable", "always"]
Form = Literal["actual", "negated", "past", "planned", "possible", "not_planned"]

_DETERMINERS = ("a ", "an ", "the ", "my ", "his ", "her ", "their ", "our ", "own ", "head ", "chief ")


class Predicate(Record):
    """One kind of statement about a subject."""

    name: str
    gloss: str = ""
    cardinality: Cardinality = "many"
    """"one": a newer value ends the older."""
    inverse: str | None = None
    symmetric: bool = False
    transitive: bool = False
    """A chain of it says it of its ends, too (`located_in`, `part_of`): `graph(implied=True)` adds that."""
    permanence: Permanence = "stable"
    """"permanent" values cannot change, so a different one is a correction; "volatile" ones are soon out of date."""
    cls: str = "other"
    sensitivity: Sensitivity = "ordinary"
    distil: Distil = "never"
    """Whether it may be trained into weights: never, once it has been stable for a while, or always."""
    event: bool = False
    """Each date is an occurrence of its own."""
    names: bool = False
    """The object is another name of the subject."""
    subject: tuple[str, ...] = ("person",)
    object: str = "value"
    """The type of entity the object names, or "value" for plain text."""
    depends_on: tuple[str, ...] = ()
    past: str | None = None
    """The predicate that says the same of the past."""
    statement: Mapping[Form, str] = {}


class Ending(Record):
    """That a new `when` (with one of `values`, if any are named) ends what other predicates said."""

    when: str
    values: tuple[str, ...] = ()
    ends: tuple[str, ...]
    object: Literal["same", "any"] = "same"


class Joint(Record):
    """What two people are to each other, and what falls with it: plans told with "we" or with the other's name."""

    predicates: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


class Ontology(Record):
    """All predicates, and the rules between them."""

    version: int = 1
    predicates: tuple[Predicate, ...]
    ends: tuple[Ending, ...] = ()
    joint: Joint = Joint()
    anything: tuple[str, ...] = ()
    """Objects that name no value ("job", "anyone"): a negation of one ends whatever holds."""
    corrections: tuple[str, ...] = ()
    """Words that say an earlier statement was wrong, not that the world changed."""

    @cached_property
    def by_name(self) -> Mapping[str, Predicate]:
        return {p.name: p for p in self.predicates}

    @cached_property
    def past_of(self) -> Mapping[str, str]:
        """Past variant -> the predicate it is the past of."""
        return {p.past: p.name for p in self.predicates if p.past}

    @cached_property
    def inverses(self) -> Mapping[str, str]:
        """Inverse name -> predicate, for inverses that are no predicate themselves (`employs` -> `works_at`)."""
        return {p.inverse: p.name for p in self.predicates if p.inverse and p.inverse not in self.by_name}

    @cached_property
    def anything_keys(self) -> frozenset[str]:
        return frozenset(fold_value(word) for word in self.anything)

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def __getitem__(self, name: str) -> Predicate:
        """The predicate of that name; for an unknown one, a many-valued one that is never distilled."""
        found = self.by_name.get(name)
        return found if found is not None else Predicate(name=name, subject=("thing",))

    def reversed_name(self, name: str) -> str | None:
        """The predicate that says the same with the ends swapped, or None."""
        predicate = self[name]
        if predicate.symmetric:
            return name
        return predicate.inverse if predicate.inverse in self.by_name else None

    def corrects(self, text: str) -> bool:
        """Whether `text` says that something said earlier was wrong."""
        folded = fold(text)
        return any(cue in folded for cue in self.corrections)

    def statement(
        self,
        subject: str,
        predicate: str,
        object: str,
        *,
        polarity: Polarity = "+",
        modality: Modality = "actual",
        past: bool = False,
        valid_from: PartialDate | None = None,
        valid_to: PartialDate | None = None,
    ) -> str:
        """The fact as one English sentence, with its dates as said ("since 2024-03") before the full stop."""
        known = self[predicate]
        form = _form(polarity, modality, past)
        words = predicate.replace("_", " ")
        pattern = known.statement.get(form) or _FALLBACK[form].replace("{predicate}", words)
        text = pattern.format(subject=subject, object=object, a_object=with_article(object))
        dates = _dates(valid_from, valid_to, at=known.event or modality != "actual")
        return f"{text.removesuffix('.')} ({dates})." if dates else text


_FALLBACK: Mapping[Form, str] = {
    "actual": "{subject} {predicate} {object}.",
    "negated": "It is not so that {subject} {predicate} {object}.",
    "past": "It used to be so that {subject} {predicate} {object}.",
    "planned": "It is planned that {subject} {predicate} {object}.",
    "possible": "It may be that {subject} {predicate} {object}.",
    "not_planned": "It is not planned that {subject} {predicate} {object}.",
}


def _form(polarity: Polarity, modality: Modality, past: bool) -> Form:
    if modality != "actual":
        return modality if polarity == "+" else "not_planned"
    if polarity == "-":
        return "negated"
    return "past" if past else "actual"


def _dates(start: PartialDate | None, end: PartialDate | None, *, at: bool) -> str:
    if start and end and start != end:
        return f"{start} to {end}"
    if start and (at or start == end):
        return str(start)
    if start:
        return f"since {start}"
    return f"until {end}" if end else ""


def with_article(noun: str) -> str:
    """`noun` with "a" or "an" where English wants one: lower-case singulars without a determiner."""
    first = noun[:1]
    if not first.isalpha() or first.isupper() or noun.startswith(_DETERMINERS) or noun.endswith("s"):
        return noun
    return f"{'an' if first in 'aeiou' else 'a'} {noun}"


def load(extra: Path | None = None) -> Ontology:
    """The built-in ontology, with the predicates and rules of the file `extra` added or put in their place.

    `extra` is by default the file of `MEMORY_AGENT_ONTOLOGY`; it is read once in a process. Raises
    InvalidInput, naming the file and the field, when it cannot be read as one.
    """
    return _load(extra or ontology_file())


@lru_cache(maxsize=8)
def _load(extra: Path | None) -> Ontology:
    base = json.loads(resources.files("memory_agent.semantic").joinpath("ontology.json").read_text("utf-8"))
    if extra is None:
        return Ontology.model_validate(base)
    try:
        own: dict[str, Any] = json.loads(extra.read_text("utf-8"))
        named = {p["name"] for p in own.get("predicates", ())}
        merged = {
            "version": base["version"],
            "joint": own.get("joint", base["joint"]),
            "predicates": [p for p in base["predicates"] if p["name"] not in named] + list(own.get("predicates", ())),
            **{part: base[part] + list(own.get(part, ())) for part in ("ends", "anything", "corrections")},
        }
        return Ontology.model_validate(merged)
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise InvalidInput(f"{extra} is no ontology: {error}") from error
