"""Verbs that look at the graph and into records: `graph`, `show`, `explain`, `history`, `diff`, `inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli.place import Place, verb
from memory_agent.cli.show import escape, line, record_json, why_nothing
from memory_agent.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import networkx as nx
    from rich.console import Console

    from memory_agent.memory import Memory
    from memory_agent.records import Fact

AsOf = Annotated[str | None, typer.Option("--as-of", help="What was true then: 2024, 2024-03 or 2024-03-14.")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="What was believed then, likewise.")]


class Format(StrEnum):
    """How a graph is written."""

    table = "table"
    mermaid = "mermaid"
    dot = "dot"
    graphml = "graphml"
    html = "html"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (graph, show, explain, history, diff, inspect):
        verb(app)(function)


def graph(
    place: Place,
    format: Annotated[Format, typer.Option("--format", help="How to write it.")] = Format.table,
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Short for --format html --out FILE.")] = None,
    around: Annotated[str | None, typer.Option("--around", help="Only near this person or thing.")] = None,
    hops: Annotated[int, typer.Option("--hops", min=1, help="How near: facts away from it.")] = 1,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    past: Annotated[bool, typer.Option("--past", help="Also what holds no more.")] = False,
    implied: Annotated[
        bool, typer.Option("--implied", help="Also what follows: an office in Leipzig is in Saxony, if Leipzig is.")
    ] = False,
) -> None:
    """Show the knowledge graph, or write it for another tool or as a page to look at."""
    if html is not None:
        if out is not None or format is not Format.table:
            raise InvalidInput("--html FILE stands for --format html --out FILE: leave those away")
        format, out = Format.html, html
    if format is Format.html and out is None:
        raise InvalidInput("a page is written to a file: graph --html graph.html")
    with place.memory(existing=True) as memory:
        # The page has sliders of its own, so it gets what is past as well.
        past = past or (format is Format.html and as_of is None)
        found = memory.graph(as_of=as_of, known_at=known_at, past=past, implied=implied)
        if around is not None:
            found = _near(memory, found, around, hops)
        user, hint = memory.space.user, "" if found.number_of_edges() else why_nothing(memory)
    text = "" if format is Format.table else _written(found, format, f"What {user}'s memory holds")
    if out is not None:
        write(out, text if text else _plain(found))
    nodes = [{"id": node, **data} for node, data in found.nodes(data=True)]
    edges = [data for _, _, data in found.edges(data=True)]

    def show(console: Console) -> None:
        if out is not None:
            console.print(f"{len(nodes)} nodes and {len(edges)} facts in {out}", markup=False)
        elif text:
            typer.echo(text, nl=False)
        else:
            console.print(_table(edges) if edges else f"The graph is empty. {hint}".rstrip(), markup=bool(edges))

    shown = {"text": text} if text and out is None else {"nodes": nodes, "edges": edges}
    place.emit({"format": format.value, "file": str(out) if out else None, **shown}, show)


def _near(memory: Memory, found: nx.MultiDiGraph, around: str, hops: int) -> nx.MultiDiGraph:
    """What lies within `hops` facts of the named entity. Raises NotFound for a name that nobody bears."""
    import networkx as nx

    from memory_agent.semantic.entities import Directory

    starts = [entity.id for entity in Directory.of(memory.space.ledger).find(around)]
    if not starts:
        raise NotFound(f"nobody and nothing is called {around!r} in the memory of {memory.space.user!r}")
    near: set[str] = set()
    for start in starts:
        if start in found:
            near |= set(nx.ego_graph(found, start, radius=hops, undirected=True))
    return found.subgraph(near)


def _written(found: nx.MultiDiGraph, format: Format, title: str) -> str:
    from memory_agent import views
    from memory_agent.views import formats

    if format is Format.html:
        return views.graph_html(found, title=title)
    writers = {Format.mermaid: formats.mermaid, Format.dot: formats.dot, Format.graphml: formats.graphml}
    return writers[format](found)


def write(file: Path, text: str) -> None:
    """Write a file of the user's. Raises InvalidInput, naming it, when it cannot be."""
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"cannot write {file}: {error.strerror}") from error


def _table(edges: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    from memory_agent.records import Fact
    from memory_agent.semantic import ontology
    from memory_agent.views import times
    from memory_agent.views.formats import edge_label

    terms = ontology.load()
    table = Table("subject", "predicate", "object", "true", "status", box=None, pad_edge=False)
    for edge in edges:
        when = times.period(Fact.model_validate(edge), terms)
        table.add_row(escape(edge["subject"]), edge_label(edge), escape(edge["object"]), when, edge["status"])
    return table


def _plain(found: nx.MultiDiGraph) -> str:
    """The table for a file: a fact a line, its parts parted by tabs."""
    rows = (data for _, _, data in found.edges(data=True))
    parts = ("id", "subject", "predicate", "object", "valid_from", "valid_to", "status")
    return "".join("\t".join(" ".join(str(row[p] or "").split()) for p in parts) + "\n" for row in rows)


def show(place: Place, id: Annotated[str, typer.Argument(help="Any record's id.")]) -> None:
    """Show one record whole: its words, its versions, which adapters know it, why it was not taught."""
    from memory_agent.views.record import record_view
    from memory_agent.views.snapshot import Snapshot

    with place.memory(existing=True) as memory:
        found = record_view(Snapshot.of(memory.space), id)

    def tell(out: Console) -> None:
        out.print(f"{found['kind']} {found['title']}", style="bold", markup=False)
        for name, value in found["fields"]:
            out.print(f"  {name}: {value}", markup=False)
        for source in found.get("sources", ()):
            out.print(f"  “{source['quote']}” {source['speaker']}, {source['day']} [{source['episode']}]", markup=False)
        for part in ("versions", "rests_on", "supports"):
            for row in found[part]:
                out.print(f"  {part.replace('_', ' ')}: {row['kind']} {row['id']}  {row['text']}", markup=False)
        for adapter in found["adapters"]:
            out.print(f"  known to adapter {adapter['id'][:12]} ({adapter['state']})", markup=False)
        if found["taught"]:
            out.print(f"  teaching: {found['taught']}", style="dim", markup=False)

    place.emit(found, tell)


def explain(place: Place, id: Annotated[str, typer.Argument(help="Any record's id.")]) -> None:
    """Show what a record rests on and what rests on it."""
    with place.memory(existing=True) as memory:
        found = memory.explain(id)

    def show(out: Console) -> None:
        first, _, rest = found.text.partition("\n")
        out.print(first, style="bold", markup=False)
        if rest:
            out.print(rest, markup=False)

    place.emit(
        {
            "text": found.text,
            "record": record_json(found.record),
            "rests_on": [record_json(r) for r in found.rests_on],
            "supports": [record_json(r) for r in found.supports],
        },
        show,
    )


def history(place: Place, id: Annotated[str, typer.Argument(help="Any record's id.")]) -> None:
    """Show every version of a record, oldest first."""
    with place.memory(existing=True) as memory:
        versions = memory.history(id)

    def show(out: Console) -> None:
        for version in versions:
            out.print(f"{version.kind} {line(version)}", markup=False)

    place.emit([record_json(version) for version in versions], show)


def diff(
    place: Place,
    since: Annotated[str | None, typer.Option("--from", help="A date, an instant, or a run: before it.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="A date, an instant, or a run: after it.")] = None,
) -> None:
    """Show what was learnt between two moments; by default what the last consolidation changed, and all since."""
    from memory_agent.semantic import changes
    from memory_agent.views.record import proposed, why_refused

    with place.memory(existing=True) as memory:
        found = changes.diff(memory.space, since, until)
        texts = {fact.id: fact.text for fact in memory.facts()}

    def show(out: Console) -> None:
        out.print(f"from {found.since:%Y-%m-%d %H:%M:%S} to {found.until:%Y-%m-%d %H:%M:%S} UTC", style="dim")
        marks = {"added": ("+", "green"), "changed": ("~", "cyan"), "confirmed": ("=", "dim"), "closed": ("-", "red")}
        marks |= {"stale": ("?", "yellow"), "disputed": ("!", "yellow")}
        for name, (mark, style) in marks.items():
            for fact in getattr(found, name):
                out.print(f"{mark} {name:9} {_told(fact, texts)}", style=style, markup=False)
        for refused in found.rejected:
            told = f"x rejected  {proposed(refused)} ({why_refused(refused.reason)}) [{refused.episode_id}]"
            out.print(told, style="dim", markup=False)

    place.emit(found, show)


def _told(fact: Fact, texts: Mapping[str, str]) -> str:
    """A fact of a difference in a line; `texts` holds the words of facts that may be its cause."""
    from memory_agent.semantic import ontology
    from memory_agent.views import times
    from memory_agent.views.record import caused

    why = caused(fact, texts.get)
    because = f"; {why}" if why else ""
    return f"{fact.text} ({fact.status}; {times.period(fact, ontology.load())}{because}) [{fact.id}]"


def inspect(
    place: Place,
    export: Annotated[Path | None, typer.Option("--export", help="Write the pages as one file, and end.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on this machine; 0 for a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open it in a browser.")] = True,
) -> None:
    """Open the inspector: see what is known, why, since when, and what weights know. Until interrupted."""
    if export is not None:
        from memory_agent.views import inspector_html

        with place.memory(existing=True) as memory:
            write(export, inspector_html(memory.space))
            user = memory.space.user
        found = {"file": str(export), "user": user}
        place.emit(found, lambda out: out.print(f"The memory of {user} in {export}", markup=False))
        return
    _serve_inspector(place, port, open_)


def _serve_inspector(place: Place, port: int, browse: bool) -> None:
    from memory_agent.config import Settings
    from memory_agent.memories import Memories
    from memory_agent.server.run import inspect
    from memory_agent.space import space_key

    settings = Settings.load(store=place.store, user=place.user, tenant=place.tenant)
    space_key(settings.tenant, settings.user)

    def opened(address: str) -> None:
        def show(out: Console) -> None:
            out.print(address, markup=False, soft_wrap=True)
            out.print("Ctrl-C ends it.", style="dim")

        place.emit({"url": address}, show)
        if browse:
            import webbrowser

            webbrowser.open(address)

    with Memories(settings=settings) as memories:
        try:
            inspect(memories, settings.user, port, opened)
        except OSError as error:
            raise InvalidInput(f"port {port} cannot be had: {error.strerror}; --port 0 takes a free one") from error
