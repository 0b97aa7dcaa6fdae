"""Several nights of living on: facts are added, changed and forgotten, and every night the weights follow.

Invented people with values from `data/worlds.json`; what is asked are the probes' own forms, which are never trained. A
night is one distillation; after it every fact that was ever taught is asked of the weights alone.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from memory_agent.answering import ask_many
from memory_agent.config import Settings
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.matching import names
from memory_agent.distillation.probes import load_data
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.distillation.scorecard import Score
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.distillation import StatedFact, teach
from memory_agent.evaluation.worlds import words
from memory_agent.memory import Memory
from memory_agent.protocols import Progress
from memory_agent.records import PartialDate
from memory_agent.semantic.ontology import load

PREDICATES = ("lives_in", "works_at", "hobby")
CHANGING = ("lives_in", "works_at")
"""Those that have one value at a time."""


@dataclass
class _Life:
    """What was taught so far: the standing facts with the night they came, and what no longer holds."""

    standing: dict[StatedFact, int] = field(default_factory=dict)
    deleted: list[StatedFact] = field(default_factory=list)
    stale: list[tuple[StatedFact, StatedFact]] = field(default_factory=list)
    """(before, after)."""


def run(
    nights: int = 5,
    *,
    add: int = 20,
    change: int = 5,
    delete: int = 5,
    cap: int = 32,
    seed: int = 0,
    student: str | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Live so many nights, each with `add` new facts and, from the second on, some changed and some forgotten ones.

    `nights` lists after each night: `first_night` (right answers on the first night's facts that still stand), `all`
    (on every standing fact), `deleted` (the forgotten value named) beside `deleted_base` (by the untouched model, asked
    the same), `stale` (a former value named and not the present one), shards there are and `rebuilt`. `cap`: most facts
    in a shard. Raises InvalidInput when more is to go than stands, and what training raises.
    """
    if nights < 1 or add < 1 or change + delete > add:
        raise InvalidInput("a night adds at least one fact, and no more are changed and deleted than were added")
    rng = random.Random(f"nightly {seed}")
    coming = _facts(rng)
    life, found = _Life(), []
    with (
        tempfile.TemporaryDirectory(prefix="memory-agent-eval-") as folder,
        Memory.open(folder, user="evaluation", settings=Settings.load(student=student)) as memory,
    ):
        adapters: set[str] = set()
        for night in range(nights):
            _live(memory, life, coming, rng, night, (add, change, delete))

            def passed_on(share: float, doing: str, night: int = night) -> None:
                if progress:
                    progress((night + share) / nights, f"night {night + 1}: {doing}")

            report = distill(
                memory.space, recipe=recipe, seed=seed, options=Options(gate=Gate(thresholds={}), cap=cap),
                progress=passed_on,
            )  # fmt: skip
            now = set(report.adapters)
            shards = {"shards": len(now), "rebuilt": len(now - adapters), "seconds": report.seconds}
            adapters = now
            found.append({"night": night + 1, **_figures(memory, life), **shards})
    return {
        "add": add,
        "change": change,
        "delete": delete,
        "cap": cap,
        "seed": seed,
        "nights": found,
        "last": found[-1],
    }


def _facts(rng: random.Random) -> itertools.chain[StatedFact]:
    """Invented people's facts, without end as far as the names reach."""
    people = [f"{first} {last}" for first in words("first_names") for last in words("family_names")]
    rng.shuffle(people)
    return itertools.chain.from_iterable(
        [_stated(person, predicate, rng.choice(words(predicate))) for predicate in PREDICATES] for person in people
    )


def _stated(subject: str, predicate: str, object: str, since: str | None = None) -> StatedFact:
    text = load().statement(subject, predicate, object)
    return StatedFact(
        subject=subject, predicate=predicate, object=object, text=text,
        valid_from=PartialDate(since) if since else None,
    )  # fmt: skip


def _live(
    memory: Memory,
    life: _Life,
    coming: itertools.chain[StatedFact],
    rng: random.Random,
    night: int,
    counts: tuple[int, int, int],
) -> None:
    """What happens before a night: some facts change, some are forgotten, others come."""
    add, change, delete = counts
    told = []
    if night:
        able = [fact for fact in life.standing if fact.predicate in CHANGING and fact.valid_from is None]
        for old in rng.sample(able, min(change, len(able))):
            value = rng.choice([word for word in words(old.predicate) if word != old.object])
            new = _stated(old.subject, old.predicate, value, since=f"{2019 + night}-05-01")
            life.stale.append((old, new))
            del life.standing[old]
            told.append(new)
        # Whose fact has changed is left alone: the tests of both would touch.
        touched = {fact.subject for pair in life.stale for fact in pair}
        for gone in rng.sample([fact for fact in life.standing if fact.subject not in touched], delete):
            (held,) = [
                f for f in memory.facts(about=gone.subject) if (f.predicate, f.object) == (gone.predicate, gone.object)
            ]
            memory.forget(held.id, reason="the evaluation forgets it")
            life.deleted.append(gone)
            del life.standing[gone]
    told += list(itertools.islice(coming, add))
    life.standing.update(dict.fromkeys(told, night))
    teach(memory, told, session=f"night{night}")


def _figures(memory: Memory, life: _Life) -> dict[str, Any]:
    """What the weights say after a night."""
    standing = list(life.standing)
    right = dict(zip(standing, _named(memory, standing, "adapter"), strict=True))
    first = [outcomes for fact, outcomes in right.items() if life.standing[fact] == 0]
    stale = [
        names(text, old.object) and not names(text, new.object)
        for old, new in life.stale
        if new in life.standing
        for text in _answers(memory, new, "adapter")
    ]
    return {
        "first_night": _score([hit for outcomes in first for hit in outcomes]),
        "all": _score([hit for outcomes in right.values() for hit in outcomes]),
        "deleted": _score([hit for one in _named(memory, life.deleted, "adapter") for hit in one]),
        "deleted_base": _score([hit for one in _named(memory, life.deleted, "base") for hit in one]),
        "stale": _score(stale),
    }


def _named(memory: Memory, facts: Sequence[StatedFact], mode: Any) -> list[list[bool]]:
    """For each fact, which of the answers to its questions name its value."""
    return [[names(text, fact.object) for text in _answers(memory, fact, mode)] for fact in facts]


def _answers(memory: Memory, fact: StatedFact, mode: Any) -> list[str]:
    forms = load_data().forms(fact.predicate).forward
    asked = [form.format(s=fact.subject, o="", a="", p=fact.predicate.replace("_", " ")) for form in forms]
    return [answer.text for answer in ask_many(memory.space, asked, mode)]


def _score(outcomes: Sequence[bool]) -> dict[str, Any]:
    return Score.of(outcomes).model_dump()
