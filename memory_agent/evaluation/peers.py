"""What retrieval is measured beside, in the same run: over the same turns, with the same embedder, each as it comes.

    bm25        SQLite FTS5, Porter stems, the question's words OR-ed
    dense       a product of unit vectors: a vector store at its best, and what mem0 does with turns as said
    chroma      a Chroma collection with its defaults (an approximate graph)
    langgraph   LangGraph's InMemoryStore with its index over the text

Each gets a turn as "SPEAKER: words", a conversation by itself, and is asked the question as it stands.
"""

from __future__ import annotations

import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from memory_agent.errors import MissingExtra
from memory_agent.models.embedders import Embedder
from memory_agent.records import Turn


class Peer(Protocol):
    """Something that was given the turns of one conversation, and names the best for a question by their ids."""

    def ask(self, question: str, limit: int) -> list[str]:
        """Ids of turns, best first, at most `limit`."""
        ...


class _Bm25:
    def __init__(self, turns: Mapping[str, str], embedder: Embedder) -> None:
        self._db = sqlite3.connect(":memory:")
        self._db.execute("CREATE VIRTUAL TABLE turns USING fts5(id UNINDEXED, text, tokenize='porter unicode61')")
        self._db.executemany("INSERT INTO turns VALUES (?, ?)", turns.items())

    def ask(self, question: str, limit: int) -> list[str]:
        either = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
        found = self._db.execute(
            "SELECT id FROM turns WHERE turns MATCH ? ORDER BY rank LIMIT ?", (either or '""', limit)
        )
        return [id for (id,) in found]


class _Dense:
    def __init__(self, turns: Mapping[str, str], embedder: Embedder) -> None:
        self._ids, self._embedder = list(turns), embedder
        self._rows = embedder.embed(list(turns.values()))

    def ask(self, question: str, limit: int) -> list[str]:
        similar = self._rows @ self._embedder.embed_query(question)
        return [self._ids[n] for n in np.argsort(-similar, kind="stable")[:limit]]


class _Chroma:
    def __init__(self, turns: Mapping[str, str], embedder: Embedder) -> None:
        os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        self._embedder = embedder
        # It goes with this object, which outlives no conversation.
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        client = chromadb.PersistentClient(self._folder.name, settings=ChromaSettings(anonymized_telemetry=False))
        cosine: Any = {"hnsw": {"space": "cosine"}}
        self._turns = client.create_collection("turns", embedding_function=None, configuration=cosine)
        self._turns.add(ids=list(turns), embeddings=embedder.embed(list(turns.values())))

    def ask(self, question: str, limit: int) -> list[str]:
        vector = self._embedder.embed_query(question)[None, :]
        found = self._turns.query(query_embeddings=vector, n_results=limit, include=["distances"])
        return [str(id) for id in found["ids"][0]]


class _LangGraph:
    def __init__(self, turns: Mapping[str, str], embedder: Embedder) -> None:
        try:
            from langgraph.store.memory import InMemoryStore
        except ImportError as error:
            raise MissingExtra("LangGraph's store", "langgraph") from error

        def embed(texts: Sequence[str]) -> list[list[float]]:
            vectors: list[list[float]] = embedder.embed(list(texts)).tolist()
            return vectors

        size = len(embed(["how long a vector is"])[0])
        self._store = InMemoryStore(index={"embed": embed, "dims": size, "fields": ["text"]})
        for id, text in turns.items():
            self._store.put(("turns",), id, {"text": text})

    def ask(self, question: str, limit: int) -> list[str]:
        return [item.key for item in self._store.search(("turns",), query=question, limit=limit)]


PEERS: Mapping[str, Callable[[Mapping[str, str], Embedder], Peer]] = {
    "bm25": _Bm25, "dense": _Dense, "chroma": _Chroma, "langgraph": _LangGraph,
}  # fmt: skip


def texts(turns: Sequence[Turn]) -> dict[str, str]:
    """Turns as every peer gets them, by their ids."""
    return {str(turn.id): f"{turn.speaker or turn.role}: {turn.content}" for turn in turns}
