"""How fast one store takes in and finds, and what it costs, as it grows; beside plainer things in the same run.

Turns, questions and vectors are made up (see `synthetic`), the time of embedding is taken out. Each
contestant runs in a process of its own, one after the other, so that peak memory is its own:

    ours     `Memory.add` and `Memory.search` on a folder: SQLite, Chroma, the fitted fusion of all arms
    chroma   a Chroma collection with its defaults: vectors only
    numpy    one float32 matrix in memory and a product: vectors only, nothing kept
    fts5     an SQLite FTS5 table, all words of the question OR-ed, BM25: words only
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.report import Plot, Report, Table, stamped
from memory_agent.evaluation.synthetic import DIMENSION, TOPICS, Asked, WordVectors, questions, turn
from memory_agent.folders import bytes_in
from memory_agent.memory import Memory
from memory_agent.protocols import Progress, Vectors
from memory_agent.records import Turn

SIZES = (1_000, 10_000, 100_000)
BATCH = 1_000
"""Turns handed to one `add`."""
QUESTIONS = 200
PEERS = ("chroma", "numpy", "fts5")
_TOP = 10
_ALONE = 20
"""Turns added one at a time, each looked for at once."""


class _Contestant(Protocol):
    """Something that takes turns in and finds them."""

    def add(self, turns: Sequence[Turn]) -> float:
        """Take turns in; the seconds it took, embedding apart."""
        ...

    def ask(self, question: str) -> tuple[list[str], float]:
        """The ids of the best, and the milliseconds it took, embedding apart."""
        ...

    def more(self, size: int, asked: Sequence[Asked]) -> dict[str, Any]:
        """Figures that only this one has."""
        ...


class _Timed(WordVectors):
    """Word vectors that know how long they took."""

    seconds = 0.0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        began = time.perf_counter()
        try:
            return super().embed_documents(texts)
        finally:
            self.seconds += time.perf_counter() - began


class _Ours:
    """A Memory on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._embeddings = folder, _Timed()
        with self._open("warm") as warm:  # loads what is loaded once in a process
            warm.add([turn(0)])
            warm.search("warm")
        self._memory = self._open()

    def _open(self, user: str = "scale") -> Memory:
        return Memory.open(self._folder, user=user, embedder=self._embeddings, settings=Settings())

    def add(self, turns: Sequence[Turn]) -> float:
        before, began = self._embeddings.seconds, time.perf_counter()
        self._memory.add(turns)
        return time.perf_counter() - began - (self._embeddings.seconds - before)

    def ask(self, question: str, **filters: Any) -> tuple[list[str], float]:
        began = time.perf_counter()
        found = self._memory.search(question, limit=_TOP, **filters)
        took = (time.perf_counter() - began) * 1000
        return [hit.record.id for hit in found.hits], took - found.trace.milliseconds.get("embed", 0.0)

    def more(self, size: int, asked: Sequence[Asked]) -> dict[str, Any]:
        filtered = [self.ask(one.text, metadata={"topic": n % TOPICS})[1] for n, one in enumerate(asked)]
        seen, waited = 0, []
        for number in range(10_000_000 + size, 10_000_000 + size + _ALONE):
            new = turn(number)
            self.add([new])
            ids, took = self.ask(new.content)
            seen += new.id in ids
            waited.append(took)
        self._memory.close()
        began = time.perf_counter()
        self._memory = self._open()
        self.ask("anything")
        return {
            "filtered_p50_ms": _percentile(filtered, 50),
            "filtered_p95_ms": _percentile(filtered, 95),
            "own_writes_seen": seen / _ALONE,
            "after_a_write_p50_ms": _percentile(waited, 50),
            "open_and_first_search_s": round(time.perf_counter() - began, 2),
        }


class _Bare:
    """What the peers share: vectors made beforehand, and nothing more to tell."""

    def __init__(self) -> None:
        self._embeddings = WordVectors()

    def vectors(self, texts: Sequence[str]) -> Vectors:
        made = self._embeddings.vectors(texts)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)

    def more(self, size: int, asked: Sequence[Asked]) -> dict[str, Any]:
        return {}


class _Chroma(_Bare):
    """A Chroma collection, nothing around it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")
        import chromadb
        from chromadb.config import Settings as ChromaSettings

        client = chromadb.PersistentClient(str(folder), settings=ChromaSettings(anonymized_telemetry=False))
        cosine: Any = {"hnsw": {"space": "cosine"}}
        self._collection = client.create_collection("scale", embedding_function=None, configuration=cosine)

    def add(self, turns: Sequence[Turn]) -> float:
        vectors = self.vectors([turn.content for turn in turns])
        began = time.perf_counter()
        self._collection.add(ids=[str(turn.id) for turn in turns], embeddings=vectors)
        return time.perf_counter() - began

    def ask(self, question: str) -> tuple[list[str], float]:
        vectors = self.vectors([question])
        began = time.perf_counter()
        found = self._collection.query(query_embeddings=vectors, n_results=_TOP, include=["distances"])
        return found["ids"][0], (time.perf_counter() - began) * 1000


class _Numpy(_Bare):
    """A matrix and a product."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._ids: list[str] = []
        self._rows: Vectors = np.zeros((0, DIMENSION), dtype=np.float32)

    def add(self, turns: Sequence[Turn]) -> float:
        vectors = self.vectors([turn.content for turn in turns])
        began = time.perf_counter()
        self._ids += [str(turn.id) for turn in turns]
        self._rows = np.concatenate([self._rows, vectors])
        return time.perf_counter() - began

    def ask(self, question: str) -> tuple[list[str], float]:
        vector = self.vectors([question])[0]
        began = time.perf_counter()
        similar = self._rows @ vector
        best = np.argpartition(-similar, _TOP)[:_TOP]
        return [self._ids[n] for n in best[np.argsort(-similar[best])]], (time.perf_counter() - began) * 1000


class _Fts5(_Bare):
    """An FTS5 table, all words OR-ed."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._db = sqlite3.connect(folder / "words.sqlite")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE VIRTUAL TABLE words USING fts5(id UNINDEXED, text, tokenize='porter unicode61')")

    def add(self, turns: Sequence[Turn]) -> float:
        began = time.perf_counter()
        with self._db:
            self._db.executemany("INSERT INTO words VALUES (?, ?)", [(turn.id, turn.content) for turn in turns])
        return time.perf_counter() - began

    def ask(self, question: str) -> tuple[list[str], float]:
        either = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
        began = time.perf_counter()
        found = self._db.execute(
            "SELECT id FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (either, _TOP)
        ).fetchall()
        return [id for (id,) in found], (time.perf_counter() - began) * 1000


_CONTESTANTS: dict[str, Callable[[Path], _Contestant]] = {
    "ours": _Ours, "chroma": _Chroma, "numpy": _Numpy, "fts5": _Fts5,
}  # fmt: skip


def run(
    sizes: Sequence[int] = SIZES,
    *,
    count: int = QUESTIONS,
    peers: Sequence[str] = PEERS,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """One row a size, ascending: our figures, each peer's under `peers`, and under `ratios` our p50 over theirs.

    `p50_ms` and `p95_ms` are of a search for ten, `adds_per_s` of durable adds in batches of BATCH since
    the size before, `rss_mb` the process's peak so far, `found` the share of questions whose turn was
    among the ten, `growth` p95 over that of the size before, beside the square root of the sizes' ratio.
    Raises InvalidInput on sizes that are not positive or an unknown peer.
    """
    if not sizes or min(sizes) < 1 or count < 1:
        raise InvalidInput(f"sizes {list(sizes)} and questions {count}: each must be 1 or more")
    if unknown := [name for name in peers if name not in PEERS]:
        raise InvalidInput(f"unknown peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    ordered = sorted(set(sizes))
    measured: dict[str, list[dict[str, Any]]] = {}
    names = ("ours", *peers)
    for done, name in enumerate(names):
        if progress is not None:
            progress(done / len(names), name)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            measured[name] = process.submit(_measure, name, ordered, count).result()
    rows = measured["ours"]
    for place, row in enumerate(rows):
        row["peers"] = {name: measured[name][place] for name in peers}
        row["ratios"] = {name: round(row["p50_ms"] / measured[name][place]["p50_ms"], 2) for name in peers}
        if place:
            before = rows[place - 1]
            row["growth"] = {
                "p95": round(row["p95_ms"] / before["p95_ms"], 2),
                "sqrt_n": round((row["n"] / before["n"]) ** 0.5, 2),
            }
    return rows


def report(rows: Sequence[Mapping[str, Any]]) -> Report:
    """What `run` found, as a page shows it: every contestant at every size."""
    everybody = [(row["n"], name, figures) for row in rows for name, figures in _contest(row)]
    figures = ("p50_ms", "p95_ms", "adds_per_s", "rss_mb", "disk_mb", "found")
    table = Table(
        columns=("turns", "", "p50 ms", "p95 ms", "adds/s", "RSS MB", "disk MB", "found"),
        rows=tuple((n, name, *(one[f] for f in figures)) for n, name, one in everybody),
    )

    ours = (
        "filtered_p50_ms", "filtered_p95_ms", "own_writes_seen", "after_a_write_p50_ms", "open_and_first_search_s",
    )  # fmt: skip
    peers = list(rows[0]["peers"]) if rows else []
    more = Table(
        title="memory-agent further: a filter that leaves 1 %, own writes, opening; how p95 grew from the size before, "
        "its p50 over the others'",
        columns=(
            "turns", "filtered p50 ms", "filtered p95 ms", "own writes found", "p50 ms after a write",
            "open and first search s", "growth of p95", "square root", *(f"p50 over {name}" for name in peers),
        ),
        rows=tuple(
            (
                row["n"], *(row[name] for name in ours), row.get("growth", {}).get("p95"),
                row.get("growth", {}).get("sqrt_n"), *(row["ratios"][name] for name in peers),
            )
            for row in rows
        ),
    )  # fmt: skip

    def over_size(name: str, figure: str, title: str, unit: str, aim: float | None = None) -> Plot:
        points: dict[str, tuple[tuple[float, float], ...]] = {}
        for n, who, one in everybody:
            points[who] = (*points.get(who, ()), (n, one[figure]))
        return Plot(
            name=name, title=title, form="lines", points=points, x="turns", y=unit, log_x=True, log_y=True, aim=aim
        )

    drawn = [
        over_size("search", "p95_ms", "A search for ten, 95th percentile", "ms", 25),
        over_size("add", "adds_per_s", "Turns taken in, durably", "turns a second", 1500),
        over_size("memory", "rss_mb", "Peak memory of the process", "MB", 1000),
    ]
    return stamped("scale", "Scale", tables=[table, more], plots=drawn)


def _contest(row: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [("memory-agent", row), *row["peers"].items()]


def _measure(name: str, sizes: Sequence[int], count: int) -> list[dict[str, Any]]:
    """One contestant at every size, in this process."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        contestant, there = _CONTESTANTS[name](Path(folder)), 0
        for size in sizes:
            added, seconds = size - there, 0.0
            while there < size:
                batch = [turn(number) for number in range(there, min(there + BATCH, size))]
                seconds += contestant.add(batch)
                there += len(batch)
            asked = questions(size, count)
            contestant.ask(asked[0].text)
            answers = [contestant.ask(one.text) for one in asked]
            row = {
                "n": size,
                "p50_ms": _percentile([took for _, took in answers], 50),
                "p95_ms": _percentile([took for _, took in answers], 95),
                "adds_per_s": round(added / seconds, 1),
                "rss_mb": round(_peak() / 1e6, 1),
                "disk_mb": round(bytes_in(Path(folder)) / 1e6, 1),
                "found": round(sum(one.answer in ids for one, (ids, _) in zip(asked, answers, strict=True)) / count, 3),
            }
            rows.append(row | contestant.more(size, asked))
    return rows


def _percentile(values: Sequence[float], share: int) -> float:
    return round(float(np.percentile(values, share)), 3)


def _peak() -> int:
    """The most memory this process ever held, in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
