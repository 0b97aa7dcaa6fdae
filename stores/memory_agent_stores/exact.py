"""Nearest neighbours by comparing with every vector: nothing is overlooked, and no graph is faster up to some 100,000.

Holds ids and numbers, and knows nothing of where they are kept.
"""

from __future__ import annotations

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
