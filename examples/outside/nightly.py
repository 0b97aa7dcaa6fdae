"""A scheduled trainer on a hook of its own: trains at night with examples/extend/own_trainer.py, and tells somebody.

    30 3 * * * PYTHONPATH=examples/extend python examples/outside/nightly.py /srv/agent/memory alice

It ends at once when nothing that weights may know has changed since the last time.
"""

import sys
from collections.abc import Callable

from own_trainer import train

from memory_agent import Memory
from memory_agent.errors import NothingToDistill, StoreBusy
from memory_agent.records import Run


def night(memory: Memory, tell: Callable[[str], None]) -> str:
    """One night: read what is new, and train if facts changed; "idle", "busy", "promoted" or "refused"."""
    before = {run.id for run in memory.space.ledger.select(Run) if run.job == "distill"}
    report = memory.consolidate()
    changed = report.facts_added or report.facts_changed or report.facts_closed
    if before and not changed:
        return "idle"
    try:
        learnt = memory.distill(trainer=train)
    except NothingToDistill:
        return "idle"
    except StoreBusy as busy:
        tell(f"left alone: {busy}")
        return "busy"
    tell(f"{len(learnt.facts)} facts: " + ("promoted" if learnt.promoted else "; ".join(learnt.reasons)))
    return "promoted" if learnt.promoted else "refused"


def main() -> None:
    """Run one night."""
    store, user = sys.argv[1:3]
    with Memory.open(store, user=user) as memory:
        print(night(memory, print))


if __name__ == "__main__":
    main()
