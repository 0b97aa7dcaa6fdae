"""A store that lives in this process: plain dictionaries as ledger, an exact matrix as index. For tests and trials.

Readers see an immutable snapshot; a transaction works on a copy and puts it in place when it ends well.
"""

from __future__ import annotations

import math
import re
import tempfile
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import snowballstemmer

from memory_agent.errors import StoreBusy, StoreError
from memory_agent.protocols import IndexState, Query, R, Vectors
from memory_agent.records import AuditEntry, Stored
from memory_agent_stores.locks import job_lock
from memory_agent_stores.mixing import KINDS, embedder_changed
from memory_agent_stores.rows import broken_links, check_query, encode, key_of, next_entry
from memory_agent_stores.text import SEARCHED, searched_text, segment

Key = tuple[object, ...]


@dataclass(frozen=True)
class _Row:
    record: Stored
    order: tuple[int, int]
    texted: int


@dataclass(frozen=True)
class _Snapshot:
    """What one space holds; never changed once it can be read."""

    tables: Mapping[str, Mapping[Key, _Row]]
    audit: tuple[AuditEntry, ...] = ()
    position: int = 0


class MemoryLedger:
    """A ledger in dictionaries; the same contract as any other, gone when it is closed."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="memory-agent-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.snapshots: dict[str, _Snapshot] = {}
        self.position = 0
        self._turn = threading.Lock()
        self._writer_thread: int | None = None

    @contextmanager
    def writing(self, wait: float) -> Iterator[None]:
        """The writer's turn."""
        if self._writer_thread == threading.get_ident():
            raise StoreError("a transaction is already open in this thread; put everything into that one")
        if not self._turn.acquire(timeout=max(wait, 0)):
            raise StoreBusy(f"another thread has been writing to this store for over {wait:g} s; try again")
        self._writer_thread = threading.get_ident()
        try:
            yield
        finally:
            self._writer_thread = None
            self._turn.release()

    def space(self, key: str) -> MemorySpace:
        return MemorySpace(self, key)

    def spaces(self) -> list[str]:
        return sorted(self.snapshots)

    def check(self) -> list[str]:
        """Breaks in the audit chains; nothing else can go wrong here."""
        return [
            f"space {key}: {problem}"
            for key, held in self.snapshots.items()
            for problem in broken_links(list(held.audit), held.audit[-1].digest if held.audit else "")
        ]

    def compact(self) -> None:
        """Nothing to do: what was deleted is gone."""

    def close(self) -> None:
        self.snapshots = {}
        self._temporary.cleanup()


class _Reading:
    """Selection over one snapshot."""

    def snapshot(self) -> _Snapshot:
        raise NotImplementedError

    def select(self, kind: type[R], query: Query = Query()) -> list[R]:
        """The records of that kind that fit the query. Unknown columns raise InvalidInput."""
        check_query(kind, query)
        rows = [row for row in self.snapshot().tables.get(kind.kind, {}).values() if _fits(row, query)]
        rows.sort(key=lambda row: row.order, reverse=query.newest_first)
        if query.limit is not None:
            rows = rows[: max(int(query.limit), 0)]
        return [row.record for row in rows if isinstance(row.record, kind)]

    def count(self, kind: type[Stored], query: Query = Query()) -> int:
        """How many records of that kind fit the query, its `limit` apart."""
        return len(self.select(kind, replace(query, limit=None)))


def _fits(row: _Row, query: Query) -> bool:
    record = row.record
    for column, wanted in query.where.items():
        value = encode(getattr(record, column))
        options = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else (wanted,)
        if value not in [encode(option) for option in options]:
            return False
    return not (
        (query.ids is not None and record.id not in query.ids)
        or (query.after is not None and row.order[0] <= query.after)
        or (query.text_after is not None and row.texted <= query.text_after)
        or (query.text_until is not None and row.texted > query.text_until)
        or (query.since is not None and getattr(record, "at") < query.since)  # noqa: B009
        or (query.until is not None and getattr(record, "at") >= query.until)  # noqa: B009
    )


class MemorySpace(_Reading):
    """One space of a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger, key: str) -> None:
        self._ledger = ledger
        self._key = key

    def snapshot(self) -> _Snapshot:
        return self._ledger.snapshots.get(self._key, _Snapshot({}))

    @contextmanager
    def transaction(self, *, wait: float = 30.0) -> Iterator[MemoryTransaction]:
        """Begin an exclusive transaction; an exception inside rolls it back. Raises StoreBusy after `wait` seconds."""
        with self._ledger.writing(wait):
            transaction = MemoryTransaction(self.snapshot(), self._ledger.position + 1)
            yield transaction
            if transaction.wrote:
                self._ledger.snapshots[self._key] = transaction.snapshot()
                self._ledger.position = transaction.position

    def match(
        self, words: Sequence[str], *, limit: int, kinds: Sequence[str] = ("episode", "fact")
    ) -> list[tuple[str, float]]:
        """Ids of episodes and current facts that hold any of the words, best BM25 first (higher is better)."""
        found: list[tuple[str, float]] = []
        phrases = list(dict.fromkeys(tuple(_words(word)) for word in words))
        for kind in SEARCHED:
            if kind.kind in kinds:
                texts = [
                    (row.record.id, _words(text))
                    for row in self.snapshot().tables.get(kind.kind, {}).values()
                    if (text := searched_text(row.record)) is not None
                ]
                found += _bm25([phrase for phrase in phrases if phrase], texts)
        found.sort(key=lambda pair: (-pair[1], pair[0]))
        return found[: max(limit, 0)]

    def position(self) -> int:
        """The position of the last committed transaction of this space; 0 before the first."""
        return self.snapshot().position

    def audit_chain(self) -> list[AuditEntry]:
        """Every entry, oldest first."""
        return list(self.snapshot().audit)

    def lock(self, name: str, *, wait: float = 0.0) -> AbstractContextManager[None]:
        """A lock for one job in this space. Raises StoreBusy naming the holder."""
        return job_lock(self._ledger.folder / "locks", self._key, name, wait)


class MemoryTransaction(_Reading):
    """What may be written while a transaction is open; made by `MemorySpace.transaction`."""

    def __init__(self, start: _Snapshot, position: int) -> None:
        self._tables = {kind: dict(rows) for kind, rows in start.tables.items()}
        self._audit = list(start.audit)
        self._used = 0
        self.position = position
        self.wrote = False

    def snapshot(self) -> _Snapshot:
        return _Snapshot(self._tables, tuple(self._audit), self.position)

    def put(self, *records: Stored) -> None:
        """Insert, or replace the row of the same key; the last of two with one key stands."""
        for record in records:
            rows = self._tables.setdefault(record.kind, {})
            old = rows.get(key_of(record))
            same = old is not None and _searched(old.record) == _searched(record)
            self._used += 1
            rows[key_of(record)] = _Row(
                record.model_copy(update={"position": self.position}),
                (self.position, self._used),
                old.texted if old is not None and same else self.position,
            )
            self.wrote = True

    def delete(self, kind: type[Stored], ids: Sequence[str]) -> None:
        """Remove rows (all versions)."""
        rows = self._tables.get(kind.kind, {})
        for key in [key for key in rows if key[0] in set(ids)]:
            del rows[key]
            self.wrote = True

    def audit(self, action: str, ids: Sequence[str] = (), *, actor: str = "memory", detail: str = "") -> None:
        """Append to the audit chain. `detail` holds no content of a memory."""
        head = self._audit[-1].digest if self._audit else ""
        self._audit.append(next_entry(self.position, datetime.now(UTC), actor, action, ids, detail, head))
        self.wrote = True


def _searched(record: Stored) -> tuple[str | None, object]:
    return searched_text(record), getattr(record, "at", None)


def _words(text: str) -> list[str]:
    """Stems of `text`, without case and diacritics."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", segment(text).lower()) if not unicodedata.combining(c))
    stemmer = snowballstemmer.stemmer("porter")  # one for each call: it keeps state and is not safe between threads
    return [str(stem) for stem in stemmer.stemWords(re.findall(r"[^\W_]+", plain))]


def _bm25(phrases: Sequence[tuple[str, ...]], texts: Sequence[tuple[str, list[str]]]) -> list[tuple[str, float]]:
    """BM25 (k1 1.2, b 0.75, as FTS5 has it) of every text that holds one of the phrases."""
    if not texts:
        return []
    average = sum(len(words) for _, words in texts) / len(texts)
    scores: dict[int, float] = {}
    for phrase in phrases:
        counts = {
            n: hits
            for n, (_, words) in enumerate(texts)
            if (hits := sum(tuple(words[i : i + len(phrase)]) == phrase for i in range(len(words))))
        }
        idf = max(math.log((len(texts) - len(counts) + 0.5) / (len(counts) + 0.5)), 1e-6)
        for n, hits in counts.items():
            length = 1.2 * (0.25 + 0.75 * len(texts[n][1]) / average)
            scores[n] = scores.get(n, 0.0) + idf * hits * 2.2 / (hits + length)
    return [(texts[n][0], score) for n, score in scores.items()]


class MemoryIndex:
    """Exact nearest neighbours over a matrix per space and kind."""

    def __init__(self) -> None:
        self._spaces: dict[str, MemorySpaceIndex] = {}

    def space(self, key: str) -> MemorySpaceIndex:
        return self._spaces.setdefault(key, MemorySpaceIndex())

    def compact(self) -> None:
        """Nothing to do: what was deleted is gone."""

    def close(self) -> None:
        self._spaces.clear()


class MemorySpaceIndex:
    """The vectors of one space."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._vectors: dict[str, dict[str, Vectors]] = {kind: {} for kind in KINDS}
        self._states: dict[str, IndexState] = {}

    def _held(self, kind: str) -> dict[str, Vectors]:
        if kind not in KINDS:
            raise StoreError(f"vectors are kept of {', '.join(KINDS)}, not of {kind!r}")
        return self._vectors[kind]

    def state(self, kind: str | None = None) -> IndexState | None:
        """What `kind` is true to, or both kinds (the lower position); None until applied to."""
        if kind:
            return self._states.get(kind)
        if len(self._states) < len(KINDS):
            return None
        return min(self._states.values(), key=lambda state: state.position)

    def apply(
        self, kind: str, upserts: Sequence[str], vectors: Vectors, deletes: Sequence[str], *, state: IndexState
    ) -> None:
        """Upsert `vectors` (len(upserts), dimension) and delete ids, then record `state`.

        Raises EmbedderChanged when `state` names another model or dimension than the stored one.
        """
        with self._guard:
            held = self._states.get(kind, state)
            if (held.model, held.dimension) != (state.model, state.dimension):
                raise embedder_changed(held, state)
            rows = self._held(kind)
            for id in deletes:
                rows.pop(id, None)
            for id, vector in zip(upserts, vectors, strict=True):
                rows[id] = np.asarray(vector, dtype=np.float32)
            self._states[kind] = state

    def query(self, kind: str, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """The nearest ids with their cosine similarity, best first."""
        with self._guard:
            ids = list(self._held(kind))
            if not ids or limit <= 0:
                return []
            matrix = np.stack([self._vectors[kind][id] for id in ids])
        question = np.asarray(vector, dtype=np.float32).reshape(-1)
        norms = np.linalg.norm(matrix, axis=1) * np.linalg.norm(question)
        similar = matrix @ question / np.where(norms == 0, 1, norms)
        best = np.argsort(-similar, kind="stable")[:limit]
        return [(ids[n], float(similar[n])) for n in best]

    def ids(self, kind: str) -> set[str]:
        return set(self._held(kind))

    def count(self, kind: str) -> int:
        return len(self._held(kind))

    def vectors(self, kind: str, ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored vectors, each (dimension,), of those ids that have one."""
        held = self._held(kind)
        return {id: held[id] for id in ids if id in held}

    def clear(self) -> None:
        """Drop everything of this space, the state included."""
        with self._guard:
            self._states.clear()
            for rows in self._vectors.values():
                rows.clear()
