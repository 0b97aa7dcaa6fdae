"""Compaction: older turns leave the window of a session, and a summary stands in their place.

Nothing leaves the ledger: the turns stay episodes and are found by search. What is written is a Summary that
names each turn it stands for. Turns leave in whole exchanges, up to an assistant's turn. When a session has more than
LIVE summaries, the oldest of them are folded into one that names them, in the same step in which new turns leave:
without new turns nothing is summarised again.

A summary is derived. When a turn it stands for is forgotten it goes, with those that were folded from it; the
turns that are left of it are summarised anew by the next compaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import uuid4

from memory_agent.fence import strip_fenced
from memory_agent.protocols import Query
from memory_agent.records import Episode, Summary
from memory_agent.space import Space
from memory_agent.working.extract import extract, shortened

LIVE = 4
"""Summaries of a session that stand side by side."""
_FOLDED_TO = 2
_SHOWN = 16
"""The newest summaries that are looked at for a prompt; those of them that were folded are not shown."""
_MOST_RECENT = 400
"""Turns of a session that are looked at for a prompt."""
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class Summariser(Protocol):
    """Puts turns, or summaries of earlier ones, into at most `budget` tokens. Returns "" when it cannot."""

    def __call__(self, turns: Sequence[Episode], summaries: Sequence[Summary], budget: int) -> str: ...


def boundary(roles: Sequence[str], tokens: Sequence[int], keep: int) -> int:
    """How many of the oldest turns are to leave so that the others take at most `keep` tokens.

    They end with an assistant's turn that none of its own follows. Where no such end leaves so little, it is the last
    one there is; 0 where there is none. `roles` and `tokens` are of the turns, oldest first.
    """
    ends = [n for n in range(1, len(roles) + 1) if roles[n - 1] == "assistant" and roles[n : n + 1] != ["assistant"]]
    left = sum(tokens)
    spent = 0
    fitting = [0] * (len(tokens) + 1)
    for n, cost in enumerate([0, *tokens]):
        spent += cost
        fitting[n] = left - spent
    return next((n for n in ends if fitting[n] <= keep), ends[-1] if ends else 0)


@dataclass(frozen=True)
class View:
    """What a prompt shows of a session: the summaries that stand, and the turns that none of them stands for."""

    summaries: tuple[Summary, ...]
    recent: tuple[Episode, ...]


def view(space: Space, session: str) -> View:
    """The session as the next prompt shows it, oldest first."""
    newest = space.ledger.select(Summary, Query(where={"about": _about(session)}, newest_first=True, limit=_SHOWN))
    live = _live(newest)
    end = max((summary.until for summary in live if summary.until), default=None)
    query = Query(where={"session": session}, since=end, newest_first=True, limit=_MOST_RECENT)
    covered = {id for summary in newest for id in summary.of}
    recent = [turn for turn in space.ledger.select(Episode, query) if turn.id not in covered]
    return View(tuple(live), tuple(sorted(recent, key=lambda turn: turn.at)))


def compact(
    space: Space,
    session: str,
    *,
    room: int,
    keep: float,
    budget: int,
    cost: Callable[[Episode], int],
    count: Callable[[str], int],
    summarise: Summariser | None = None,
) -> Summary | None:
    """Summarise the oldest recent turns if the recent ones cost more than `room` tokens; the new summary, else None.

    The share `keep` of the room stays. Each summary takes at most `budget` / LIVE tokens. `summarise` writes them;
    where it gives nothing, and by default, sentences are taken from the turns. Raises StoreError.
    """
    recent = view(space, session).recent
    costs = [cost(turn) for turn in recent]
    if sum(costs) <= room:
        return None
    leaving = recent[: boundary([turn.role for turn in recent], costs, int(room * keep))]
    if not leaving:
        return None
    writer = _Writer(space, session, max(budget // LIVE, 1), count, summarise)
    old = space.ledger.select(Summary, Query(where={"about": _about(session)}))
    made = [writer.of_turns(chunk) for chunk in _chunks([*_gap(space, session, old), *leaving], cost, room)]
    live = sorted([*_live(old), *made], key=_until)
    if len(live) > LIVE:
        made.append(writer.of_summaries(live[:-_FOLDED_TO]))
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        there = {turn.id for turn in transaction.select(Episode, Query(ids=[id for one in made for id in one.of]))}
        names = {one.id for one in (*old, *made)}
        written = transaction.count(Summary, Query(where={"about": _about(session)}))
        if written != len(old) or any(id not in there and id not in names for one in made for id in one.of):
            return None  # a turn was forgotten meanwhile, or another agent was first; the next turn tries again
        transaction.put(*made)
        transaction.audit("compact", [one.id for one in made])
    return made[0]


@dataclass(frozen=True)
class _Writer:
    space: Space
    session: str
    budget: int
    count: Callable[[str], int]
    summarise: Summariser | None

    def of_turns(self, turns: Sequence[Episode]) -> Summary:
        text = self._written(turns, ()) or extract(turns, self.count, self.budget)
        return self._summary(text, [turn.id for turn in turns], max(turn.at for turn in turns))

    def of_summaries(self, summaries: Sequence[Summary]) -> Summary:
        text = self._written((), summaries) or _woven(summaries, self.count, self.budget)
        return self._summary(text, [summary.id for summary in summaries], max(map(_until, summaries)))

    def _written(self, turns: Sequence[Episode], summaries: Sequence[Summary]) -> str:
        if self.summarise is None:
            return ""
        text, _ = strip_fenced(self.summarise(turns, summaries, self.budget))
        return shortened(text, self.count, self.budget)

    def _summary(self, text: str, of: list[str], until: datetime) -> Summary:
        return Summary(
            id=f"summary:{uuid4().hex}",
            about=_about(self.session),
            text=text,
            of=tuple(of),
            at=self.space.clock.now(),
            until=until,
        )


def _woven(summaries: Sequence[Summary], count: Callable[[str], int], budget: int) -> str:
    """Lines of each summary in turn, the first of each before the second of any, in the order they stand."""
    columns = [[line for line in summary.text.splitlines() if line.strip()] for summary in summaries]
    places = sorted((row, column) for column, lines in enumerate(columns) for row in range(len(lines)))
    taken: list[tuple[int, int]] = []
    for row, column in places:
        tried = sorted([*taken, (column, row)])
        if count("\n".join(columns[c][r] for c, r in tried)) <= budget:
            taken = tried
    return "\n".join(columns[c][r] for c, r in taken)


def _about(session: str) -> str:
    return f"window:{session}"


def _until(summary: Summary) -> datetime:
    return summary.until or _BEGINNING


def _live(summaries: Sequence[Summary]) -> list[Summary]:
    """Those that no other one stands for, oldest first."""
    folded = {id for summary in summaries for id in summary.of}
    return sorted((summary for summary in summaries if summary.id not in folded), key=_until)


def _gap(space: Space, session: str, summaries: Sequence[Summary]) -> list[Episode]:
    """Turns from before the last summary's end that none stands for: theirs was dropped, or they came late."""
    if not summaries:
        return []
    end = max(map(_until, summaries)) + timedelta(microseconds=1)
    before = Query(where={"session": session}, until=end)
    covered = {id for summary in summaries for id in summary.of}
    if space.ledger.count(Episode, before) == sum(not id.startswith("summary:") for id in covered):
        return []
    return sorted(
        (turn for turn in space.ledger.select(Episode, before) if turn.id not in covered), key=lambda turn: turn.at
    )


def _chunks(turns: Sequence[Episode], cost: Callable[[Episode], int], room: int) -> list[list[Episode]]:
    """The turns in runs that cost at most `room` tokens each; one that costs more is a run of its own."""
    chunks: list[list[Episode]] = []
    spent = 0
    for turn in turns:
        spent += cost(turn)
        if not chunks or spent > room:
            chunks.append([])
            spent = cost(turn)
        chunks[-1].append(turn)
    return chunks
