"""FactConsolidation's rule on generated facts: numbered statements that contradict each other, the later one holds.

After MemoryAgentBench's task of that name (Hu et al. 2025, arXiv:2507.05257), which asks a language model; here
the answer is read off the stored state. Facts come in plain sentences of fixed form, `42. The employer of Ada
Abel is Siemens.`, and are read back by that form, so what is measured is how conflicts are settled, not reading.

    single_hop   the value of one relation of one person
    multi_hop    two or three relations in a row: the home of the manager of Ada Abel
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from memory_agent.evaluation.worlds import words
from memory_agent.memory import Memory
from memory_agent.protocols import Progress, Proposal
from memory_agent.records import Episode, Turn
from memory_agent.semantic.folding import fold_value

RELATIONS = {"lives_in": "home", "works_at": "employer", "occupation": "job", "manager": "manager", "diet": "diet"}
_BY_WORD = {word: name for name, word in RELATIONS.items()}
_TYPES = {"lives_in": "place", "works_at": "organisation", "manager": "person"}
_SENTENCE = re.compile(r"\d+\. The (?P<relation>\w+) of (?P<subject>.+?) is (?P<object>.+)\.")
_START = datetime(2024, 1, 1, tzinfo=UTC)
SESSION = 200
"""Facts to a session."""
QUESTIONS = 400
"""Most questions of each kind."""


class StatementExtractor:
    """Reads the sentences of this evaluation, and nothing else."""

    name = "statements/1"

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """One proposal for each turn of the form `N. The RELATION of SUBJECT is OBJECT.`."""
        found = []
        for turn in turns:
            if m := _SENTENCE.fullmatch(turn.content):
                predicate = _BY_WORD[m["relation"]]
                found.append(
                    Proposal(
                        episode_id=turn.id,
                        start=0,
                        end=len(turn.content),
                        subject=m["subject"],
                        predicate=predicate,
                        object=m["object"],
                        subject_type="person",
                        object_type=_TYPES.get(predicate),
                    )
                )
        return found


def run(facts: int = 1000, seed: int = 0, *, progress: Progress | None = None) -> dict[str, Any]:
    """Store `facts` numbered facts and ask after what holds. Raises what `Memory.open` raises."""
    from langchain_core.embeddings import DeterministicFakeEmbedding

    began = perf_counter()
    turns, truth = told(facts, seed)
    with tempfile.TemporaryDirectory() as folder:
        embedder = DeterministicFakeEmbedding(size=8)  # nothing is searched for
        with Memory.open(str(Path(folder) / "store"), user="reader", embedder=embedder) as memory:
            for start in range(0, len(turns), SESSION):
                memory.add(turns[start : start + SESSION], session=f"part-{start}")
            memory.consolidate(extractor=StatementExtractor(), progress=progress)
            stored = perf_counter()
            single = _single(memory, truth, seed)
            multi = _multi(memory, truth, seed)
    return {
        "facts": facts,
        "seed": seed,
        "slots": len(truth),
        "single_hop": {"value": round(sum(single) / len(single), 4), "n": len(single)},
        "multi_hop": {"value": round(sum(multi) / len(multi), 4) if multi else None, "n": len(multi)},
        "seconds_storing": round(stored - began, 1),
        "seconds_asking": round(perf_counter() - stored, 1),
    }


def told(count: int, seed: int) -> tuple[list[Turn], dict[tuple[str, str], str]]:
    """`count` numbered facts as turns a second apart, and what holds after the last of them."""
    rng = random.Random(seed)
    names = [f"{a} {b}" for a in words("first_names") for b in words("family_names")]
    people = rng.sample(names, max(4, min(len(names), count // 20)))
    truth: dict[tuple[str, str], str] = {}
    turns = []
    for number in range(count):
        person, relation = rng.choice(people), rng.choice(list(RELATIONS))
        others = [p for p in people if p != person] if relation == "manager" else words(relation)
        value = rng.choice([v for v in others if v != truth.get((person, relation))])
        truth[person, relation] = value
        text = f"{number}. The {RELATIONS[relation]} of {person} is {value}."
        at = _START + timedelta(seconds=number)
        turns.append(Turn(role="user", speaker="Reader", content=text, at=at, id=f"fact-{number}"))
    return turns, truth


def _value(memory: Memory, person: str, relation: str) -> str | None:
    """The one value that holds, or None where there is none or more than one."""
    held = {
        f.object
        for f in memory.facts(person, predicate=relation)
        if f.status in ("current", "stale") and fold_value(f.subject) == fold_value(person)
    }
    return held.pop() if len(held) == 1 else None


def _single(memory: Memory, truth: dict[tuple[str, str], str], seed: int) -> list[bool]:
    asked = random.Random(seed + 1).sample(sorted(truth), min(QUESTIONS, len(truth)))
    return [_value(memory, *slot) == truth[slot] for slot in asked]


def _multi(memory: Memory, truth: dict[tuple[str, str], str], seed: int) -> list[bool]:
    rng = random.Random(seed + 2)
    bosses = sorted(person for person, relation in truth if relation == "manager")
    right = []
    for person in rng.sample(bosses, min(QUESTIONS, len(bosses))):
        chain = ["manager"] * rng.choice((1, 2)) + [rng.choice(("lives_in", "works_at", "occupation", "diet"))]
        answer = _follow(chain, person, lambda who, relation: truth.get((who, relation)))
        if answer is not None:
            right.append(_follow(chain, person, lambda who, relation: _value(memory, who, relation)) == answer)
    return right


def _follow(chain: Sequence[str], person: str, lookup: Any) -> str | None:
    at: str | None = person
    for relation in chain:
        at = None if at is None else lookup(at, relation)
    return at
