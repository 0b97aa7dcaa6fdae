"""Vectors in memory: nearest neighbours by comparing with every one, and those that were just written.

Nothing is overlooked that way, and no graph is faster up to some 100,000.

Holds ids and numbers, and knows nothing of where they are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from memory_agent.protocols import Vectors


class Matrix:
    """Unit vectors under their ids, in one block that grows by a quarter. Not safe between threads."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._number: dict[str, int] = {}
        self._rows: Vectors = np.zeros((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def put(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Set the vectors, shape (len(ids), dimension), of ids, known or new. They need not be of unit length."""
        if not len(ids):
            return
        new = [id for id in dict.fromkeys(ids) if id not in self._number]
        self._number.update((id, number) for number, id in enumerate(new, start=len(self._ids)))
        self._ids += new
        if len(self._rows) < len(self._ids):
            room = len(self._ids) + (len(self._ids) // 4 if len(self._rows) else 0)
            grown: Vectors = np.zeros((room, vectors.shape[1]), dtype=np.float32)
            if len(self._rows):
                grown[: len(self._rows)] = self._rows
            self._rows = grown
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._rows[[self._number[id] for id in ids]] = vectors / np.where(lengths == 0, 1, lengths)

    def remove(self, ids: Sequence[str]) -> None:
        """Take ids out, those that are not there included; the last row moves to where one went."""
        for id in ids:
            number = self._number.pop(id, None)
            if number is None:
                continue
            last = self._ids.pop()
            if last != id:
                self._ids[number] = last
                self._number[last] = number
                self._rows[number] = self._rows[len(self._ids)]
            self._rows[len(self._ids)] = 0

    def nearest(self, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """At most `limit` ids with their cosine similarity to `vector` (dimension,), best first."""
        if limit <= 0 or not self._ids:
            return []
        similar = self._rows[: len(self._ids)] @ (vector / (float(np.linalg.norm(vector)) or 1.0))
        best = np.argpartition(-similar, limit - 1)[:limit] if limit < len(similar) else np.arange(len(similar))
        return [(self._ids[n], float(similar[n])) for n in best[np.lexsort((best, -similar[best]))]]


class Recent:
    """The vectors written last, of any number of collections, by collection and id. Not safe between threads."""

    def __init__(self, keep: int = 4096) -> None:
        self._keep = keep
        self._vectors: OrderedDict[tuple[str, str], Vectors] = OrderedDict()

    def put(self, name: str, ids: Sequence[str], vectors: Vectors) -> None:
        """Keep the last of these vectors, shape (len(ids), dimension), in place of older ones."""
        if len(ids) > self._keep:
            ids, vectors = ids[-self._keep :], vectors[-self._keep :]
        for id, vector in zip(ids, vectors, strict=True):
            self._vectors.pop((name, id), None)
            self._vectors[name, id] = np.array(vector, dtype=np.float32)
        while len(self._vectors) > self._keep:
            self._vectors.popitem(last=False)

    def get(self, name: str, ids: Sequence[str]) -> dict[str, Vectors] | None:
        """The vectors, each (dimension,), when all of them are here, else None."""
        found = {id: self._vectors[name, id] for id in ids if (name, id) in self._vectors}
        return found if len(found) == len(ids) else None

    def remove(self, name: str, ids: Sequence[str]) -> None:
        """Take ids of a collection out, those that are not there included."""
        for id in ids:
            self._vectors.pop((name, id), None)

    def drop(self, name: str) -> None:
        """Take a whole collection out."""
        self.remove(name, [id for held, id in self._vectors if held == name])

    def clear(self) -> None:
        """Take everything out."""
        self._vectors.clear()
