"""One adapter's scorecard as a page: every figure with its interval beside what the gate asks of it, and a plot.

No words of the memory's are in it: neither questions nor answers, only their counts.
"""

from __future__ import annotations

from memory_agent.distillation.gate import Gate
from memory_agent.distillation.scorecard import Score, Scorecard
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.report import Plot, Report, Table, stamped
from memory_agent.records import Adapter


def report(adapter: Adapter, gate: Gate | None = None) -> Report:
    """The scorecard of `adapter`, judged by `gate` (the built-in one). Raises InvalidInput when it was never probed."""
    card, judge = Scorecard.read(adapter.scorecard), gate or Gate.load()
    if not card.kinds:
        raise InvalidInput(f"adapter {adapter.id} was never probed")
    scores = {name: score for name, score in card.kinds.items() if score.n}
    asked = Table(
        title=f"Adapter {adapter.id[:12]} ({adapter.state}, {len(adapter.facts)} facts), shares with intervals of 95 %",
        columns=("figure", "hits", "n", "share", "low", "high", "gate"),
        rows=tuple((name, s.hits, s.n, s.rate, s.low, s.high, _asked(judge, name)) for name, s in scores.items()),
    )
    measured = Table(
        title="What are no shares",
        columns=("figure", "value", "gate"),
        rows=tuple((name, value, _asked(judge, name)) for name, value in card.measures.items()),
    )
    seed = adapter.scorecard.get("seed")
    return stamped(
        f"adapter-{adapter.id[:12]}", "What an adapter knows",
        tables=[asked, *([measured] if card.measures else [])],
        plots=[_plot("good", "Right answers, and where nothing is known", scores, wanted=True),
               _plot("bad", "What must not be said", scores, wanted=False)],
        seeds=() if seed is None else (int(seed),),
    )  # fmt: skip


_WANTED = ("paraphrase", "inverse", "two_hop", "stranger_unknown", "absent_unknown", "general")


def _plot(name: str, title: str, scores: dict[str, Score], *, wanted: bool) -> Plot:
    shown = {kind: score for kind, score in scores.items() if (kind in _WANTED) is wanted} or scores
    spans = tuple((score.low, score.high) for score in shown.values())
    rates = tuple(score.rate for score in shown.values())
    return Plot(
        name=name, title=title, form="bars", y="share", groups=tuple(shown), series={"share": rates},
        spans={"share": spans},
    )  # fmt: skip


def _asked(gate: Gate, name: str) -> str | None:
    """What the gate asks of a figure, in short."""
    threshold = gate.thresholds.get(name)
    if threshold is None:
        return None
    sides = ((">=", threshold.min), ("<=", threshold.max))
    return ", ".join(f"{sign} {bound:g}" for sign, bound in sides if bound is not None)
