"""Verbs for what a person may ask for: `privacy export|erase|check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli import exits
from memory_agent.cli.place import Place, verb
from memory_agent.cli.reading import text_of
from memory_agent.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.encryption import Key

privacy_app = typer.Typer(help="What a person may ask for: their data, and that it be erased.", no_args_is_help=True)

KeyFile = Annotated[Path | None, typer.Option(help="A file with a key of yours, which only you may read.")]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (export, erase, check):
        verb(privacy_app)(function)
    app.add_typer(privacy_app, name="privacy")


def _key(file: Path | None) -> Key | None:
    from memory_agent.encryption import Key

    return Key.from_file(file) if file else None


def export(
    place: Place,
    file: Annotated[Path, typer.Argument(help="The archive to write, a zip; it must not be there yet.")],
    key_file: KeyFile = None,
) -> None:
    """Write everything that is kept of a user into one archive, encrypted if a key is given."""
    with place.memory() as memory:
        found = memory.privacy.export(file, key=_key(key_file))
    place.emit(
        found, lambda out: out.print(f"Wrote {found.records} records, {len(found.files)} files to {file}", markup=False)
    )


def erase(
    place: Place,
    target: Annotated[str, typer.Argument(help="An id, session:NAME, or user:NAME for everything.")],
    certificate: Annotated[Path, typer.Option(help="Where to write the certificate; it must not be there yet.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the audit, so name no content.")] = "asked for",
    key_file: KeyFile = None,
) -> None:
    """Erase something everywhere and certify what was found afterwards; exit code 1 when anything is left."""
    key = _key(key_file)
    with place.memory() as memory:
        try:
            paper = certificate.open("x", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"cannot write {certificate}: {error.strerror or error}") from error
        try:
            with paper:
                found = memory.privacy.erase(target, reason=reason, key=key)
                paper.write(found.model_dump_json(indent=2) + "\n")
        except BaseException:
            certificate.unlink(missing_ok=True)
            raise

    def show(out: Console) -> None:
        for kind, ids in found.removed.items():
            out.print(f"Erased {len(ids)} {kind}.", markup=False)
        searched = found.residue
        out.print(
            f"Looked for {searched.pieces} pieces in {searched.files} files, {searched.bytes} bytes: "
            f"{searched.found} found.", markup=False,
        )  # fmt: skip
        out.print("Nothing of it is left." if found.clean else "Something is left; the certificate says where.")

    place.emit(found, show)
    if not found.clean:
        raise typer.Exit(exits.FAILED)


def check(
    place: Place,
    file: Annotated[Path, typer.Argument(help="A certificate of erasure.")],
    key_file: Annotated[Path, typer.Option(help="The file with the key that it was signed with.")],
) -> None:
    """Check that a certificate was signed with a key and not altered since; exit code 2 when not."""
    from memory_agent import privacy
    from memory_agent.encryption import Key

    found = privacy.check(text_of(file), Key.from_file(key_file))
    place.emit(found, lambda out: out.print(f"Signed: {found.target} of {found.user}, {found.at:%Y-%m-%d %H:%M}."))
