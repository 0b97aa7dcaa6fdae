"""Verbs for whoever runs it: `move`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli.place import Place, verb

if TYPE_CHECKING:
    from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(app)(move)


def move(
    place: Place,
    source: Annotated[str, typer.Argument(help="Path or URL of the store to read.")],
    target: Annotated[str, typer.Argument(help="Path or URL of the store to fill.")],
) -> None:
    """Copy a store into another kind of store, without loss; with --user only that user's memories."""
    from memory_agent.config import Settings
    from memory_agent.moving import move as move_store
    from memory_agent.space import space_key

    settings = Settings.load(tenant=place.tenant)
    space = space_key(settings.tenant, place.user) if place.user else None
    with place.progress("Moving") as progress:
        report = move_store(source, target, space=space, progress=progress)

    def show(out: Console) -> None:
        rows = ", ".join(f"{n} {kind}" for kind, n in report.rows.items()) or "nothing"
        out.print(f"{len(report.spaces)} spaces: {rows}, {report.vectors} vectors, {report.files} files.", markup=False)
        if report.already_there:
            out.print(f"{len(report.already_there)} were there already.", markup=False)
        out.print("The source is as it was; remove it when you no longer need it.", style="dim")

    place.emit(report, show)
