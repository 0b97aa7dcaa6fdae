"""What a memory heard, for the tests of its doors."""

from __future__ import annotations

from memory_agent import Memory


def said(memory: Memory) -> list[tuple[str, str]]:
    """Role and words of every turn."""
    from memory_agent.records import Episode

    return [(turn.role, turn.content) for turn in memory.space.ledger.select(Episode)]
