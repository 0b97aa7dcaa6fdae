"""How records lie in SQL: keys, column values, conditions, and the checks over them."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from memory_agent.auditing import digest_of
from memory_agent.errors import InvalidInput, StoreCorrupt
from memory_agent.protocols import LedgerRow, Query, R
from memory_agent.records import AuditEntry, Fact, Stored

KEYS: dict[str, tuple[str, ...]] = {Fact.kind: ("id", "version")}
"""Key columns of the kinds that are not keyed by id alone."""
SHIFT = 24
"""`seq` is the ledger position shifted by so many bits, plus the place within the transaction."""


def key_of(record: Stored) -> tuple[object, ...]:
    """The key of `record` within its space and kind."""
    return (record.id, record.version) if isinstance(record, Fact) else (record.id,)


def parse(kind: type[R], body: str) -> R:
    """The record that a row's JSON holds. Raises StoreCorrupt, naming the kind and no content."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        where = ", ".join(sorted({str(part) for each in error.errors() for part in each["loc"][:1]})) or "its JSON"
        raise StoreCorrupt(
            f"a stored {kind.kind} cannot be read ({where}): it was altered outside this library; "
            "`memory-agent doctor` says what else is wrong, and `memory-agent restore` puts a backup in its place"
        ) from error


def in_batches(rows: Iterable[LedgerRow], size: int = 500) -> Iterator[tuple[type[Stored], list[LedgerRow]]]:
    """Runs of rows of one kind, each of at most `size`, in their order."""
    for kind, same in itertools.groupby(rows, key=lambda row: row.kind):
        while batch := list(itertools.islice(same, size)):
            yield kind, batch


def must_be_empty(key: str, position: int) -> None:
    """Raise InvalidInput when a space that is to be filled with another's rows was written to."""
    if position:
        raise InvalidInput(f"space {key} holds memories already; a space is only moved to where there is none")


def encode(value: object) -> object:
    """`value` as a column holds it: instants as text of one width, so that their order is that of time."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidInput(f"{value} needs its zone, e.g. {value.isoformat()}+00:00")
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    raise InvalidInput(f"cannot select by a {type(value).__name__}: {value!r}")


@dataclass(frozen=True)
class Dialect:
    """How a database writes a parameter, "any of these", and a list given as one parameter."""

    parameter: str
    among: str
    listed: Callable[[list[object]], object]


SQLITE = Dialect("?", "IN (SELECT value FROM json_each(?))", json.dumps)


def where(kind: type[Stored], query: Query, dialect: Dialect = SQLITE) -> tuple[str, list[object]]:
    """The conditions of `query` as SQL that follows the space's, and its parameters. Raises InvalidInput."""
    one = dialect.parameter
    conditions: list[str] = []
    values: list[object] = []
    check_query(kind, query)
    for column, wanted in query.where.items():
        if wanted is None:
            conditions.append(f"{column} IS NULL")
        elif isinstance(wanted, (list, tuple, set, frozenset)):
            either = f"{column} {dialect.among}"
            conditions.append(f"({either} OR {column} IS NULL)" if None in wanted else either)
            values.append(dialect.listed([encode(each) for each in wanted if each is not None]))
        else:
            conditions.append(f"{column} = {one}")
            values.append(encode(wanted))
    if query.ids is not None:
        conditions.append(f"id {dialect.among}")
        values.append(dialect.listed([str(each) for each in query.ids]))
    for condition, bound in (
        (f"seq >= {one}", None if query.after is None else (query.after + 1) << SHIFT),
        (f"texted > {one}", query.text_after),
        (f"texted <= {one}", query.text_until),
        (f"at >= {one}", query.since),
        (f"at < {one}", query.until),
    ):
        if bound is not None:
            conditions.append(condition)
            values.append(encode(bound))
    return "".join(f" AND {condition}" for condition in conditions), values


def check_query(kind: type[Stored], query: Query) -> None:
    """Raise InvalidInput when `kind` cannot be selected by what `query` names."""
    allowed = (*kind.columns, *KEYS.get(kind.kind, ("id",)))
    for column in query.where:
        if column not in allowed:
            raise InvalidInput(f"{kind.kind}s cannot be selected by {column!r}, only by {', '.join(allowed)}")
    if (query.since is not None or query.until is not None) and "at" not in kind.columns:
        raise InvalidInput(f"{kind.kind}s have no column 'at' for since and until")
    if (query.text_after is not None or query.text_until is not None) and kind.kind not in ("episode", "fact"):
        raise InvalidInput(f"{kind.kind}s have no searched text for text_after and text_until")


def broken_links(entries: list[AuditEntry], head: str) -> list[str]:
    """What is wrong with an audit chain whose last digest ought to be `head`."""
    problems = []
    previous = ""
    for n, entry in enumerate(entries, 1):
        if entry.previous != previous or entry.digest != digest_of(entry):
            problems.append(
                f"audit entry {n} ({entry.action} at {entry.at.isoformat()}) was altered or does not follow"
            )
        previous = entry.digest
    if previous != head:
        problems.append(f"the audit chain ends after {len(entries)} entries, but not with the digest it should")
    return problems


def read_chain(db: sqlite3.Connection, space: int) -> list[AuditEntry]:
    """Every audit entry of a space, oldest first."""
    rows = db.execute(
        "SELECT position, at, actor, action, ids, detail, previous, digest FROM audit WHERE space = ? ORDER BY n",
        (space,),
    )
    return [audit_entry(row) for row in rows]


def audit_entry(row: Sequence[Any]) -> AuditEntry:
    """An entry from its columns: position, at, actor, action, ids, detail, previous, digest."""
    names = ("position", "at", "actor", "action", "ids", "detail", "previous", "digest")
    told: dict[str, Any] = dict(zip(names, row, strict=True))
    return AuditEntry(**{**told, "ids": tuple(json.loads(told["ids"])), "at": datetime.fromisoformat(told["at"])})


def next_entry(
    position: int, at: datetime, actor: str, action: str, ids: Sequence[str], detail: str, head: str
) -> AuditEntry:
    """The entry that follows the one with digest `head`."""
    entry = AuditEntry(
        position=position, at=at, actor=actor, action=action, ids=tuple(ids), detail=detail, previous=head, digest=""
    )
    return entry.model_copy(update={"digest": digest_of(entry)})


def check_chain(db: sqlite3.Connection, space: int, key: str) -> list[str]:
    """What is wrong with a space's audit chain."""
    count, head = db.execute("SELECT audited, head FROM space WHERE id = ?", (space,)).fetchone()
    entries = read_chain(db, space)
    problems = broken_links(entries, head)
    if len(entries) != count:
        problems.append(f"the audit chain holds {len(entries)} entries of {count}")
    return [f"space {key}: {problem}" for problem in problems]
