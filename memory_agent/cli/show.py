"""What people see on a terminal, where more than one verb shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory_agent.records import Claim, Episode, Fact, Stored

if TYPE_CHECKING:
    from rich.table import Table

    from memory_agent.memory import Memory

_STYLES = {"superseded": "dim", "ended": "dim", "stale": "yellow", "disputed": "yellow"}


def fact_table(facts: Sequence[Fact]) -> Table:
    """Facts, what is of one subject together, with the ids that other verbs take and the words they were read in."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from memory_agent.semantic import ontology
    from memory_agent.views import times

    terms = ontology.load()
    table = Table("fact", "true", "status", "in whose words", box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
    for column, ratio in zip(table.columns, (5, 3, None, 5), strict=True):
        column.ratio = ratio
    table.columns[0].width = max((len(fact.id) for fact in facts), default=None)  # an id is whole however narrow it is
    for fact in sorted(facts, key=lambda fact: (fact.subject.casefold(), fact.predicate)):
        what = Text(fact.subject)
        what.append(f" {'not ' if fact.polarity == '-' else ''}{fact.predicate.replace('_', ' ')} ", style="dim")
        what.append(fact.object, style="bold")
        if fact.modality != "actual":
            what.append(f" ({fact.modality})", style="italic")
        what.append(f"\n{fact.id}", style="dim")
        said = Text()
        for source in fact.sources[:1]:
            said.append(f"“{source.quote}” ")
            said.append(source.speaker, style="dim")
        if len(fact.sources) > 1:
            said.append(f" and {len(fact.sources) - 1} more", style="dim")
        table.add_row(
            what, Text(times.period(fact, terms)), Text(fact.status), said, style=_STYLES.get(fact.status, "")
        )
    return table


def amounts(counts: Mapping[str, int]) -> str:
    """How many records of each kind, as "1 fact, 2 entities"; "nothing" where there are none."""

    def named(number: int, kind: str) -> str:
        return kind if number == 1 else f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"

    return ", ".join(f"{n} {named(n, kind)}" for kind, n in counts.items() if n) or "nothing"


def why_nothing(memory: Memory, about: str | None = None) -> str:
    """What to do where nothing was found; "" where there is nothing that could be done."""
    from memory_agent.protocols import Query
    from memory_agent.semantic.entities import Directory

    space = memory.space
    if not space.ledger.count(Episode):
        return f"Nothing was taken in for {space.user!r} in this store; memory-agent ingest FILE takes turns in."
    if waiting := space.ledger.count(Episode, Query(where={"run": None})):
        return f"Turns not read yet: {waiting}; memory-agent consolidate reads them."
    if about is not None and not Directory.of(space.ledger).find(about):
        return f"Nobody and nothing is called {about!r} here; memory-agent entities lists who and what is."
    return ""


def escape(text: str) -> str:
    """Text that rich prints as it is: remembered words are not markup."""
    from rich.markup import escape

    return escape(text)


def record_json(record: Stored) -> dict[str, Any]:
    """A record for a machine: its fields, and which kind it is."""
    return {"kind": record.kind, **record.model_dump(mode="json")}


def _times(fact: Fact) -> str:
    """When it was true, and when that was believed."""
    from memory_agent.semantic import ontology
    from memory_agent.views import times

    until = f" to {times.minute(fact.retired_at)}" if fact.retired_at else ""
    believed = f"believed {'from' if until else 'since'} {times.minute(fact.recorded_at)}{until}"
    return f"true {times.period(fact, ontology.load())}; {believed}"


def line(record: Stored) -> str:
    """A record in one line."""
    if isinstance(record, Episode):
        return f"{record.id}  {record.at:%Y-%m-%d} {record.speaker}: {record.content}"
    if isinstance(record, Fact):
        return f"{record.id}  v{record.version} {record.text} ({record.status}; {_times(record)})"
    if isinstance(record, Claim):
        return f"{record.id}  {record.subject} {record.predicate} {record.object}: “{record.quote}”"
    shown: Sequence[str] = [
        str(getattr(record, name)) for name in ("name", "label", "state", "about") if hasattr(record, name)
    ]
    return "  ".join((record.id, *shown))
