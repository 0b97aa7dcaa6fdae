"""Verbs that take turns in: `ingest` a file, `chat`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli.place import Place, console, verb

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.agent import Agent

BATCH = 200
"""Turns per acknowledged batch: a killed ingest is repeated, and what was taken stays taken."""


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(app)(ingest)
    verb(app)(chat)


def ingest(
    place: Place,
    file: Annotated[Path, typer.Argument(help="LoCoMo JSON, JSONL of chat messages, OpenAI or mem0 messages.")],
    conversation: Annotated[
        str | None, typer.Option(help="Of a LoCoMo file with several: only this conversation.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="Session for turns that name none; by default the file's name.")
    ] = None,
) -> None:
    """Take the turns of a file in. The same file twice adds nothing."""
    from memory_agent.cli.reading import read_turns

    turns = read_turns(file, conversation=conversation, session=session or file.stem)
    added: list[str] = []
    duplicates: list[str] = []
    flagged: dict[str, tuple[str, ...]] = {}
    with place.memory() as memory, place.progress("Taking turns in") as progress:
        for start in range(0, len(turns), BATCH):
            report = memory.add(turns[start : start + BATCH])
            added += report.added
            duplicates += report.duplicates
            flagged |= report.flagged
            progress(min(1.0, (start + BATCH) / len(turns)), "")
    found = {
        "file": str(file),
        "turns": len(turns),
        "sessions": len({turn.session for turn in turns}),
        "added": added,
        "duplicates": duplicates,
        "flagged": flagged,
    }

    sessions = f"{found['sessions']} session{'' if found['sessions'] == 1 else 's'}"

    def show(out: Console) -> None:
        out.print(f"[bold]{len(added)}[/] turns taken in from {sessions}, {len(duplicates)} known already.")
        for id, flags in flagged.items():
            out.print(f"  flagged {id}: {', '.join(flags)}", markup=False)
        if added:
            out.print("Next: [cyan]memory-agent consolidate[/]")

    place.emit(found, show)


def chat(
    place: Place,
    message: Annotated[
        str | None, typer.Argument(help="One message; without it, a conversation until end of input.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="local, openai:NAME or PROVIDER:NAME [MEMORY_AGENT_MODEL].")] = None,
    session: Annotated[str | None, typer.Option(help="Go on with this session.")] = None,
) -> None:
    """Talk to a model that remembers. Every turn is on disk before the answer is shown."""
    from memory_agent.agent import Agent

    with place.memory() as memory:
        agent = Agent(memory, model, session=session)
        if message is not None:
            reply = agent.chat(message)
            place.emit({"session": agent.session, "reply": reply}, lambda out: out.print(reply, markup=False))
        else:
            _converse(agent, place)


def _converse(agent: Agent, place: Place) -> None:
    """Read messages from the terminal until its end; with --json, one reply a line."""
    import json

    out = console()
    if not place.json:
        out.print(f"[dim]session {agent.session}; an empty line or Ctrl-D ends it[/]")
    while True:
        try:
            text = input("" if place.json else "> ")
        except EOFError:
            return
        if not text.strip():
            return
        if place.json:
            typer.echo(json.dumps({"session": agent.session, "reply": agent.chat(text)}, ensure_ascii=False))
            continue
        for piece in agent.stream(text):
            out.print(piece, end="", markup=False)
        out.print()
