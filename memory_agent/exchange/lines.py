"""A whole memory as JSON Lines, record for record, and back.

The first line names the format and holds the JSON Schema of every kind of record; each further line is
`{"kind": ..., ...}`. Runs and adapters are of one machine and stay behind; vectors are made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from memory_agent.errors import MALFORMED, InvalidInput
from memory_agent.protocols import Query
from memory_agent.records import STORED, Adapter, Run, Stored
from memory_agent.space import Space

FORMAT = "slowwave/memory"
VERSION = 1
PORTABLE: dict[str, type[Stored]] = {kind.kind: kind for kind in STORED if kind not in (Run, Adapter)}


def write(space: Space) -> Iterator[str]:
    """The lines of the space's memory, each with its line end; the same memory gives the same lines."""
    schema = {name: kind.model_json_schema() for name, kind in PORTABLE.items()}
    yield _line({"format": FORMAT, "version": VERSION, "user": space.user, "schema": schema})
    for name, kind in PORTABLE.items():
        for record in sorted(space.ledger.select(kind), key=_order):
            yield _line({"kind": name, **record.model_dump(mode="json", exclude={"position"})})


def read(lines: Iterable[str]) -> list[Stored]:
    """The records of an export. Raises InvalidInput, naming the line, for anything else."""
    found: list[Stored] = []
    number = 0
    for number, line in enumerate(lines, start=1):
        try:
            said: dict[str, Any] = json.loads(line)
            if number == 1:
                _check(said)
                continue
            kind = PORTABLE[said.pop("kind")]
            found.append(kind.model_validate(said))
        except MALFORMED as error:
            if isinstance(error, InvalidInput):
                raise
            raise InvalidInput(f"line {number} is no record of an export: {error}") from error
    if number == 0:
        raise InvalidInput("the export is empty")
    return found


def restore(space: Space, records: Iterable[Stored]) -> int:
    """Put the records into an empty space, in one transaction; how many.

    The caller brings the vector index level. Raises InvalidInput when the space holds turns already.
    """
    listed = list(records)
    with space.ledger.transaction(wait=space.settings.lock_wait) as tx:
        if any(tx.select(kind, Query(limit=1)) for kind in PORTABLE.values()):
            raise InvalidInput(f"the memory of {space.user!r} is not empty: import into a new user or store")
        tx.put(*listed)
        tx.audit("import", [str(len(listed))])
    return len(listed)


def _check(header: Any) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InvalidInput(f"this is no export of ours: the first line does not name the format {FORMAT}")
    if header.get("version") != VERSION:
        raise InvalidInput(f"the export is of version {header.get('version')}; this release reads {VERSION}")


def _order(record: Stored) -> tuple[int, str, int]:
    return record.position, record.id, getattr(record, "version", 0)


def _line(said: dict[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, sort_keys=True) + "\n"
