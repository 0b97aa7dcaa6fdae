"""Verbs that ask a memory: `search`, `facts`, `ask`, `context`."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.cli.place import Place, verb
from memory_agent.cli.show import escape, record_json, why_nothing
from memory_agent.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from memory_agent.records import Hit

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
    for function in (search, facts, ask, context):
        verb(app)(function)


def search(
    place: Place,
    query: Annotated[str, typer.Argument(help="What to look for.")],
    limit: Annotated[int, typer.Option(min=1, help="Most hits.")] = 10,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only episodes or only facts.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this session.")] = None,
    speaker: Annotated[str | None, typer.Option(help="Only this speaker.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only turns from then on: 2024-03-14, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only turns before then.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only turns whose metadata has KEY=VALUE.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    why: Annotated[bool, typer.Option("--why", help="Show which arm found it, and what was dropped.")] = False,
) -> None:
    """Find the turns and facts that a question is about."""
    with place.memory(existing=True) as memory:
        result = memory.search(
            query,
            limit=limit,
            kinds=tuple(kind) if kind else ("episode", "fact"),
            as_of=as_of,
            known_at=known_at,
            session=session,
            speaker=speaker,
            since=_utc(since),
            until=_utc(until),
            metadata=_metadata(where or ()),
        )
        hint = "" if result.hits else why_nothing(memory)

    def show(out: Console) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table("", "score", "when", "what", *(["why"] if why else []), box=None, pad_edge=False)
        for rank, hit in enumerate(result.hits, 1):
            when, what = _hit_text(hit)
            reason = [escape(_why_text(hit))] if why else []
            shown = Text.assemble(what, (f"\n{hit.record.id}", "dim"))  # the id whole, for the verbs that take it
            table.add_row(str(rank), f"{hit.score:.2f}", when, shown, *reason)
        out.print(table if result.hits else f"Nothing found. {hint}".rstrip(), markup=bool(result.hits))
        if why:
            steps = ", ".join(f"{name} {ms:.0f} ms" for name, ms in result.trace.milliseconds.items())
            arms = ", ".join(f"{name} {n}" for name, n in result.trace.candidates.items())
            out.print(f"[dim]candidates: {escape(arms)}[/]\n[dim]time: {escape(steps)}[/]")
            for note in result.trace.notes:
                out.print(f"[dim]note: {escape(note)}[/]")
            for id, reason_dropped in result.trace.dropped.items():
                out.print(f"[dim]dropped {escape(id)}: {escape(reason_dropped)}[/]")

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
    with place.memory(existing=True) as memory:
        found = memory.facts(about, as_of=as_of, known_at=known_at, predicate=predicate, past=past)
        hint = "" if found else why_nothing(memory, about)

    def show(out: Console) -> None:
        from memory_agent.cli.show import fact_table

        out.print(fact_table(found) if found else f"No facts. {hint}".rstrip(), markup=bool(found))

    place.emit(found, show)


def ask(
    place: Place,
    question: Annotated[str, typer.Argument(help="The question.")],
    mode: Annotated[AskMode, typer.Option(help="From the base model, retrieval, the weights, or both.")] = AskMode.auto,
) -> None:
    """Answer a question, and say what the answer rests on."""
    with place.memory(existing=True) as memory:
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
    session: Annotated[str | None, typer.Option(help="With this conversation's summary and recent turns.")] = None,
) -> None:
    """Show what a model would be shown for a question, and the tokens of each part."""
    with place.memory(existing=True) as memory:
        found = memory.context(question, budget=budget, session=session)

    def show(out: Console) -> None:
        out.print(found.text, markup=False)
        parts = ", ".join(f"{name} {n}" for name, n in found.parts.items())
        out.print(f"{found.tokens} tokens ({parts})", style="dim", markup=False)

    place.emit(
        {"text": found.text, "tokens": found.tokens, "parts": found.parts, "hits": [_hit(h) for h in found.hits]}, show
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)


def _metadata(given: Sequence[str]) -> dict[str, list[Any]]:
    """KEY=VALUE texts as a filter: a value means that text, and what it is read as JSON (3, true); keys may repeat."""
    found: dict[str, list[Any]] = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise InvalidInput(f"--where {text!r}: write KEY=VALUE")
        either = found.setdefault(key, [])
        either.append(value)
        with suppress(json.JSONDecodeError):
            either.append(json.loads(value))
    return found


def _hit(hit: Hit) -> dict[str, Any]:
    return {"id": hit.record.id, "score": hit.score, "record": record_json(hit.record), "why": hit.why}


def _hit_text(hit: Hit) -> tuple[str, str]:
    from memory_agent.records import Episode

    record = hit.record
    if isinstance(record, Episode):
        return f"{record.at:%Y-%m-%d}", f"{record.speaker}: {record.content}"
    return str(record.valid_from or ""), record.text


def _why_text(hit: Hit) -> str:
    arms = [f"{arm} #{hit.why.ranks[arm]} {score:.2f}" for arm, score in hit.why.scores.items() if arm in hit.why.ranks]
    return ", ".join([*arms, *([hit.why.note] if hit.why.note else [])])
