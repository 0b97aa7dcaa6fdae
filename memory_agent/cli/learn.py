"""Verbs that make knowledge out of what was said: `consolidate` into the graph, `distill` into weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli import exits
from memory_agent.cli.place import Place, verb

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(app)(consolidate)
    verb(app)(distill)


def consolidate(place: Place) -> None:
    """Read new turns into the knowledge graph, offline."""
    with place.memory() as memory, place.progress("Consolidating") as progress:
        report = memory.consolidate(progress=progress)

    def show(out: Console) -> None:
        out.print(
            f"[bold]{report.episodes}[/] turns read in {report.seconds:.1f} s: {report.claims} claims, "
            f"{len(report.facts_added)} facts added, {len(report.facts_changed)} changed, "
            f"{len(report.facts_closed)} closed, {report.entities_added} new entities."
        )
        if report.rejected:
            reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(report.rejected.items()))
            out.print(f"refused: {reasons}", style="dim", markup=False)
        for id, error in report.failed.items():
            out.print(f"still pending {id}: {error}", style="red", markup=False)

    place.emit(report, show)
    if report.failed:
        raise typer.Exit(exits.FAILED)


def distill(
    place: Place,
    if_due: Annotated[
        bool, typer.Option("--if-due", help="Only when there is something new; else exit code 3.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of rows and training.")] = 0,
) -> None:
    """Put what is stable into the weights of a small local model; exit code 4 when the gate refuses."""
    from memory_agent.scheduling import distillation_due

    with place.memory() as memory:
        if if_due and (reason := distillation_due(memory.space)) is None:
            place.emit({"due": False}, lambda out: out.print("Nothing new since the last distillation."))
            raise typer.Exit(exits.NOT_DUE)
        if if_due and not place.json:
            typer.echo(f"Due: {reason}.")
        with place.progress("Distilling") as progress:
            report = memory.distill(seed=seed, progress=progress)

    def show(out: Console) -> None:
        verdict = "[bold green]promoted[/]" if report.promoted else "[bold red]refused by the gate[/]"
        out.print(
            f"{verdict}: {len(report.facts)} facts, {report.rows} rows, {report.tokens} tokens, {report.seconds:.0f} s."
        )
        for reason in report.reasons:
            out.print(f"  {reason}", markup=False)
        for adapter in report.adapters:
            out.print(f"  adapter {adapter}", style="dim", markup=False)
        if report.refused:
            counts: dict[str, int] = {}
            for why in report.refused.values():
                counts[why] = counts.get(why, 0) + 1
            left = ", ".join(f"{n} {why}" for why, n in sorted(counts.items()))
            out.print(f"left out: {left}", style="dim", markup=False)

    place.emit(report, show)
    if not report.promoted:
        raise typer.Exit(exits.REFUSED)
