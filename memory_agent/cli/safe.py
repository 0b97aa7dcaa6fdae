"""Verbs that keep a whole store safe: `backup`, `restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli.place import Place, verb

if TYPE_CHECKING:
    from rich.console import Console

KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", help="File with the secret it is encrypted with [MEMORY_AGENT_BACKUP_KEY_FILE]."),
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (backup, restore):
        verb(app)(function)


def backup(
    place: Place,
    file: Annotated[Path, typer.Argument(help="The new file; none is ever overwritten.")],
    key_file: KeyFile = None,
    no_vectors: Annotated[bool, typer.Option("--no-vectors", help="Smaller; what is restored embeds anew.")] = False,
) -> None:
    """Back the store up while it is in use, or one user's memory, to a file; read back before it gets its name."""
    from memory_agent.backup import backup as make
    from memory_agent.backup import key_of
    from memory_agent.config import Settings
    from memory_agent.space import space_key

    settings = Settings.load(store=place.store, tenant=place.tenant)
    only = space_key(settings.tenant, place.user) if place.user else None
    with place.progress("backup") as progress:
        report = make(
            settings.store, file, key=key_of(settings, key_file), space=only, vectors=not no_vectors, progress=progress
        )

    def show(out: Console) -> None:
        kinds = ", ".join(f"{n} {kind}" for kind, n in report.rows.items()) or "nothing"
        out.print(f"{report.path}: {len(report.spaces)} spaces, {kinds}, {report.vectors} vectors", markup=False)
        out.print(f"{report.bytes} bytes, {'encrypted' if report.encrypted else 'not encrypted'}, read back whole.")
        for sha in report.missing:
            out.print(f"The files of adapter {sha} were gone or altered; distil anew.", style="red", markup=False)

    place.emit(report, show)


def restore(
    place: Place,
    file: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    key_file: KeyFile = None,
    forgotten: Annotated[
        str | None, typer.Option(help="A later store or backup: what was forgotten since is forgotten again.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only read the backup whole and say what it holds.")] = False,
) -> None:
    """Put a backup back into a store that holds none of it; the backup is read whole before anything is touched."""
    from memory_agent.backup import key_of, verify
    from memory_agent.backup import restore as put_back
    from memory_agent.config import Settings

    settings = Settings.load(store=place.store, tenant=place.tenant)
    key = key_of(settings, key_file)
    if check:
        found = verify(file, key=key)

        def told(out: Console) -> None:
            out.print(f"{file} is whole: made at {found.made_at.isoformat()} by {found.version}", markup=False)
            for each in found.spaces:
                rows = ", ".join(f"{n} {kind}" for kind, n in each.rows.items())
                out.print(f"  {each.key}: {rows}, {len(each.adapters)} adapters", markup=False)

        place.emit(found.model_dump(exclude={"members"}), told)
        return
    with place.progress("restore") as progress:
        report = put_back(file, settings.store, key=key, forgotten=forgotten, settings=settings, progress=progress)

    def show(out: Console) -> None:
        kinds = ", ".join(f"{n} {kind}" for kind, n in report.rows.items()) or "nothing"
        out.print(
            f"{settings.store} is as it was at {report.made_at}: {len(report.spaces)} spaces, {kinds}", markup=False
        )
        if report.already_there:
            out.print(f"There already, row for row: {', '.join(report.already_there)}", markup=False)
        for kind, ids in report.forgotten_again.items():
            out.print(f"Forgotten again: {len(ids)} {kind}", markup=False)
        if report.redacted_again:
            out.print(f"Cut again: {len(report.redacted_again)} turns", markup=False)

    place.emit(report, show)
