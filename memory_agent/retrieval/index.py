"""Keeping the vector index level with the ledger.

The ledger is the truth and the index derived from it. `catch_up` may be called at any time, by any
process, after any crash: it embeds what the ledger has and the index lacks, deletes what the ledger
no longer has, and moves the index's position on only over what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from memory_agent.errors import EmbedderChanged, StoreBusy
from memory_agent.protocols import IndexState, Progress, Query
from memory_agent.records import Episode, Fact, Stored, Tombstone
from memory_agent.space import Space

BATCH = 256
"""Texts embedded at a time."""
WINDOW = 2048
"""Rows after which the index's position is recorded, so that a killed rebuild does not begin anew."""

_KINDS: tuple[type[Episode] | type[Fact], ...] = (Episode, Fact)


def text_of(record: Stored) -> str:
    """What is embedded of an episode ("speaker: content") or a fact (its sentence)."""
    if isinstance(record, Episode):
        return f"{record.speaker}: {record.content}"
    if isinstance(record, Fact):
        return record.text
    raise TypeError(f"{record.kind}s are not searched by vector")


def catch_up(space: Space, progress: Progress | None = None) -> int:
    """Bring the vector index level with the ledger; return the number of records embedded.

    Only one process works on a space's index at a time; when another is at it for longer than
    `settings.lock_wait` seconds this returns 0, as the other one is doing the work.
    Raises EmbedderChanged when the index was built with another embedder, and the embedder's own errors.
    """
    state = space.index.state()
    if state is not None and state.model != space.embedder.name:
        raise EmbedderChanged(
            f"the vector index was built with {state.model}, not with {space.embedder.name}: "
            "go back to that embedder, or re-embed everything with `memory-agent rebuild`"
        )
    if _is_level(space, state):
        return 0
    try:
        with space.ledger.lock("index", wait=space.settings.lock_wait):
            return _Catching(space, progress).run()
    except StoreBusy:
        return 0


def rebuild(space: Space, progress: Progress | None = None) -> int:
    """Throw the space's vectors away and embed everything again, with whatever embedder it has now.

    Returns the number of records embedded. Raises StoreBusy while another process works on the index.
    """
    with space.ledger.lock("index", wait=space.settings.lock_wait):
        space.index.clear()
        return _Catching(space, progress).run()


def _is_level(space: Space, state: IndexState | None) -> bool:
    """Whether the index is true to the ledger's last position and holds as many vectors as it should."""
    position = space.ledger.position()
    if state is None:
        return position == 0
    return state.position == position and all(
        space.index.count(kind.kind) == space.ledger.count(kind, _living(kind)) for kind in _KINDS
    )


def _living(kind: type[Stored], query: Query = Query()) -> Query:
    """`query`, of facts restricted to the current ones."""
    if kind is not Fact:
        return query
    return Query(where={"retired_at": None}, ids=query.ids)


class _Catching:
    """One run of catching up; holds the index's lock."""

    def __init__(self, space: Space, progress: Progress | None) -> None:
        self._space = space
        self._progress = progress
        self._target = space.ledger.position()
        self._done = 0
        state = space.index.state()
        if state is not None and state.position > self._target:  # the ledger was put back from a backup
            space.index.clear()
            state = None
        self._since = 0 if state is None else state.position
        self._due = sum(
            space.ledger.count(kind, Query(text_after=self._since, text_until=self._target)) for kind in _KINDS
        )
        self._dimension = 0 if state is None else state.dimension

    def run(self) -> int:
        if not self._dimension:
            if not self._due:
                return 0
            self._dimension = int(self._space.embedder.embed(["dimension"]).shape[1])
        for kind in _KINDS:
            self._apply(kind, [], self._forgotten(kind), self._since)
            for start, end in self._windows(kind):
                self._bring(kind, start, end)
            self._apply(kind, [], [], self._target)
            self._heal(kind)
        return self._done

    def _forgotten(self, kind: type[Episode] | type[Fact]) -> list[str]:
        """Ids tombstoned since, that nothing has taken again."""
        stones = self._space.ledger.select(Tombstone, Query(where={"of_kind": kind.kind}, after=self._since))
        ids = [stone.of_id for stone in stones]
        there = {record.id for record in self._space.ledger.select(kind, _living(kind, Query(ids=ids)))} if ids else ()
        return [id for id in ids if id not in there]

    def _windows(self, kind: type[Stored]) -> Iterator[tuple[int, int]]:
        """Position ranges (start, end] that together reach the target, each of at most WINDOW rows or one position."""

        def rows(start: int, end: int) -> int:
            return self._space.ledger.count(kind, Query(text_after=start, text_until=end))

        start = self._since
        while start < self._target:
            low, high = start + 1, self._target
            if rows(start, high) > WINDOW:
                while low < high:
                    middle = (low + high + 1) // 2
                    low, high = (middle, high) if rows(start, middle) <= WINDOW else (low, middle - 1)
            yield start, high
            start = high

    def _bring(self, kind: type[Episode] | type[Fact], start: int, end: int) -> None:
        """Embed what changed in a window, delete what went, and record that the window is done."""
        changed = self._space.ledger.select(kind, Query(text_after=start, text_until=end))
        ids = list(dict.fromkeys(record.id for record in changed))
        living = changed if kind is Episode else self._space.ledger.select(kind, _living(kind, Query(ids=ids)))
        kept = {record.id for record in living}
        self._embed(kind, living, start)
        self._apply(kind, [], [id for id in ids if id not in kept], end)

    def _embed(self, kind: type[Stored], records: Sequence[Stored], position: int) -> None:
        for start in range(0, len(records), BATCH):
            self._apply(kind, records[start : start + BATCH], [], position)

    def _apply(self, kind: type[Stored], records: Sequence[Stored], deletes: Sequence[str], position: int) -> None:
        if not records and not deletes and position == self._since and self._since:
            return
        vectors = (
            self._space.embedder.embed([text_of(record) for record in records])
            if records
            else np.zeros((0, self._dimension), dtype=np.float32)
        )
        state = IndexState(self._space.embedder.name, int(vectors.shape[1]), position)
        self._space.index.apply(kind.kind, [record.id for record in records], vectors, deletes, state=state)
        self._done += len(records)
        if self._progress is not None and records:
            self._progress(min(self._done / max(self._due, 1), 1.0), f"embedding {kind.kind}s")

    def _heal(self, kind: type[Episode] | type[Fact]) -> None:
        """Compare ids where the numbers differ: something was lost or left behind by a crash, or is being written."""
        if self._space.index.count(kind.kind) == self._space.ledger.count(kind, _living(kind)):
            return
        held = self._space.index.ids(kind.kind)
        living = self._space.ledger.select(kind, _living(kind))
        surplus = held - {record.id for record in living}
        self._embed(kind, [record for record in living if record.id not in held], self._target)
        self._apply(kind, [], sorted(surplus), self._target)
