"""What `eval distill` found, side by side: recipes, seeds and ablations as one report of tables and plots."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memory_agent.errors import InvalidInput
from memory_agent.evaluation.distillation import ARMS, WRONG_KINDS, summary
from memory_agent.evaluation.report import Cell, Plot, Report, Table, stamped

Found = Mapping[str, Any]
"""What `distillation.run` returns."""
_AIMS = {
    "paraphrase": ">= .97", "inverse": ">= .95", "stale": "0", "stranger": "<= .02", "absent_attribute": "<= .02",
    "general": "1", "near_general": "0",
}  # fmt: skip
"""Kinds in the order they are shown, and what is aimed for."""
_COST = ("facts", "seeds", "seconds", "CPU seconds", "tokens", "peak MB")
_PROBED = ("forced_general", "half_known", "near_general", "perplexity_ratio")


def load(file: Path) -> dict[str, Any]:
    """What `eval distill --json` wrote to a file. Raises InvalidInput, naming it, when it holds something else."""
    try:
        found: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if not all(isinstance(one["probes"], dict) for one in found["runs"]) or not found["kinds"]:
            raise ValueError("it holds no runs")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} is not what `eval distill --json` prints: {error}") from error
    return found


def compared(named: Sequence[str]) -> dict[str, Found]:
    """Kept results by what they are to be called: FILE by its name, NAME=FILE,FILE,... as one of several seeds.

    Raises InvalidInput for a file that holds no result, and as `pooled`.
    """
    found: dict[str, Found] = {}
    for given in named:
        name, says, files = given.partition("=")
        if says and not Path(given).exists():
            found[name] = pooled([load(Path(file)) for file in files.split(",")])
        else:
            found[Path(given).stem] = load(Path(given))
    return found


def pooled(results: Sequence[Found]) -> dict[str, Any]:
    """Results of several seeds as the one that a single call would have given.

    Raises InvalidInput when they are not about the same facts, or a seed stands in two of them.
    """
    runs = sorted((run for one in results for run in one["runs"]), key=lambda run: int(run["seed"]))
    if len({(one["file"], one["facts"]) for one in results}) > 1 or len({run["seed"] for run in runs}) < len(runs):
        raise InvalidInput("results of several seeds are of one file, and each seed stands in one of them")
    return summary(results[0]["file"], results[0]["facts"], runs)


def report(found: Mapping[str, Found]) -> Report:
    """The report of one result or of several, by the names they are to have."""
    seeds = sorted({seed for one in found.values() for seed in one["seeds"]})
    return stamped("distillation", "What is known by heart", tables=tables(found), plots=plots(found), seeds=seeds)


def tables(found: Mapping[str, Found]) -> list[Table]:
    """Scores from weights alone, what the base lost and what it cost, and the four arms."""
    kinds = [kind for kind in _AIMS if any(kind in one["kinds"] for one in found.values())]
    arms = [(name, arm, one["arms"][arm]) for name, one in found.items() for arm in ARMS if arm in one.get("arms", {})]
    shown = [
        Table(
            title="From weights alone, the median over seeds with its interval of 95 % (Wilson)",
            columns=("asked", "n", "aimed for", *found),
            rows=tuple(_kind_row(kind, list(found.values())) for kind in kinds) + tuple(_unknown_rows(found)),
        ),
        Table(
            title="What it cost, the median over seeds, and of the gate's own probes the worst shard",
            columns=("run", *_COST, *_PROBED, "refused by the gate"),
            rows=tuple(_cost_row(name, one) for name, one in found.items()),
        ),
    ]
    if any(one.get("forced") for one in found.values()):
        shown.append(
            Table(
                title="Forced on, the router left out: the worst shard and seed",
                columns=("run", "general answers lost", "near-general that name the graph",
                         "perplexity of the base's answers", "perplexity of prose"),
                rows=tuple(
                    (name, _interval(at["general_lost"]), _interval(at["near_named"]), at["answer_ratio"],
                     at["perplexity_ratio"])
                    for name, one in found.items() if (at := one.get("forced"))
                ),
            )
        )  # fmt: skip
    if arms:
        shown.append(
            Table(
                title="The same questions put to four arms",
                columns=("run", "arm", "n", "right", "tokens a question", "tokens a right answer", "ms a right answer"),
                rows=tuple(
                    (name, arm, at["n"], _interval(at), at["tokens_per_question"], at["tokens_per_right"],
                     at["ms_per_right"])
                    for name, arm, at in arms
                ),
            )
        )  # fmt: skip
    return shown


def plots(found: Mapping[str, Found]) -> list[Plot]:
    """Right answers, wrong ones, the arms, and the time: a bar for each result."""
    drawn = [
        _bars("right", "Right answers from weights alone", "share", ("paraphrase", "inverse", "general"), found),
        _bars("wrong", "Wrong values given", "share", (*WRONG_KINDS, "near_general"), found),
        Plot(
            name="cost", title="Seconds to learn it, asking included", form="bars", y="seconds", groups=tuple(found),
            series={"seconds": tuple(float(one["seconds"]) for one in found.values())},
        ),
    ]  # fmt: skip
    if any(one.get("arms") for one in found.values()):
        series = {
            name: tuple(_rate(one["arms"], arm) for arm in ARMS) for name, one in found.items() if one.get("arms")
        }
        drawn.append(
            Plot(
                name="arms", title="The same questions put to four arms", form="bars", y="share right", groups=ARMS,
                series=series,
            )
        )  # fmt: skip
    return drawn


def _bars(name: str, title: str, y: str, kinds: Sequence[str], found: Mapping[str, Found]) -> Plot:
    asked = tuple(kind for kind in kinds if any(kind in one["kinds"] for one in found.values())) or tuple(kinds[:1])
    series = {label: tuple(_rate(one["kinds"], kind) for kind in asked) for label, one in found.items()}
    whole = {label: one["kinds"] for label, one in found.items() if all(kind in one["kinds"] for kind in asked)}
    spans = {label: tuple((at[kind]["low"], at[kind]["high"]) for kind in asked) for label, at in whole.items()}
    return Plot(name=name, title=title, form="bars", y=y, groups=asked, series=series, spans=spans)


def _rate(figures: Mapping[str, Any], kind: str) -> float | None:
    return float(figures[kind]["rate"]) if kind in figures else None


def _kind_row(kind: str, found: Sequence[Found]) -> tuple[Cell, ...]:
    held = [one["kinds"].get(kind) for one in found]
    n = max(int(one["n"]) for one in held if one)
    return (kind, n, _AIMS[kind], *(None if one is None else _interval(one) for one in held))


def _unknown_rows(found: Mapping[str, Found]) -> Iterator[tuple[Cell, ...]]:
    """The share of "I don't know", where it should be said and where it should not."""
    for kind, aim in (("stranger", ">= .95"), ("absent_attribute", ">= .95"), ("paraphrase", "<= .02")):
        held = [one["kinds"].get(kind, {}) for one in found.values()]
        if any("idk" in one for one in held):
            n = max(int(one.get("n", 0)) for one in held)
            yield (f'{kind}: "I don\'t know"', n, aim, *(one.get("idk") for one in held))


def _cost_row(name: str, one: Found) -> tuple[Cell, ...]:
    probed = [statistics.median(worst) if (worst := _worst(one, figure)) else None for figure in _PROBED]
    refused = sum(any(objections for objections in run["gate"].values()) for run in one["runs"])
    worked = [float(run["cpu_seconds"]) for run in one["runs"] if "cpu_seconds" in run]
    cpu = round(statistics.median(worked)) if worked else None
    cost = (round(float(one["seconds"])), cpu, int(one["tokens"]), round(float(one["peak_memory_mb"])))
    return (name, int(one["facts"]), len(one["seeds"]), *cost, *probed, f"{refused} of {len(one['runs'])}")


def _worst(one: Found, figure: str) -> list[float]:
    """Of each run, the highest value of the figure over its shards."""
    runs = [[_figure(card, figure) for card in run["probes"].values()] for run in one["runs"]]
    return [max(known) for run in runs if (known := [value for value in run if value is not None])]


def _figure(card: Mapping[str, Any], figure: str) -> float | None:
    if figure in card.get("kinds", {}):
        return float(card["kinds"][figure]["rate"])
    value = card.get("measures", {}).get(figure)
    return None if value is None else float(value)


def _interval(score: Mapping[str, Any]) -> str:
    return f"{score['rate']:.3f} ({score['low']:.2f} to {score['high']:.2f})"
