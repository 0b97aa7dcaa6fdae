"""The options that say when a job is due, shared by the verbs that look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memory_agent.scheduling import Conditions

Least = Annotated[int, typer.Option("--min-new", min=1, help="Not with fewer new things than this.")]
Every = Annotated[str | None, typer.Option("--every", help="Not within this time of the last run, e.g. 6h.")]
Idle = Annotated[str | None, typer.Option("--idle", help="Not while somebody wrote within this time, e.g. 15m.")]
Heat = Annotated[
    float | None,
    typer.Option("--heat", help="Whatever else, once so many turns wait; an hour old, one counts half."),
]
Budget = Annotated[
    str | None, typer.Option("--budget", help="Not when runs took this long already, e.g. 2h (a day) or 5h/1w.")
]
Deadline = Annotated[
    str | None,
    typer.Option("--deadline", help="Whatever else, this long after a fact in the weights fell, e.g. 1d."),
]


def conditions(
    *, least: int = 1, every: str | None = None, idle: str | None = None, budget: str | None = None,
    deadline: str | None = None, heat: float | None = None,
) -> Conditions:  # fmt: skip
    """The conditions that these options state. Raises InvalidInput on a length of time that is none."""
    from datetime import timedelta

    from memory_agent.scheduling import Conditions, duration

    most, _, period = (budget or "").partition("/")
    return Conditions(
        least=least,
        every=duration(every) if every else None,
        idle=duration(idle) if idle else None,
        budget=duration(most) if most else None,
        period=duration(period) if period else timedelta(days=1),
        deadline=duration(deadline) if deadline else None,
        heat=heat,
    )
