"""A file of facts and questions for `eval distill`, invented: as many facts of as many people as are wanted.

Values come from `data/invented.json`, names from `data/worlds.json`, questions from the probes' forms, which no
training row has (a test holds them apart). Of every person a few things are not known, and one value in twenty has
changed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cache

from memory_agent.distillation.probes import load_data
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.distillation import FactFile, Question, StatedFact
from memory_agent.evaluation.worlds import data as lists
from memory_agent.evaluation.worlds import words
from memory_agent.records import PartialDate
from memory_agent.semantic.ontology import load, with_article

PREDICATES = ("lives_in", "works_at", "occupation", "hobby")
_KNOWN = 0.85
"""How likely a thing is known of a person."""
_CHANGED = 0.05
"""How likely it was another before."""
_STRANGERS = 30
_NEAR = 12
_BEFORE, _SINCE = PartialDate("2019-05-01"), PartialDate("2024-03-01")


def invented(count: int, seed: int = 0) -> FactFile:
    """`count` facts, superseded ones among them, and questions of the seven kinds; a function of both arguments.

    Raises InvalidInput for fewer facts than one, or more than there are names for.
    """
    facts: list[StatedFact] = []
    for life in _lives(random.Random(f"invented {seed}")):
        if len(facts) + len(life) > count:
            facts += life[: count - len(facts)]
            break
        facts += life
    if count < 1 or len(facts) < count:
        raise InvalidInput(f"{count} facts cannot be invented: at least 1, and no more than there are names for")
    return FactFile(name=f"invented-{count}", facts=tuple(facts), questions=tuple(_questions(facts)))


def _lives(rng: random.Random) -> Iterator[list[StatedFact]]:
    """One person's facts after another's."""
    people = [f"{first} {last}" for first in words("first_names") for last in words("family_names")]
    rng.shuffle(people)
    for person in people:
        life: list[StatedFact] = []
        moved = False
        for predicate in PREDICATES:
            if rng.random() > _KNOWN:
                continue
            before, now = rng.sample(_values(predicate), 2)
            changed = load()[predicate].cardinality == "one" and rng.random() < _CHANGED
            # Who has changed the employer is asked what the new job is: of the old one the graph would doubt it.
            moved |= changed and predicate == "works_at"
            anew = changed or (moved and predicate == "occupation")
            life.append(StatedFact.said(person, predicate, now, _SINCE if anew else _BEFORE))
            if changed:
                life.append(StatedFact.said(person, predicate, before, _BEFORE, _SINCE))
        yield life


@cache
def _values(predicate: str) -> tuple[str, ...]:
    found = lists("invented")[predicate]
    if isinstance(found, str):
        return tuple(found.split("|"))
    return tuple(f"{name} {what}" for name in found["named"].split("|") for what in found["of"].split("|"))


def _questions(facts: Sequence[StatedFact]) -> Iterator[Question]:
    """What is asked of them; see `memory_agent.evaluation.distillation` for the kinds."""
    data = load_data()
    standing = [fact for fact in facts if fact.valid_to is None]
    values = {name: tuple(sorted({f.object for f in facts if f.predicate == name})) for name in PREDICATES}
    held = {(fact.subject, fact.predicate): fact.object for fact in standing}
    people = list(dict.fromkeys(fact.subject for fact in facts))
    for fact in standing:
        for form in data.forms(fact.predicate).forward:
            yield Question(kind="paraphrase", question=_asked(form, fact.subject), answers=(fact.object,))
    for predicate in PREDICATES:
        for value in values[predicate]:
            holders = [fact.subject for fact in standing if (fact.predicate, fact.object) == (predicate, value)]
            names = tuple(dict.fromkeys(name for who in holders for name in (who, who.split()[0])))
            for form in data.forms(predicate).inverse if names else ():
                yield Question(kind="inverse", question=_asked(form, value=value), answers=names)
    for fact in facts:
        if fact.valid_to is not None:
            answers = (held[fact.subject, fact.predicate],)
            for form in data.forms(fact.predicate).forward:
                asked = _asked(form, fact.subject)
                yield Question(kind="stale", question=asked, answers=answers, wrong=(fact.object,))
    lacking = [(who, name) for who in people for name in PREDICATES if (who, name) not in held]
    unknown = [(who, name) for who in data.strangers if who not in people for name in PREDICATES]
    for kind, asked_of in (("absent_attribute", lacking), ("stranger", unknown[: _STRANGERS * len(PREDICATES)])):
        for who, name in asked_of:
            question = _asked(data.forms(name).forward[0], who)
            yield Question(kind=kind, question=question, wrong=values[name])
    for question in data.general:
        yield Question(kind="general", question=question)
    near = dict.fromkeys(_asked(form, value=f.object) for f in standing for form in data.forms(f.predicate).near)
    for question in list(near)[:_NEAR]:
        yield Question(kind="near_general", question=question)


def _asked(form: str, who: str = "", value: str = "") -> str:
    return form.format(s=who, o=value, a=with_article(value) if value else "", p="")
