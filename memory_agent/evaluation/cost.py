"""What memory costs for each turn: processor time, disk and tokens, measured step by step on talk that is made up.

The talk is that of `worlds.py`, dense with facts, so a turn of small talk costs less. Processor time is of all threads
of this process (`process_time`), which other work on the machine lengthens little; the embedder is the default one
unless another is handed in, extraction is offline. What is loaded once is loaded before.

    take_in       durably in the ledger and in the vector index, embedding included, one turn at a time
    consolidate   read into facts: extract, ground, resolve, reconcile, commit
    search        ten hits for a question, its embedding included
    context       a prompt's worth of memory for a question, within 600 tokens
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_agent.evaluation.report import Plot, Report, Table, stamped
from memory_agent.evaluation.worlds import build
from memory_agent.folders import bytes_in
from memory_agent.memory import Memory
from memory_agent.records import Turn

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

BUDGET = 600
QUESTIONS = 60
_ASKED = ("Where does {} live?", "What does {} do for a living?", "Who is {} with?", "What does {} eat?")


def run(turns: int = 400, seed: int = 0, embedder: Embeddings | None = None) -> dict[str, Any]:
    """The cost of each step: `n`, `mean_ms`, `p50_ms`, `p95_ms` of processor time; `bytes_a_turn`, `tokens` a context.

    Raises what `Memory.open` and the extractor raise.
    """
    said, people = _talk(turns, seed)
    steps: dict[str, list[float]] = {"take_in": [], "search": [], "context": []}
    tokens = []
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        with Memory.open(store, user="warm", embedder=embedder) as warm:
            warm.add([Turn(role="user", speaker="Ona", content="I live in Porto.")])
            warm.consolidate()
            warm.context("Where?", budget=BUDGET)
        before = bytes_in(store)
        with Memory.open(store, user="kit", embedder=embedder) as memory:
            for session, turn in said:
                steps["take_in"].append(_timed(partial(memory.add, [turn], session=session))[0])
            reading, report = _timed(memory.consolidate)
            for n in range(QUESTIONS):
                question = _ASKED[n % len(_ASKED)].format(people[n % len(people)])
                steps["search"].append(_timed(partial(memory.search, question, limit=10))[0])
                took, context = _timed(partial(memory.context, question, budget=BUDGET))
                steps["context"].append(took)
                tokens.append(context.tokens)
            facts = len(memory.facts(past=True))
        kept = bytes_in(store) - before
    figures = {name: _spread(took) for name, took in steps.items()}
    figures["consolidate"] = {"n": report.episodes, "mean_ms": round(reading / max(1, report.episodes), 2)}
    return {
        "turns": len(said),
        "seed": seed,
        "facts": facts,
        "steps": figures,
        "bytes_a_turn": round(kept / len(said)),
        "tokens": {"budget": BUDGET, "mean": round(float(np.mean(tokens)), 1), "most": max(tokens)},
    }


def report(found: Mapping[str, Any]) -> Report:
    """What `run` found, as a page shows it."""
    names = ("take_in", "consolidate", "search", "context")
    steps = found["steps"]
    rows: list[tuple[str | int | float | None, ...]] = [
        (name, steps[name]["n"], *(steps[name].get(f) for f in ("mean_ms", "p50_ms", "p95_ms"))) for name in names
    ]
    table = Table(
        title=f"{found['turns']} turns, {found['facts']} facts", columns=("step", "n", "mean ms", "p50 ms", "p95 ms"),
        rows=tuple(rows),
    )  # fmt: skip
    tokens = found["tokens"]
    other = Table(
        columns=("", "value"),
        rows=(
            ("bytes on disk a turn, facts and vectors included", found["bytes_a_turn"]),
            (f"tokens of a context (at most {tokens['budget']}), mean", tokens["mean"]),
            ("tokens of a context, most", tokens["most"]),
            ("calls of a language model, money", 0),
        ),
    )
    drawn = Plot(
        name="steps", title="Processor time of each step, mean", form="bars", groups=names,
        series={"milliseconds": tuple(steps[name]["mean_ms"] for name in names)}, y="ms",
    )  # fmt: skip
    return stamped("cost", "Cost of a turn", tables=[table, other], plots=[drawn], seeds=[found["seed"]])


def _talk(count: int, seed: int) -> tuple[list[tuple[str, Turn]], list[str]]:
    """`count` turns with their sessions, and who speaks."""
    said: list[tuple[str, Turn]] = []
    people: list[str] = []
    for number in range(1 + count):  # a world has some dozens of turns at least
        if len(said) >= count:
            break
        world = build(seed * 1000 + number)
        people += world.people
        said += [
            (f"{number}:{name}", turn.model_copy(update={"id": f"{number}:{name}:{nth}"}))
            for name, turns in world.sessions
            for nth, turn in enumerate(turns)
        ]
    return said[:count], people


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds of processor time, and what came of it."""
    began = time.process_time()
    found = call()
    return (time.process_time() - began) * 1000, found


def _spread(took: Sequence[float]) -> dict[str, float]:
    shares = {f"p{share}_ms": round(float(np.percentile(took, share)), 2) for share in (50, 95)}
    return {"n": len(took), "mean_ms": round(float(np.mean(took)), 2), **shares}
