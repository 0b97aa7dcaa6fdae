"""The sessions of a space, read off its episodes."""

from __future__ import annotations

from memory_agent.protocols import Query
from memory_agent.records import Episode, Instant, Record
from memory_agent.space import Space


class Session(Record):
    """One conversation: how many turns, between when and when, and who spoke, in order of appearance."""

    id: str
    turns: int
    first: Instant
    last: Instant
    speakers: tuple[str, ...]


def sessions(space: Space) -> list[Session]:
    """Every session of the space, by its first turn's time."""
    groups: dict[str, list[Episode]] = {}
    for episode in space.ledger.select(Episode, Query()):
        groups.setdefault(episode.session, []).append(episode)
    found = [
        Session(
            id=id,
            turns=len(group),
            first=min(episode.at for episode in group),
            last=max(episode.at for episode in group),
            speakers=tuple(dict.fromkeys(episode.speaker for episode in group)),
        )
        for id, group in groups.items()
    ]
    return sorted(found, key=lambda session: (session.first, session.id))
