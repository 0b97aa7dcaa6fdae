"""Invented lives, told as dialogue: what the truth is, and in which words it comes out.

A world holds a few people who talk to a friend over three years. Each has a timeline for some predicates:
values that change (dated or not), end, are corrected, or are denied by others; values that depend on
others; and words that will be forgotten. Sentences come from `data/dialogue.json`, whose `seen` templates
were looked at while rules were written and whose `held` ones only score. All is a function of the seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from memory_agent.records import Turn

START = datetime(2022, 1, 10, 9, tzinfo=UTC)
SPAN = 1000
"""Days over which people talk."""


@dataclass(frozen=True)
class Said:
    """One statement: what it means, and the turn that says it."""

    turn: str
    at: datetime
    predicate: str
    value: str
    polarity: str = "+"
    since: str | None = None
    """`valid_from` for "+", `valid_to` for "-", as the words give it."""
    modality: str = "actual"
    correction: bool = False
    own: bool = True


@dataclass
class Slot:
    """One predicate of one person: what was said of it, in order of when it was true."""

    person: str
    predicate: str
    said: list[Said] = field(default_factory=list)
    dependent: bool = False
    """Whether another change is to make it stale."""
    stale: bool = False


@dataclass
class World:
    """Turns to take in (by session, in order of arrival) and the truth they tell."""

    sessions: list[tuple[str, list[Turn]]]
    slots: list[Slot]
    people: list[str]
    doomed: list[tuple[str, str]]
    """(turn id, coined word) to be forgotten, and looked for afterwards."""


@cache
def data(name: str) -> Any:
    """The content of `data/<name>.json`."""
    return json.loads(files(__package__).joinpath("data", f"{name}.json").read_text(encoding="utf-8"))


def words(name: str) -> list[str]:
    """A list of `data/worlds.json`."""
    listed: str = data("worlds")[name]
    return listed.split("|")


class _Teller:
    """Renders what one person says."""

    def __init__(self, rng: random.Random, templates: str, person: str) -> None:
        self._rng, self._templates, self.person = rng, data("dialogue")[templates], person
        self.turns: list[Turn] = []

    def say(self, at: datetime, kind: str, speaker: str | None = None, **fields: str) -> str:
        """Say it in one of the templates; the turn's id."""
        text = self._rng.choice(self._templates[kind]).format(**fields)
        text = text[0].upper() + text[1:]
        id = "-".join([*self.person.split(), str(len(self.turns))])
        self.turns.append(Turn(role="user", speaker=speaker or self.person, content=text, at=at, id=id))
        return id


def build(seed: int, *, people: int = 6, templates: str = "held") -> World:
    """The world of that seed: `people` speakers, two of whom share a first name."""
    rng = random.Random(seed)
    names = _names(rng, people)
    slots: list[Slot] = []
    doomed: list[tuple[str, str]] = []
    sessions: list[tuple[str, list[Turn]]] = []
    coined = words("coined_places")
    rng.shuffle(coined)
    for number, person in enumerate(names):
        teller = _Teller(rng, templates, person)
        friend = names[(number + 1) % len(names)]
        slots += _life(rng, teller, friend, others=[n for n in names if n != person], number=number)
        word = coined[number % len(coined)]
        doomed.append((teller.say(_day(rng, 20, SPAN), "plans we", v=word, when="May 2026", partner="Ona"), word))
        sessions += list(_sessions(rng, person, teller.turns))
    rng.shuffle(sessions)  # old conversations arrive late
    return World(sessions, slots, names, doomed)


def _names(rng: random.Random, count: int) -> list[str]:
    first = rng.sample(words("first_names"), count - 1)
    last = rng.sample(words("family_names"), count)
    return [f"{a} {b}" for a, b in zip([*first, first[0]], last, strict=True)]


def _day(rng: random.Random, low: int, high: int) -> datetime:
    return START + timedelta(days=rng.randint(low, high), minutes=rng.randint(0, 600))


def _when(moment: datetime) -> tuple[str, str]:
    """A month in words and as a date: ("March 2023", "2023-03")."""
    return f"{words('months')[moment.month - 1]} {moment.year}", f"{moment:%Y-%m}"


def _life(rng: random.Random, teller: _Teller, friend: str, others: Sequence[str], number: int) -> Iterator[Slot]:
    home = Slot(teller.person, "lives_in")
    _changing(rng, teller, home, "lives_in", rng.choice((1, 2, 3)))
    work = Slot(teller.person, "works_at")
    _changing(rng, teller, work, "works_at", rng.choice((1, 2, 2)))
    if rng.random() < 0.4:
        _ended(rng, teller, work)
    yield home
    yield work
    yield _fixed(rng, teller, "occupation", 30)
    yield from _dependents(rng, teller, home, work, others)
    yield from _love(rng, teller, number)
    diet = _fixed(rng, teller, "diet", 60)
    if rng.random() < 0.5:
        at = diet.said[-1].at + timedelta(days=200)
        turn = teller.say(at, "diet ended", v=diet.said[-1].value)
        diet.said.append(Said(turn, at, "diet", diet.said[0].value, "-"))
    yield diet
    if rng.random() < 0.4:
        _hearsay(rng, teller, home, friend)


def _changing(rng: random.Random, teller: _Teller, slot: Slot, name: str, count: int) -> None:
    """`count` values, one after the other, half of the changes with their month."""
    values = rng.sample(words(name), count)
    at = _day(rng, 0, 60)
    turn = teller.say(at, name, v=values[0])
    slot.said.append(Said(turn, at, name, values[0]))
    for value in values[1:]:
        change = at + timedelta(days=rng.randint(150, 260))
        at = change + timedelta(days=rng.randint(40, 90))
        if name == "works_at" or rng.random() < 0.6:
            spoken, iso = _when(change)
            turn = teller.say(at, f"{name} moved", v=value, when=spoken)
            slot.said.append(Said(turn, at, name, value, since=iso))
        else:
            turn = teller.say(at, f"{name} undated", v=value)
            slot.said.append(Said(turn, at, name, value))


def _ended(rng: random.Random, teller: _Teller, slot: Slot) -> None:
    last = slot.said[-1]
    end = last.at + timedelta(days=rng.randint(60, 120))
    at = end + timedelta(days=40)
    spoken, iso = _when(end)
    turn = teller.say(at, f"{slot.predicate} ended", v=last.value, when=spoken)
    slot.said.append(Said(turn, at, slot.predicate, last.value, "-", since=iso))


def _fixed(rng: random.Random, teller: _Teller, name: str, earliest: int) -> Slot:
    at = _day(rng, earliest, earliest + 200)
    value = rng.choice(words(name))
    turn = teller.say(at, name, v=value)
    return Slot(teller.person, name, [Said(turn, at, name, value)])


def _dependents(rng: random.Random, teller: _Teller, home: Slot, work: Slot, others: Sequence[str]) -> Iterator[Slot]:
    """A way to work and a boss, told early; both fall with a later change of home or of work."""
    at = home.said[0].at + timedelta(days=10)
    vehicle = rng.choice(words("commute"))
    commute = Slot(teller.person, "commute", [Said(teller.say(at, "commute", v=vehicle), at, "commute", vehicle)], True)
    commute.stale = len(home.said) > 1 or len(work.said) > 1
    yield commute
    at = work.said[0].at + timedelta(days=12)
    boss = rng.choice(others)
    manager = Slot(teller.person, "manager", [Said(teller.say(at, "manager", v=boss), at, "manager", boss)], True)
    manager.stale = len(work.said) > 1
    yield manager


def _love(rng: random.Random, teller: _Teller, number: int) -> Iterator[Slot]:
    """A partner, a plan with them, and sometimes the end of it, which makes the plan stale."""
    at = _day(rng, 100, 200)
    first, last = ("Nika", "Ruben", "Ilse", "Marek", "Lena"), ("Vos", "Brandt", "Lindqvist")
    name = f"{first[number % 5]} {last[number // 5 % 3]}"  # nobody else's: one person is partner to one
    partner = Slot(teller.person, "partner", [Said(teller.say(at, "partner", v=name), at, "partner", name)])
    planned = at + timedelta(days=100)
    place = rng.choice(words("lives_in"))
    turn = teller.say(planned, "plans we", v=place, when="August 2025", partner=name)
    plan = Slot(
        teller.person, "plans", [Said(turn, planned, "plans", place, modality="planned", since="2025-08")], True
    )
    if rng.random() < 0.5:
        end = planned + timedelta(days=120)
        spoken, iso = _when(end)
        told = end + timedelta(days=35)
        turn = teller.say(told, "partner ended", v=name, when=spoken)
        partner.said.append(Said(turn, told, "partner", name, "-", since=iso))
        plan.stale = True
    yield partner
    yield plan


def _hearsay(rng: random.Random, teller: _Teller, home: Slot, friend: str) -> None:
    """A friend says otherwise, undated: it is kept, but does not displace the person's own word."""
    at = home.said[-1].at + timedelta(days=15)
    told = {s.value for s in home.said}
    value = rng.choice([v for v in words("lives_in") if v not in told])
    turn = teller.say(at, "hearsay", speaker=friend, name=teller.person, v=value)
    home.said.append(Said(turn, at, "lives_in", value, own=False))


def _sessions(rng: random.Random, person: str, turns: Sequence[Turn]) -> Iterator[tuple[str, list[Turn]]]:
    """The turns by the quarter in which they were said, with small talk between them."""
    by_quarter: dict[str, list[Turn]] = {}
    for turn in sorted(turns, key=lambda t: t.at or START):
        at = turn.at or START
        by_quarter.setdefault(f"{person}/{at.year}-{at.month // 4}", []).append(turn)
    for name, told in by_quarter.items():
        at = (told[-1].at or START) + timedelta(minutes=2)
        filler = Turn(role="user", speaker="Kit", content=rng.choice(data("worlds")["fillers"]), at=at)
        yield name, [*told, filler]
