"""Verbs of trust: `review list|approve|reject`, `audit list|verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli import exits
from memory_agent.cli.place import Place, verb

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.records import Fact

review_app = typer.Typer(help="Facts that wait for a person before they go into weights.", no_args_is_help=True)
audit_app = typer.Typer(help="The chain of what was done to a memory; ids and hashes only.", no_args_is_help=True)

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of facts, from `review list`.")]
Source = Annotated[str | None, typer.Option(help="Those of this source: a speaker, or what turns name.")]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(review_app, "list")(waiting)
    verb(review_app)(approve)
    verb(review_app)(reject)
    app.add_typer(review_app, name="review")
    verb(audit_app, "list")(entries)
    verb(audit_app, "verify")(verify_chain)
    app.add_typer(audit_app, name="audit")


def waiting(place: Place, source: Source = None) -> None:
    """List what waits: alarms first, each with the reason and who says it."""
    from memory_agent.distillation.review import ALARM
    from memory_agent.distillation.selection import REASONS

    with place.memory() as memory:
        found = memory.review.waiting(source)

    def show(out: Console) -> None:
        for one in found:
            means = "it stands against what others say, and is not believed" if one.reason == ALARM else (
                REASONS[one.reason]
            )  # fmt: skip
            out.print(f"{one.fact.id}  {one.fact.text}", markup=False)
            out.print(f"  said by {', '.join(one.sources)}; {one.reason}: {means}", markup=False)
        out.print(f"{len(found)} waiting." if found else "Nothing waits.")

    place.emit(found, show)


def approve(place: Place, ids: Ids = None, source: Source = None) -> None:
    """Let facts count as the user's own word; with --source all that wait of it, alarms apart."""
    _decide(place, ids, source, approved=True)


def reject(place: Place, ids: Ids = None, source: Source = None) -> None:
    """Withdraw facts: they fall in the graph and in weights; the turns stay as they were said."""
    _decide(place, ids, source, approved=False)


def _decide(place: Place, ids: list[str] | None, source: str | None, *, approved: bool) -> None:
    from memory_agent.distillation.review import ALARM

    with place.memory() as memory:
        chosen = list(ids or ())
        if source is not None:
            chosen += [w.fact.id for w in memory.review.waiting(source) if not approved or w.reason != ALARM]
        decided: list[Fact] = []
        if chosen or source is None:
            decided = memory.review.approve(*chosen) if approved else memory.review.reject(*chosen)
    word = "Approved" if approved else "Rejected"

    def show(out: Console) -> None:
        for fact in decided:
            out.print(f"{word} {fact.id}  {fact.text}", markup=False)
        if not decided:
            out.print("Nothing waits of that source.")

    place.emit(decided, show)


def entries(place: Place) -> None:
    """List what was done to the memory, oldest first."""
    with place.memory() as memory:
        found = memory.space.ledger.audit_chain()

    def show(out: Console) -> None:
        for entry in found:
            out.print(f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.actor} {entry.action} {' '.join(entry.ids)}", markup=False)

    place.emit(found, show)


def verify_chain(
    place: Place,
    head: Annotated[
        str | None, typer.Option(help="The head that an earlier `audit verify` gave: the chain must still hold it.")
    ] = None,
) -> None:
    """Check every link of the chain and name the first that is broken; exit code 1 when one is."""
    with place.memory() as memory:
        found = memory.audit(head)

    def show(out: Console) -> None:
        if found.whole:
            out.print(f"Whole: {found.entries} entries, head {found.head}", style="green", markup=False)
        else:
            out.print(f"Broken at entry {found.broken} of {found.entries}: {found.problem}", style="red", markup=False)

    place.emit(found, show)
    if not found.whole:
        raise typer.Exit(exits.FAILED)
