"""The audit chain: how an entry's digest is made, and where a chain is broken.

Each entry's digest covers the entry and the digest before it, so that none can be changed, left out or put in without
every later digest changing as well. Whoever can write to the store could make a whole new chain; so note the head that
`verify` gives somewhere else, and ask later whether the chain still holds it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from memory_agent.records import AuditEntry, Record


class Chain(Record):
    """Whether an audit chain is whole."""

    whole: bool
    entries: int
    head: str
    """Digest of the last entry; "" when there is none."""
    broken: int | None = None
    """The first entry that does not follow, counted from 1; one past the last where the end is missing."""
    problem: str = ""


def digest_of(entry: AuditEntry) -> str:
    """SHA-256, in hexadecimal, over the entry (its digest apart) and the digest before it, as sorted JSON."""
    told = {
        "position": entry.position,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "ids": list(entry.ids),
        "detail": entry.detail,
        "previous": entry.previous,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def verify(entries: Sequence[AuditEntry], head: str | None = None) -> Chain:
    """Whether each entry is as it was written and follows the one before; with `head`, whether the chain holds that."""
    last = entries[-1].digest if entries else ""

    def broken(n: int, problem: str) -> Chain:
        return Chain(whole=False, entries=len(entries), head=last, broken=n, problem=problem)

    previous = ""
    for n, entry in enumerate(entries, 1):
        what = f"{entry.action} at {entry.at.isoformat()}"
        if entry.previous != previous:
            return broken(n, f"{what} does not follow the entry before it: one is missing, or was put in")
        if entry.digest != digest_of(entry):
            return broken(n, f"{what} was altered")
        previous = entry.digest
    if head is not None and head not in ("", *(entry.digest for entry in entries)):
        return broken(len(entries) + 1, f"no entry has the digest {head}, which the chain once ended with")
    return Chain(whole=True, entries=len(entries), head=last)
