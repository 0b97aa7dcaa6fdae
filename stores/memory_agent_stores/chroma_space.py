"""One space's vectors in Chroma: a collection for each kind of record, its state in the collection's own metadata.

How collections are opened, shared between processes and healed is the index's (`chroma`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_agent.errors import StoreError
from memory_agent.protocols import IndexState, Vectors
from memory_agent_stores.chroma_client import chroma_failed
from memory_agent_stores.mixing import KINDS, embedder_changed

if TYPE_CHECKING:
    from memory_agent_stores.chroma import ChromaIndex


class ChromaSpace:
    """The vectors of one space: a collection for each kind."""

    def __init__(self, index: ChromaIndex, name: str) -> None:
        self._index = index
        self._name = name

    def _collection(self, kind: str) -> str:
        if kind not in KINDS:
            raise StoreError(f"vectors are kept of {', '.join(KINDS)}, not of {kind!r}")
        return f"{self._name}-{kind}"

    def state(self, kind: str | None = None) -> IndexState | None:
        """What `kind` is true to, or both kinds (the lower position); None until applied to."""
        kinds = [kind] if kind else KINDS
        states = [self._index.read(self._collection(each), state_of, None, graph=False) for each in kinds]
        present = [state for state in states if state is not None]
        return min(present, key=lambda state: state.position) if len(present) == len(states) else None

    def apply(
        self, kind: str, upserts: Sequence[str], vectors: Vectors, deletes: Sequence[str], *, state: IndexState
    ) -> None:
        """Upsert `vectors` (len(upserts), dimension) and delete ids, then record `state`.

        Raises EmbedderChanged when `state` names another model or dimension than the stored one.
        """
        name = self._collection(kind)
        with self._index.write(name) as index:
            try:
                self._put(index, name, upserts, vectors, deletes, state)
            except BaseException as error:
                if not chroma_failed(error):
                    raise
                index.give_up(name, error)
                self._put(index, name, upserts, vectors, deletes, state)

    def _put(
        self,
        index: ChromaIndex,
        name: str,
        upserts: Sequence[str],
        vectors: Vectors,
        deletes: Sequence[str],
        state: IndexState,
    ) -> None:
        told = {"model": state.model, "dimension": state.dimension, "metric": state.metric}
        collection = index.collection(name)
        if collection is None:
            collection = index.create(name, {**told, "position": 0})
        held = state_of(collection)
        if (held.model, held.dimension) != (state.model, state.dimension):
            raise embedder_changed(held, state)
        if deletes:
            index.delete(collection, deletes)
        if len(upserts):
            index.upsert(collection, upserts, np.asarray(vectors, dtype=np.float32))
        collection.modify(metadata={**told, "position": state.position})

    def query(self, kind: str, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """The nearest ids with their cosine similarity, best first."""

        name = self._collection(kind)
        question = np.asarray(vector, dtype=np.float32).reshape(-1)

        def nearest(collection: Any) -> list[tuple[str, float]]:
            matrix = self._index.matrix(name, collection)
            if matrix is not None:
                return matrix.nearest(question, limit)
            wanted = min(limit, collection.count())
            if wanted <= 0:
                return []
            found = collection.query(query_embeddings=question.reshape(1, -1), n_results=wanted, include=["distances"])
            pairs = zip(found["ids"][0], found["distances"][0], strict=True)
            return [(str(id), 1.0 - float(distance)) for id, distance in pairs]

        return self._index.read(name, nearest, [])

    def ids(self, kind: str) -> set[str]:
        return self._index.read(self._collection(kind), lambda c: set(c.get(include=[])["ids"]), set(), graph=False)

    def count(self, kind: str) -> int:
        name = self._collection(kind)
        return self._index.read(name, lambda collection: self._index.count(name, collection), 0, graph=False)

    def vectors(self, kind: str, ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored vectors, each (dimension,), of those ids that have one."""
        if not len(ids):
            return {}

        name = self._collection(kind)

        def held(collection: Any) -> dict[str, Vectors]:
            found = collection.get(ids=list(ids), include=["embeddings"])
            return dict(zip(found["ids"], np.asarray(found["embeddings"], dtype=np.float32), strict=True))

        just = self._index.just_written(name, ids)
        return just if just is not None else self._index.read(name, held, {})

    def clear(self) -> None:
        """Drop everything of this space, the state included."""
        for kind in KINDS:
            with self._index.write(self._collection(kind)) as index:
                index.drop(self._collection(kind))


def state_of(collection: Any) -> IndexState:
    """What a collection's metadata says it is true to."""
    told = collection.metadata
    return IndexState(str(told["model"]), int(told["dimension"]), int(told["position"]), str(told["metric"]))
