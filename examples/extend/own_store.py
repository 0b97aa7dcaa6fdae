"""A store of your own: SQLite keeps the truth, the vectors lie in one matrix a space, searched whole.

Its package says in pyproject.toml what serves the URL `plain://FOLDER`:

    [project.entry-points."memory_agent.stores"]
    plain = "own_store:open_store"
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from memory_agent.errors import EmbedderChanged
from memory_agent.protocols import Backend, IndexState, Vectors
from memory_agent_stores.sqlite import SqliteLedger


class MatrixIndex:
    """One space's vectors by kind; gone with the process, since any index is made anew from the ledger."""

    def __init__(self) -> None:
        self.states: dict[str, IndexState] = {}
        self.rows: dict[str, dict[str, Vectors]] = {"episode": {}, "fact": {}}

    def state(self, kind: str | None = None) -> IndexState | None:
        if kind:
            return self.states.get(kind)
        return min(self.states.values(), key=lambda s: s.position) if len(self.states) == 2 else None

    def apply(
        self, kind: str, upserts: Sequence[str], vectors: Vectors, deletes: Sequence[str], *, state: IndexState
    ) -> None:
        for known in self.states.values():
            if (known.model, known.dimension) != (state.model, state.dimension):
                raise EmbedderChanged(f"vectors of {known.model}, not of {state.model}: memory-agent rebuild")
        for id in deletes:
            self.rows[kind].pop(id, None)
        self.rows[kind].update(zip(upserts, np.asarray(vectors, dtype=np.float32), strict=True))
        self.states[kind] = state

    def query(self, kind: str, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        near = [(id, float(row @ vector)) for id, row in self.rows[kind].items()]
        return sorted(near, key=lambda one: -one[1])[:limit]

    def ids(self, kind: str) -> set[str]:
        return set(self.rows[kind])

    def count(self, kind: str) -> int:
        return len(self.rows[kind])

    def vectors(self, kind: str, ids: Sequence[str]) -> dict[str, Vectors]:
        return {id: self.rows[kind][id] for id in ids if id in self.rows[kind]}

    def clear(self) -> None:
        self.states.clear()
        self.rows = {"episode": {}, "fact": {}}


class MatrixIndexes:
    """The vectors of every space."""

    def __init__(self) -> None:
        self.spaces: dict[str, MatrixIndex] = {}

    def space(self, key: str) -> MatrixIndex:
        return self.spaces.setdefault(key, MatrixIndex())

    def compact(self) -> None:
        """Nothing of what was deleted is left anywhere."""

    def close(self) -> None:
        self.spaces.clear()


def open_store(url: str) -> Backend:
    """The store of plain://FOLDER."""
    folder = Path(url.removeprefix("plain://"))
    return Backend(SqliteLedger(folder), MatrixIndexes(), folder)
