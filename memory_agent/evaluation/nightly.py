"""Several nights of living on: facts are added, changed and forgotten, and every night the weights follow.

Invented people with values from `data/worlds.json`; what is asked are the probes' own forms, which are never trained. A
night is one distillation; after it every fact that was ever taught is asked of the weights alone.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from memory_agent.answering import ask_many
from memory_agent.config import Settings
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.matching import names
from memory_agent.distillation.probes import FEWEST, load_data
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.distillation.scorecard import Score
from memory_agent.distillation.selection import select_from
from memory_agent.distillation.sharding import digest, layout
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.distillation import StatedFact, teach
from memory_agent.evaluation.kept import claim
from memory_agent.evaluation.worlds import words
from memory_agent.folders import whole_file
from memory_agent.memory import Memory
from memory_agent.protocols import Progress
from memory_agent.records import PartialDate
from memory_agent.semantic.ontology import load

PREDICATES = ("lives_in", "works_at", "hobby")
_STATE = "nights.json"


class _Life(BaseModel):
    """What was taught so far: the standing facts with the night they came, and what no longer holds."""

    of: dict[str, Any]
    """What the run was called with."""
    told: int = 0
    """How many facts have come."""
    standing: list[tuple[StatedFact, int]] = []
    deleted: list[StatedFact] = []
    stale: list[tuple[StatedFact, StatedFact]] = []
    """(before, after)."""
    shards: list[str] = []
    """What each shard of the last night held, as digests."""
    adapters: list[str] = []
    nights: list[dict[str, Any]] = []


def run(
    nights: int = 5,
    *,
    add: int = 20,
    change: int = 5,
    delete: int = 5,
    cap: int = 32,
    seed: int = 0,
    keep: Path | None = None,
    student: str | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Live so many nights, each with `add` new facts and, from the second on, some changed and some forgotten ones.

    `nights` lists after each night: `first_night` (right answers on the first night's facts that still stand), `all`
    (on every standing fact), `deleted` (the forgotten value named) beside `deleted_base` (by the untouched model, asked
    the same), `stale` (a former value named and not the present one), how many shards there are, how many of them hold
    something else than the night before (`dirty`), and how many were `rebuilt`. `idle_rows`: rows written by one more
    distillation after which nothing had changed. `cap`: most facts in a shard.

    With `keep` the memory lives in that folder, and the same call goes on where a killed one was: after the last whole
    night, and within it after the last pass of the training. Raises InvalidInput when more is to go than stands, or the
    folder is another run's; and what training raises.
    """
    if nights < 1 or add < 1 or change + delete > add:
        raise InvalidInput("a night adds at least one fact, and no more are changed and deleted than were added")
    used = recipe.model_dump(mode="json", exclude_unset=True) if recipe else {}
    called = {"add": add, "change": change, "delete": delete, "cap": cap, "seed": seed, "recipe": used}
    with ExitStack() as opened:
        place = keep or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="memory-agent-eval-")))
        life = _taken_up(place, called)
        memory = opened.enter_context(
            Memory.open(place / "memory", user="evaluation", settings=Settings.load(student=student))
        )
        for night in range(len(life.nights), nights):

            def passed_on(share: float, doing: str, night: int = night) -> None:
                if progress:
                    progress((night + share) / nights, f"night {night + 1}: {doing}")

            life = _lived(memory, life, night)
            found = _slept(memory, life, recipe, passed_on)
            life.nights.append({"night": night + 1, **_figures(memory, life), **found})
            whole_file(place / _STATE, life.model_dump_json())
        idle = distill(memory.space, recipe=recipe, seed=seed, options=_options(life))
    return {**called, "nights": life.nights, "last": life.nights[-1], "idle_rows": idle.rows}


def _taken_up(place: Path, called: dict[str, Any]) -> _Life:
    """The life in the folder, or a new one. Raises InvalidInput when it is another's."""
    claim(place, **called)
    file = place / _STATE
    return _Life.model_validate_json(file.read_text("utf-8")) if file.exists() else _Life(of=called)


def _options(life: _Life) -> Options:
    # Every adapter is promoted, and asked here what the night is judged by: the gate's own probes are left out.
    return Options(gate=Gate(thresholds={}), sample=FEWEST, cap=int(life.of["cap"]))


def _slept(memory: Memory, life: _Life, recipe: Recipe | None, progress: Progress) -> dict[str, Any]:
    """One distillation: shards there are, which of them are dirty, and which were rebuilt. Noted in `life`."""
    space, options = memory.space, _options(life)
    chosen = select_from(space.ledger, load(), space.clock.now(), options.policy)
    held = [digest((*s.facts, *s.past), {}) for s in layout(chosen.facts, options.cap, chosen.past)]
    report = distill(space, recipe=recipe, seed=int(life.of["seed"]), options=options, progress=progress)
    found = {
        "shards": len(held),
        "dirty": len(set(held) - set(life.shards)),
        "rebuilt": len(set(report.adapters) - set(life.adapters)),
        "seconds": report.seconds,
    }
    life.shards, life.adapters = held, list(report.adapters)
    return found


def _facts(seed: int) -> Iterator[StatedFact]:
    """Invented people's facts, as far as the names reach."""
    rng = random.Random(f"nightly {seed}")
    people = [f"{first} {last}" for first in words("first_names") for last in words("family_names")]
    rng.shuffle(people)
    for person in people:
        for predicate in PREDICATES:
            yield StatedFact.said(person, predicate, rng.choice(words(predicate)))


def _since(fact: StatedFact, night: int, day: str) -> StatedFact:
    """The fact as one that holds since that day of the night's year: said without a date, it would hold since today."""
    return fact.model_copy(update={"valid_from": PartialDate(f"{2019 + night}-{day}")})


def _lived(memory: Memory, before: _Life, night: int) -> _Life:
    """What happens before a night: some facts change, some are forgotten, others come.

    A function of what was before and the night; done again after a kill, it does nothing twice.
    """
    life = before.model_copy(deep=True)
    rng = random.Random(f"nightly {life.of['seed']} {night}")
    add, change, delete = (int(life.of[name]) for name in ("add", "change", "delete"))
    told = []
    if night:
        changed = [new for _, new in life.stale]
        able = [
            fact for fact, _ in life.standing if load()[fact.predicate].cardinality == "one" and fact not in changed
        ]
        for old in rng.sample(able, min(change, len(able))):
            value = rng.choice([word for word in words(old.predicate) if word != old.object])
            new = _since(StatedFact.said(old.subject, old.predicate, value), night, "05-01")
            life.stale.append((old, new))
            told.append(new)
        # Whose fact has changed is left alone: the tests of both would touch.
        touched = {fact.subject for pair in life.stale for fact in pair}
        for gone in rng.sample([fact for fact, _ in life.standing if fact.subject not in touched], delete):
            for held in memory.facts(about=gone.subject):
                if (held.predicate, held.object) == (gone.predicate, gone.object):
                    memory.forget(held.id, reason="the evaluation forgets it")
            life.deleted.append(gone)
    coming = itertools.islice(_facts(int(life.of["seed"])), life.told, life.told + add)
    told += [_since(fact, night, "01-01") for fact in coming]
    life.told += add
    left = [*life.deleted, *(old for old, _ in life.stale)]
    life.standing = [pair for pair in life.standing if pair[0] not in left] + [(fact, night) for fact in told]
    teach(memory, told, session=f"night{night}")
    return life


def _figures(memory: Memory, life: _Life) -> dict[str, Any]:
    """What the weights say after a night."""
    standing = [fact for fact, _ in life.standing]
    right = _named(memory, standing, "adapter")
    first = [outcomes for outcomes, (_, night) in zip(right, life.standing, strict=True) if night == 0]
    stale = [
        names(text, old.object) and not names(text, new.object)
        for old, new in life.stale
        if new in standing
        for text in _answers(memory, new, "adapter")
    ]
    return {
        "first_night": _score([hit for outcomes in first for hit in outcomes]),
        "all": _score([hit for outcomes in right for hit in outcomes]),
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
