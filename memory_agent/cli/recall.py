"""Verbs that ask a memory: `search`, `facts`, `ask`, `context`, `explain`, `history`, `graph`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli.place import Place, verb
from memory_agent.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from memory_agent.records import Hit, Stored

AsOf = Annotated[str | None, typer.Option("--as-of", help="What was true then: 2024, 2024-03 or 2024-03-14.")]
KnownAt = Annotated[str | None, typer.Option("--known-at", help="What was believed then, likewise.")]
Past = Annotated[bool, typer.Option("--past", help="Also what holds no more.")]


class Kind(StrEnum):
    """What to search."""

    episode = "episode"
    fact = "fact"


class AskMode(StrEnum):
    """Where an answer may come from."""

    auto = "auto"
    base = "base"
    retrieval = "retrieval"
    adapter = "adapter"
    both = "both"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    for function in (search, facts, ask, context, explain, history, graph):
        verb(app)(function)


def search(
    place: Place,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, help="Most hits.")] = 10,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only episodes or only facts.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Only this speaker.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    why: Annotated[bool, typer.Option("--why", help="Show which arm found it, and what was dropped.")] = False,
) -> None:
    """Find the turns and facts that a question is about."""
    with place.memory() as memory:
        result = memory.search(
            query,
            limit=limit,
            kinds=tuple(kind) if kind else ("episode", "fact"),
            as_of=as_of,
            known_at=known_at,
            session=session,
            speaker=speaker,
        )

    def show(out: Console) -> None:
        from rich.table import Table

        table = Table("", "score", "id", "when", "what", *(["why"] if why else []), box=None, pad_edge=False)
        for rank, hit in enumerate(result.hits, 1):
            when, what = _hit_text(hit)
            reason = [_escape(_why_text(hit))] if why else []
            table.add_row(str(rank), f"{hit.score:.2f}", _escape(hit.record.id), when, _escape(what), *reason)
        out.print(table if result.hits else "Nothing found.")
        if why:
            steps = ", ".join(f"{name} {ms:.0f} ms" for name, ms in result.trace.milliseconds.items())
            arms = ", ".join(f"{name} {n}" for name, n in result.trace.candidates.items())
            out.print(f"[dim]candidates: {_escape(arms)}[/]\n[dim]time: {_escape(steps)}[/]")
            for id, reason_dropped in result.trace.dropped.items():
                out.print(f"[dim]dropped {_escape(id)}: {_escape(reason_dropped)}[/]")

    place.emit({"query": query, "hits": [_hit(hit) for hit in result.hits], "trace": result.trace}, show)


def facts(
    place: Place,
    about: Annotated[str | None, typer.Option(help="Only of this person or thing.")] = None,
    predicate: Annotated[str | None, typer.Option(help="Only of this kind, as lives_in.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    past: Past = False,
) -> None:
    """Show what is held to be true, since when, and in whose words."""
    with place.memory() as memory:
        found = memory.facts(about, as_of=as_of, known_at=known_at, predicate=predicate, past=past)

    def show(out: Console) -> None:
        from memory_agent.cli.show import fact_table

        out.print(fact_table(found) if found else "No facts.")

    place.emit(found, show)


def ask(
    place: Place,
    question: Annotated[str, typer.Argument(help="The question.")],
    mode: Annotated[AskMode, typer.Option(help="From the base model, retrieval, the weights, or both.")] = AskMode.auto,
) -> None:
    """Answer a question, and say what the answer rests on."""
    with place.memory() as memory:
        answer = memory.ask(question, mode=mode.value)

    def show(out: Console) -> None:
        out.print(answer.text, style="bold", markup=False)
        sure = "" if answer.confidence is None else f", least token probability {answer.confidence:.2f}"
        adapter = f", adapter {answer.adapter[:12]}" if answer.adapter else ""
        out.print(f"mode {answer.mode}{adapter}, {answer.tokens} tokens{sure}", style="dim", markup=False)
        if answer.sources:
            out.print(f"rests on {', '.join(answer.sources)}", style="dim", markup=False)
        if answer.note:
            out.print(answer.note, style="dim", markup=False)

    place.emit(answer, show)


def context(
    place: Place,
    question: Annotated[str, typer.Argument(help="The question.")],
    budget: Annotated[int, typer.Option(min=1, help="Most tokens.")] = 2000,
) -> None:
    """Show what a model would be shown for a question, and the tokens of each part."""
    with place.memory() as memory:
        found = memory.context(question, budget=budget)

    def show(out: Console) -> None:
        out.print(found.text, markup=False)
        parts = ", ".join(f"{name} {n}" for name, n in found.parts.items())
        out.print(f"{found.tokens} tokens ({parts})", style="dim", markup=False)

    place.emit(
        {"text": found.text, "tokens": found.tokens, "parts": found.parts, "hits": [_hit(h) for h in found.hits]}, show
    )


def explain(place: Place, id: Annotated[str, typer.Argument(help="Any record's id.")]) -> None:
    """Show what a record rests on and what rests on it."""
    with place.memory() as memory:
        found = memory.explain(id)

    def show(out: Console) -> None:
        if found.text:
            out.print(found.text, markup=False)
        out.print(f"{found.record.kind} {_line(found.record)}", style="bold", markup=False)
        for title, records in (("rests on", found.rests_on), ("and supports", found.supports)):
            for record in records:
                out.print(f"  {title}: {record.kind} {_line(record)}", markup=False)

    place.emit(
        {
            "text": found.text,
            "record": _record(found.record),
            "rests_on": [_record(r) for r in found.rests_on],
            "supports": [_record(r) for r in found.supports],
        },
        show,
    )


def history(place: Place, id: Annotated[str, typer.Argument(help="Any record's id.")]) -> None:
    """Show every version of a record, oldest first."""
    with place.memory() as memory:
        versions = memory.history(id)

    def show(out: Console) -> None:
        for version in versions:
            out.print(f"{version.kind} {_line(version)}", markup=False)

    place.emit([_record(version) for version in versions], show)


def graph(
    place: Place,
    html: Annotated[Path | None, typer.Option(help="Write the graph to look at: one file, no network.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    past: Past = False,
) -> None:
    """Show the knowledge graph, or write it as a page."""
    with place.memory() as memory:
        found = memory.graph(as_of=as_of, known_at=known_at, past=past or html is not None)
        user = memory.space.user
    if html is not None:
        from memory_agent.views import graph_html

        try:
            html.write_text(graph_html(found, title=f"What {user}'s memory holds"), encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"cannot write {html}: {error.strerror}") from error
    edges = [
        {name: data[name] for name in ("id", "subject", "predicate", "object", "status")}
        for _, _, data in found.edges(data=True)
    ]

    def show(out: Console) -> None:
        if html is not None:
            out.print(f"{found.number_of_nodes()} nodes and {len(edges)} facts in {html}", markup=False)
            return
        from rich.table import Table

        table = Table("subject", "predicate", "object", "status", box=None, pad_edge=False)
        for edge in edges:
            table.add_row(*(_escape(str(edge[part])) for part in ("subject", "predicate", "object", "status")))
        out.print(table if edges else "The graph is empty.")

    place.emit({"nodes": found.number_of_nodes(), "edges": edges, "html": str(html) if html else None}, show)


def _escape(text: str) -> str:
    """Text that rich prints as it is: remembered words are not markup."""
    from rich.markup import escape

    return escape(text)


def _record(record: Stored) -> dict[str, Any]:
    return {"kind": record.kind, **record.model_dump(mode="json")}


def _hit(hit: Hit) -> dict[str, Any]:
    return {"id": hit.record.id, "score": hit.score, "record": _record(hit.record), "why": hit.why}


def _hit_text(hit: Hit) -> tuple[str, str]:
    from memory_agent.records import Episode

    record = hit.record
    if isinstance(record, Episode):
        return f"{record.at:%Y-%m-%d}", f"{record.speaker}: {record.content}"
    return str(record.valid_from or ""), record.text


def _why_text(hit: Hit) -> str:
    arms = [f"{arm} #{hit.why.ranks[arm]} {score:.2f}" for arm, score in hit.why.scores.items() if arm in hit.why.ranks]
    return ", ".join([*arms, *([hit.why.note] if hit.why.note else [])])


def _line(record: Stored) -> str:
    """A record in one line."""
    from memory_agent.records import Claim, Episode, Fact

    if isinstance(record, Episode):
        return f"{record.id}  {record.at:%Y-%m-%d} {record.speaker}: {record.content}"
    if isinstance(record, Fact):
        until = f" to {record.valid_to}" if record.valid_to else ""
        return f"{record.id}  v{record.version} {record.text} ({record.status}, from {record.valid_from or '?'}{until})"
    if isinstance(record, Claim):
        return f"{record.id}  {record.subject} {record.predicate} {record.object}: “{record.quote}”"
    shown: Sequence[str] = [
        str(getattr(record, name)) for name in ("name", "label", "state", "about") if hasattr(record, name)
    ]
    return "  ".join((record.id, *shown))
