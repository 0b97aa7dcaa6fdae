"""Verbs that tend the graph and carry it: `entities`, `summary`, `merge`, `split`, `verify`, `export`, `import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli import exits
from memory_agent.cli.place import Place, verb
from memory_agent.cli.reading import text_of
from memory_agent.errors import InvalidInput
from memory_agent.records import Entity

if TYPE_CHECKING:
    from rich.console import Console


FORMATS = ("jsonl", "graphml", "turtle", "csv")


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (entities, summary, merge, split, verify, export):
        verb(app)(function)
    verb(app, "import")(import_)


def entities(place: Place) -> None:
    """List the entities: who and what facts are about, by which names, and what was merged into what."""
    from memory_agent.records import Entity

    with place.memory() as memory:
        found = sorted(memory.space.ledger.select(Entity), key=lambda e: (e.name.casefold(), e.id))

    def show(out: Console) -> None:
        for entity in found:
            also = f" (also {', '.join(entity.aliases)})" if entity.aliases else ""
            into = f", merged into {entity.merged_into}" if entity.merged_into else ""
            out.print(f"{entity.id}  {entity.name}{also}, {entity.type}{into}", markup=False)

    place.emit(found, show)


def summary(
    place: Place,
    about: Annotated[str | None, typer.Argument(help="A name, an entity's id or session:NAME; all without it.")] = None,
) -> None:
    """Say in a few sentences what is known of somebody, or was said in a session; each sentence with its proof."""
    with place.memory() as memory:
        found = memory.summaries(about)
        names = {entity.id: f"{entity.name} ({entity.id})" for entity in memory.space.ledger.select(Entity)}

    def show(out: Console) -> None:
        for each in found:
            out.print(names.get(each.about, each.about), style="bold", markup=False)
            for line in each.lines:
                out.print(f"  {line.text} [{line.proof}: {', '.join(line.of)}]", markup=False)

    place.emit(found, show)


def merge(
    place: Place,
    id: Annotated[str, typer.Argument(help="The entity that is another: its id, full name or alias.")],
    into: Annotated[str, typer.Argument(help="The entity that it is.")],
) -> None:
    """Say that two entities are one. `split` takes it back, and the graph is as before."""
    with place.memory() as memory:
        found = memory.merge(id, into)
    place.emit(found, lambda out: out.print(f"{id} is {found.name} ({found.id}) from now on.", markup=False))


def split(
    place: Place,
    id: Annotated[str, typer.Argument(help="The entity that was merged: its id, or the name of its own.")],
) -> None:
    """Take a merge back."""
    with place.memory() as memory:
        found = memory.split(id)
    place.emit(found, lambda out: out.print(f"{found.name} ({found.id}) is on its own again.", markup=False))


def verify(
    place: Place,
    forgotten: Annotated[
        str | None, typer.Option("--forgotten", help="What `forget` was given: an id, session:NAME ...")
    ] = None,
    unlearned: Annotated[
        str | None,
        typer.Option("--unlearned", help="A fact's id: rebuild the weights and compare. Takes as long as training."),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Option("--word", help="Look for these bytes in every file of the store, too.")
    ] = None,
) -> None:
    """Prove that something was forgotten everywhere, or is out of the weights; exit code 1 when it is not."""
    if (forgotten is None) is (unlearned is None):
        raise InvalidInput("say --forgotten ID, or --unlearned FACT")
    if unlearned is not None:
        _verify_unlearned(place, unlearned)
        return
    assert forgotten is not None
    with place.memory() as memory:
        found = memory.verify(forgotten, words=words or ())

    def show(out: Console) -> None:
        if not found.forgotten:
            out.print("No tombstone: nothing of that id was ever forgotten here.", style="red")
        for title, left in (
            ("still stands as", found.standing),
            ("is still named by", found.referring),
            ("still has vectors of", found.indexed),
        ):
            if left:
                out.print(f"{forgotten} {title} {', '.join(left)}", style="red", markup=False)
        for word, paths in found.residue.items():
            out.print(f"{word!r} stands in {', '.join(paths)}", style="red", markup=False)
        if found.clean:
            out.print("Gone: no record, no reference, no vector" + (", no byte." if words else "."), style="green")

    place.emit({**found.model_dump(mode="json"), "clean": found.clean}, show)
    if not found.clean:
        raise typer.Exit(exits.FAILED)


def _verify_unlearned(place: Place, fact: str) -> None:
    """Rebuild the serving adapters from the graph as it stands, and compare their hashes."""
    from memory_agent.distillation.unlearning import verify_unlearned

    with place.memory() as memory, place.progress("Rebuilding") as progress:
        found = verify_unlearned(memory.space, fact, progress=progress)

    def show(out: Console) -> None:
        for adapter, rebuilt in found.rebuilt.items():
            equal = "is" if adapter == rebuilt else "is NOT"
            out.print(f"{adapter} {equal} the build of a graph without the fact: {rebuilt}", markup=False)
        for problem in found.problems:
            out.print(problem, style="red", markup=False)
        if found.proven:
            out.print("Unlearned: nothing in the weights depends on it.", style="green")

    place.emit(found, show)
    if not found.proven:
        raise typer.Exit(exits.FAILED)


def export(
    place: Place,
    file: Annotated[Path, typer.Argument(help="Where to write it; csv makes FILE.entities.csv, FILE.facts.csv ....")],
    format: Annotated[
        str, typer.Option(help="jsonl (JSON Lines), graphml, turtle or csv; each holds everything.")
    ] = "jsonl",
    current: Annotated[
        bool,
        typer.Option(
            "--current", help="Of the graph, only what is believed now; not for jsonl, and not to be read back."
        ),
    ] = False,
) -> None:
    """Write the memory out: whole as JSON Lines, or its graph for other tools. Each can be read back."""
    from memory_agent.exchange import graphs, lines

    if format not in FORMATS:
        raise InvalidInput(f"--format is one of {', '.join(FORMATS)}, not {format!r}")
    with place.memory() as memory:
        if format == "jsonl":
            texts = {"": "".join(lines.write(memory.space))}
        else:
            texts = graphs.write(graphs.Graph.in_space(memory.space, versions=not current), format)
    written = []
    for suffix, text in texts.items():
        path = file if not suffix else file.with_name(f"{file.name}.{suffix}.csv")
        path.write_text(text, encoding="utf-8", newline="")
        written.append(str(path))
    for stale in _tables(file).values() if format == "csv" else ():
        if str(stale) not in written:
            stale.unlink()  # of an export that this one writes over; it would be read back with it
    place.emit({"format": format, "files": written}, lambda out: out.print(f"Wrote {', '.join(written)}", markup=False))


def import_(
    place: Place,
    file: Annotated[Path, typer.Argument(help="An export: our JSON Lines, or another memory's JSON.")],
    origin: Annotated[str, typer.Option("--from", help="slowwave, mem0, zep, letta or langmem.")] = "slowwave",
    format: Annotated[str, typer.Option(help="Of our own export: jsonl, graphml, turtle or csv.")] = "jsonl",
) -> None:
    """Read an export in: our own into an empty memory, another's as turns that the next `consolidate` reads."""
    from memory_agent.faces import OURS, read_in

    if format not in FORMATS or (origin != OURS and format != "jsonl"):
        raise InvalidInput(f"--format is one of {', '.join(FORMATS)} and of our own exports, not {format!r}")
    tables = _tables(file) if format == "csv" else {"": file}
    texts = {name: text_of(path) for name, path in tables.items()}
    with place.memory() as memory:
        counted = read_in(memory.space, texts, origin, format)
    found = {what.replace("_", " "): number for what, number in counted.items()}
    place.emit(found, lambda out: out.print(", ".join(f"{n} {what}" for what, n in found.items() if n), markup=False))


def _tables(file: Path) -> dict[str, Path]:
    """The tables that `export --format csv FILE` made, by name; entities and facts are always among them."""
    from memory_agent.exchange.graphs import TABLES

    paths = {name: file.with_name(f"{file.name}.{name}.csv") for name in TABLES.values()}
    return {name: path for name, path in paths.items() if path.exists() or name in ("entities", "facts")}
