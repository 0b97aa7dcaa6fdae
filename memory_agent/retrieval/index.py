"""Keeping the vector index level with the ledger.

The ledger is the truth and the index derived from it. `catch_up` may be called at any time, by any
process, after any crash: it embeds what the ledger has and the index lacks, deletes what the ledger
no longer has, and moves the index's position on only over what is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from memory_agent.errors import EmbedderChanged, StoreBusy
from memory_agent.protocols import IndexState, Progress, Query, SpaceLedger
from memory_agent.records import Episode, Fact, Stored, Tombstone
from memory_agent.retrieval import snapshot
from memory_agent.space import Space

BATCH = 1024
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
    states = [space.index.state(kind.kind) for kind in _KINDS]
    for state in states:
        if state is not None and state.model != space.embedder.name:
            raise EmbedderChanged(
                f"the vector index was built with {state.model}, not with {space.embedder.name}: "
                "go back to that embedder, or re-embed everything with `memory-agent rebuild`"
            )
    if _is_level(space, states):
        return 0
    try:
        with space.ledger.lock("index", wait=space.settings.lock_wait):
            return _Catching(space, progress).run()
    except StoreBusy:
        return 0


def unembedded(space: Space, limit: int = BATCH) -> list[str]:
    """At most `limit` of the texts of episodes that `catch_up` would embed now; none when the index is another's."""
    state = space.index.state(Episode.kind)
    if state is not None and state.model != space.embedder.name:
        return []
    since = 0 if state is None else state.position
    return [text_of(one) for one in space.ledger.select(Episode, Query(text_after=since, limit=limit))]


def windows(
    ledger: SpaceLedger, kind: type[Episode] | type[Fact], start: int, target: int
) -> Iterator[tuple[int, int]]:
    """Position ranges (start, end] that together reach `target`, each of at most WINDOW rows or one position."""

    def rows(start: int, end: int) -> int:
        return ledger.count(kind, Query(text_after=start, text_until=end))

    while start < target:
        low, high = start + 1, target
        if rows(start, high) > WINDOW:
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (middle, high) if rows(start, middle) <= WINDOW else (low, middle - 1)
        yield start, high
        start = high


def rebuild(space: Space, progress: Progress | None = None) -> int:
    """Throw the space's vectors away and embed everything again, with whatever embedder it has now.

    Returns the number of records embedded. Raises StoreBusy while another process works on the index.
    """
    with space.ledger.lock("index", wait=space.settings.lock_wait):
        space.index.clear()
        space.embedder.clear()
        snapshot.purge(space)
        return _Catching(space, progress).run()


def _is_level(space: Space, states: Sequence[IndexState | None]) -> bool:
    """Whether the index is true to the ledger's last position and holds as many vectors as it should."""
    position = space.ledger.position()
    return position == 0 or all(
        state is not None
        and state.position == position
        and space.index.count(kind.kind) == space.ledger.count(kind, _living(kind))
        for kind, state in zip(_KINDS, states, strict=True)
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
        states = [space.index.state(kind.kind) for kind in _KINDS]
        if any(state is not None and state.position > self._target for state in states):
            space.index.clear()  # the ledger was put back from a backup
            states = [None for _ in _KINDS]
        self._since = {
            kind: state.position if state is not None else 0 for kind, state in zip(_KINDS, states, strict=True)
        }
        self._due = 0
        if progress is not None:
            self._due = sum(
                space.ledger.count(kind, Query(text_after=since, text_until=self._target))
                for kind, since in self._since.items()
            )
        self._dimension = next((state.dimension for state in states if state is not None), 0)

    def run(self) -> int:
        """Catch up with both kinds; the number of records embedded."""
        self._dimension = self._dimension or int(self._space.embedder.embed(["dimension"]).shape[1])
        for kind in _KINDS:
            forgotten = self._forgotten(kind)
            if forgotten:
                snapshot.purge(self._space)  # whoever forgot it may have been killed before it came to that
                self._apply(kind, [], forgotten, self._since[kind])
            for start, end in windows(self._space.ledger, kind, self._since[kind], self._target):
                self._bring(kind, start, end)
            self._heal(kind)
        return self._done

    def _forgotten(self, kind: type[Episode] | type[Fact]) -> list[str]:
        """Ids tombstoned since, that nothing has taken again."""
        stones = self._space.ledger.select(Tombstone, Query(where={"of_kind": kind.kind}, after=self._since[kind]))
        ids = [stone.of_id for stone in stones]
        there = {record.id for record in self._space.ledger.select(kind, _living(kind, Query(ids=ids)))} if ids else ()
        return [id for id in ids if id not in there]

    def _bring(self, kind: type[Episode] | type[Fact], start: int, end: int) -> None:
        """Embed what changed in a window, delete what went, and record that the window is done."""
        changed = self._space.ledger.select(kind, Query(text_after=start, text_until=end))
        ids = list(dict.fromkeys(record.id for record in changed))
        living = changed if kind is Episode else self._space.ledger.select(kind, _living(kind, Query(ids=ids)))
        kept = {record.id for record in living}
        for first in range(0, len(living), BATCH):
            last = first + BATCH >= len(living)
            self._apply(kind, living[first : first + BATCH], [], end if last and len(kept) == len(ids) else start)
        if not living or len(kept) < len(ids):
            self._apply(kind, [], [id for id in ids if id not in kept], end)

    def _apply(self, kind: type[Stored], records: Sequence[Stored], deletes: Sequence[str], position: int) -> None:
        """Embed `records`, hand them and the deletes to the index, and record the position."""
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
        missing = [record for record in living if record.id not in held]
        for first in range(0, len(missing), BATCH):
            self._apply(kind, missing[first : first + BATCH], [], self._target)
        surplus = held - {record.id for record in living}
        if surplus:
            self._apply(kind, [], sorted(surplus), self._target)
