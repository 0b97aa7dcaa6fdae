"""Verbs that look after a store: `forget`, `expire`, `keep`, `doctor`, `rebuild`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli import exits
from memory_agent.cli.place import Place, verb
from memory_agent.cli.show import amounts

if TYPE_CHECKING:
    from rich.console import Console

_TOLD = 5
"""Most records of a kind that are told by id, not by number."""


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (forget, expire, keep, doctor, rebuild):
        verb(app)(function)


def forget(
    place: Place,
    id: Annotated[str, typer.Argument(help="A turn, a fact, an entity, session:NAME or user:NAME.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit, so name no content.")] = "asked for",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
) -> None:
    """Forget something everywhere: turns, facts, vectors, and the weights that knew it."""
    with place.memory() as memory:
        report = memory.forget(id, reason=reason, dry_run=dry_run)

    def show(out: Console) -> None:
        gone = amounts({kind: len(ids) for kind, ids in report.forgotten.items()})
        out.print(f"{'Would forget' if report.dry_run else 'Forgot'} {gone}.", markup=False)
        for ids in report.forgotten.values():
            if len(ids) <= _TOLD:
                out.print(f"  {', '.join(ids)}", markup=False)
        for title, ids in (("cut out of", report.redacted), ("switched off", report.adapters_off)):
            if ids:
                out.print(f"  {title}: {', '.join(ids)}", markup=False)

    place.emit(report, show)


def expire(
    place: Place,
    rule: Annotated[
        list[str] | None, typer.Option(help="As episode=365d or fact:volatile=90d; the last that fits decides.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go, and why.")] = False,
) -> None:
    """Forget what has expired by the rules given, or by those in MEMORY_AGENT_EXPIRE."""
    with place.memory() as memory:
        report = memory.retention.expire(rule, dry_run=dry_run)

    def show(out: Console) -> None:
        for word, found in (("would go" if dry_run else "gone", report.due), ("spared", report.spared)):
            for id, why in found.items():
                out.print(f"{word}: {id} ({why})", markup=False)
        kinds = amounts({kind: len(ids) for kind, ids in report.forgotten.items()})
        out.print(f"{'Would forget' if dry_run else 'Forgot'} {kinds}.", markup=False)

    place.emit(report, show)


def keep(
    place: Place,
    id: Annotated[str, typer.Argument(help="A turn or a fact.")],
    off: Annotated[bool, typer.Option("--off", help="Let it go again.")] = False,
) -> None:
    """Keep a turn or a fact from expiring; a fact is kept with the turns it rests on."""
    with place.memory() as memory:
        memory.retention.keep(id, not off)
    place.emit({"id": id, "kept": not off}, lambda out: out.print("Let go." if off else "Kept.", markup=False))


def doctor(
    place: Place,
    repair: Annotated[bool, typer.Option("--repair", help="Make anew what is derived and wrong.")] = False,
) -> None:
    """Check that a store is whole, of one user or of all; exit code 1 when it is not."""
    from memory_agent.cli.running import keys_of, space_of
    from memory_agent.config import Settings
    from memory_agent.doctor import examine
    from memory_agent.memories import Memories

    settings = Settings.load(store=place.store, tenant=place.tenant)
    with Memories(settings=settings) as memories:
        keys = keys_of(memories, replace(place, user=place.user or settings.user or None))
        found = examine(memories.backend, [space_of(memories, key) for key in keys], repair=repair)

    def show(out: Console) -> None:
        out.print(amounts(found.records) if any(found.records.values()) else "The store is empty.", markup=False)
        for kind, position in found.indexed_to.items():
            out.print(f"{kind} vectors true to position {position} of {found.position}", markup=False)
        for problem in found.problems:
            state = "mended" if problem.repaired else "can be mended with --repair" if problem.repairable else ""
            words = f"{problem.invariant}: {problem.space} {problem.what}".replace("  ", " ")
            out.print(f"{words} ({state})" if state else words, style="red", markup=False)
        if found.whole:
            out.print("The store is whole.", style="green")

    place.emit({**found.model_dump(), "whole": found.whole}, show)
    if not found.whole:
        raise typer.Exit(exits.FAILED)


def rebuild(place: Place) -> None:
    """Build the vector index anew from the ledger, as after a change of the embedder."""
    from memory_agent.records import Episode, Fact

    with place.memory(rebuild=True) as memory:
        index = memory.space.index
        found = {kind.kind: index.count(kind.kind) for kind in (Episode, Fact)}
    place.emit(found, lambda out: out.print(", ".join(f"{n} {kind}s" for kind, n in found.items()) + " embedded anew."))
