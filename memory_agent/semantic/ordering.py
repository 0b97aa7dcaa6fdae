"""Where evidence stands in valid time when later words show that earlier ones were out of date."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from memory_agent.semantic.evidence import Evidence

Slot = tuple[str, ...]


def slots(e: Evidence, single: bool, symmetric: bool) -> list[Slot]:
    """The places that hold one value at a time and which `e` is about."""
    if not single:
        return [e.pair]
    return [(end,) for end in e.pair] if symmetric and e.object_id else [(e.subject_id,)]


def said_before_its_end(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Undated statements moved before a later said end of the same value that is dated before them.

    "I work at Siemens" (May), "I left Siemens in April" (June): the June statement knows better.
    """
    ends: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for e in evidence:
        if e.polarity == "-" and e.date:
            ends[e.pair].append(e)
    moved = []
    for e in evidence:
        later = [
            n.key
            for n in ends.get(e.pair, ())
            if n.key <= e.key and n.claim.said_at > e.claim.said_at and (n.rank or not e.claim.owners_word)
        ]
        moved.append(replace(e, key=min(later)) if e.polarity == "+" and not e.date and later else e)
    return moved


CHANGED_LATELY = timedelta(days=92)
"""How old a dated change may be that makes an undated statement, said after it and before it was told, out of date."""


def said_before_its_change(evidence: Sequence[Evidence], symmetric: bool) -> list[Evidence]:
    """Undated statements moved before a change that was told later but is dated a little before them.

    "I live in Porto" (5 May), "I moved to Lyon in April" (20 May): the later word knows better. A
    change that lies further back is told as the past, and leaves the present as it is.
    """
    starts: dict[Slot, list[Evidence]] = defaultdict(list)
    for e in evidence:
        if e.polarity == "+" and e.date and e.claim.valid_to is None and not e.projected:
            for slot in slots(e, True, symmetric):
                starts[slot].append(e)
    said_last: dict[tuple[str, str], datetime] = {}
    for e in evidence:
        if e.polarity == "+" and not e.date:
            said_last[e.pair] = max(said_last.get(e.pair, e.claim.said_at), e.claim.said_at)
    moved = []
    for e in evidence:
        later = [
            n.key
            for slot in (slots(e, True, symmetric) if e.polarity == "+" and not e.date else ())
            for n in starts.get(slot, ())
            if n.pair != e.pair
            and said_last[e.pair] < n.claim.said_at
            and e.key - CHANGED_LATELY <= n.key <= e.key
            and n.rank >= e.rank
        ]
        moved.append(replace(e, key=min(later) - _TICK) if later else e)
    return moved


_TICK = timedelta(microseconds=1)
