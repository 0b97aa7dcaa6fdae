"""Verbs that make knowledge out of what was said: `consolidate` into the graph, `distill` into weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli import exits, pairs
from memory_agent.cli.pairs import RecipeOptions
from memory_agent.cli.place import Place, verb
from memory_agent.cli.when import Budget, Deadline, Every, Heat, Idle, Least, conditions
from memory_agent.config import Settings
from memory_agent.records import ConsolidationReport, DistillationReport

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.distillation.recipe import Recipe
    from memory_agent.protocols import Trainer
    from memory_agent.scheduling import Conditions, Job, Means


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(app)(consolidate)
    verb(app)(distill)


AllUsers = Annotated[bool, typer.Option("--all-users", help="With --if-due: every user of the store.")]
IfDue = Annotated[bool, typer.Option("--if-due", help="Only when it is due; else exit code 3.")]


def consolidate(
    place: Place,
    if_due: IfDue = False,
    all_users: AllUsers = False,
    min_new: Least = 1,
    every: Every = None,
    idle: Idle = None,
    budget: Budget = None,
    heat: Heat = None,
    extractor: Annotated[
        str | None,
        typer.Option(help="offline, local, openai:NAME or PROVIDER:NAME [MEMORY_AGENT_EXTRACTOR, else offline]."),
    ] = None,
    tokens: Annotated[int | None, typer.Option(min=1, help="Most tokens such a model may take in this run.")] = None,
    money: Annotated[
        float | None, typer.Option(min=0, help="Most it may cost, by MEMORY_AGENT_EXTRACTOR_PRICE_IN and _OUT.")
    ] = None,
) -> None:
    """Read new turns into the knowledge graph: offline by rules, or by a chat model."""
    reading: dict[str, Any] = {"extractor": extractor, "extractor_tokens": tokens, "extractor_money": money}
    if if_due:
        due = conditions(least=min_new, every=every, idle=idle, budget=budget, heat=heat)
        _run_if_due(place, "consolidate", due, _show_read_report, all_users=all_users, given=reading)
        return
    with place.memory(**reading) as memory, place.progress("Consolidating") as progress:
        report = memory.consolidate(progress=progress)
    place.emit(report, lambda out: _show_read(out, report))
    if report.failed:
        raise typer.Exit(exits.FAILED)


def distill(
    place: Place,
    if_due: IfDue = False,
    all_users: AllUsers = False,
    min_new: Least = 1,
    every: Every = None,
    idle: Idle = None,
    budget: Budget = None,
    deadline: Deadline = None,
    seed: Annotated[int, typer.Option(help="Seed of rows and training.")] = 0,
    trainer: Annotated[
        str | None, typer.Option(help="lora, prefix, command, export, openai, or a plugin's [MEMORY_AGENT_TRAINER].")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Of the trainer, as NAME=VALUE; again for more.")
    ] = None,
    recipe: RecipeOptions = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="Only write the job folders, for training them elsewhere.")
    ] = False,
) -> None:
    """Put what is stable into the weights of a small local model; exit code 4 when the gate refuses."""
    if if_due:
        due = conditions(least=min_new, every=every, idle=idle, budget=budget, deadline=deadline)
        from memory_agent.scheduling import Means

        means = Means(trainer=_trainer(place, trainer, option), recipe=pairs.recipe(recipe), seed=seed)
        _run_if_due(place, "distill", due, _show_taught_report, means, all_users=all_users)
        return
    chosen = _trainer(place, trainer, option)
    if prepare:
        _prepare(place, seed, chosen, pairs.recipe(recipe))
        return
    with place.memory() as memory, place.progress("Distilling") as progress:
        report = memory.distill(recipe=pairs.recipe(recipe), seed=seed, trainer=chosen, progress=progress)
    place.emit(report, lambda out: _show_taught(out, report))
    if not report.promoted:
        raise typer.Exit(exits.REFUSED)


def _trainer(place: Place, name: str | None, options: list[str] | None) -> Trainer:
    """The trainer of that name, or the settings', with options as NAME=VALUE; a value that is JSON is read as such."""
    from memory_agent.distillation.trainers import trainer_of

    given = pairs.pairs("--option", options)
    return trainer_of(Settings.load(store=place.store, user=place.user, tenant=place.tenant), name, **given)


def _prepare(place: Place, seed: int, trainer: Trainer, recipe: Recipe | None) -> None:
    """Write the job folders of the shards that are to be trained, and say where."""
    from memory_agent.scheduling.launch import prepare_jobs

    with place.memory() as memory, place.progress("Preparing") as progress:
        made = prepare_jobs(memory.space, recipe=recipe, seed=seed, trainer=trainer, progress=progress)
        folders = [str(folder) for folder in made]

    def tell(out: Console) -> None:
        for folder in folders or ["Nothing is to be trained."]:
            out.print(folder, markup=False, soft_wrap=True)

    place.emit({"jobs": folders}, tell)
    if not folders:
        raise typer.Exit(exits.NOT_DUE)


def _run_if_due(
    place: Place,
    job: Job,
    due: Conditions,
    show: Callable[[Console, Mapping[str, Any]], None],
    means: Means | None = None,
    *,
    all_users: bool,
    given: Mapping[str, Any] | None = None,
) -> None:
    """Run the job where it is due, say what came of it, and leave with the exit code of the gravest ending."""
    from memory_agent.cli.running import keys_of, space_of
    from memory_agent.errors import MemoryAgentError, ScopeRequired
    from memory_agent.memories import Memories
    from memory_agent.scheduling import Means, Outcome, run_if_due

    settings = Settings.load(store=place.store, user=place.user, tenant=place.tenant, **(given or {}))
    if not all_users and not settings.user:
        raise ScopeRequired("name a user (--user alice), or say --all-users")
    users = Place(store=place.store, user=None if all_users else settings.user, tenant=place.tenant)
    outcomes: dict[str, Outcome] = {}
    with Memories(settings=settings) as memories, place.progress(job.capitalize()) as progress:
        for key in keys_of(memories, users):
            try:
                space = space_of(memories, key)
                outcomes[key] = run_if_due(space, job, due, means=means or Means(), progress=progress)
            except MemoryAgentError as error:
                if not all_users:
                    raise
                outcomes[key] = Outcome.failed(job, error)

    def tell(out: Console) -> None:
        for key, outcome in outcomes.items():
            whose = f"{key}: " if all_users else ""
            out.print(f"{whose}{_ENDINGS[outcome.ending]}: {outcome.reason}.", markup=False)
            if outcome.report:
                show(out, outcome.report)

    said = [{"space": key, "due": o.ending not in ("not_due", "locked"), **asdict(o)} for key, o in outcomes.items()]
    place.emit(said if all_users else said[0], tell)
    endings = {outcome.ending for outcome in outcomes.values()}
    if code := exits.OF_ENDING[next((each for each in _GRAVEST if each in endings), "not_due")]:
        raise typer.Exit(code)


_GRAVEST = ("failed", "stopped", "refused", "done", "locked", "not_due")
_ENDINGS = {
    "done": "Due",
    "refused": "Due",
    "failed": "Due",
    "not_due": "Not due",
    "locked": "Locked",
    "stopped": "Stopped",
}


def _show_read(out: Console, report: ConsolidationReport) -> None:
    out.print(
        f"[bold]{report.episodes}[/] turns read in {report.seconds:.1f} s: {report.claims} claims, "
        f"{len(report.facts_added)} facts added, {len(report.facts_changed)} changed, "
        f"{len(report.facts_closed)} closed, {report.entities_added} new entities."
    )
    if report.tokens:
        out.print(f"{report.extractor} took {report.tokens} tokens, {report.money:.4f} by its prices.", markup=False)
    if report.rejected:
        reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(report.rejected.items()))
        out.print(f"refused: {reasons}", style="dim", markup=False)
    for id, error in report.failed.items():
        out.print(f"still pending {id}: {error}", style="red", markup=False)


def _show_read_report(out: Console, report: Mapping[str, Any]) -> None:
    _show_read(out, ConsolidationReport(**report))


def _show_taught_report(out: Console, report: Mapping[str, Any]) -> None:
    _show_taught(out, DistillationReport(**report))


def _show_taught(out: Console, report: DistillationReport) -> None:
    verdict = "[bold green]promoted[/]" if report.promoted else "[bold red]refused by the gate[/]"
    out.print(
        f"{verdict}: {len(report.facts)} facts, {report.rows} rows, {report.tokens} tokens, {report.seconds:.0f} s."
    )
    for reason in report.reasons:
        out.print(f"  {reason}", markup=False)
    for adapter in report.adapters:
        out.print(f"  adapter {adapter}", style="dim", markup=False)
    if report.refused:
        counts = Counter(report.refused.values())
        left = ", ".join(f"{n} {why}" for why, n in sorted(counts.items()))
        out.print(f"left out: {left}", style="dim", markup=False)
