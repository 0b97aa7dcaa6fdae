"""Every seam of the library on one page.

    Clock        what time it is (injected; tests stop it)
    Ledger       the truth: transactions over records, selection, word search, locks
    VectorIndex  derived from the ledger: nearest neighbours within a space
    Reranker     a question and texts -> how well each answers
    Extractor    turns -> proposed claims
    Trainer      a prepared job folder -> an adapter folder

Chat models are langchain-core `BaseChatModel`s and embedders langchain-core `Embeddings`; they
have no protocol of ours. A store is found by its URL scheme through the entry-point group
`memory_agent.stores`, which names a callable `(url: str) -> Backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from memory_agent.records import AuditEntry, Episode, Modality, PartialDate, Polarity, Stored

R = TypeVar("R", bound=Stored)
Vectors = NDArray[np.float32]
Progress = Callable[[float, str], None]
"""Called with the share done (0 to 1) and a word on what is being done."""


class Clock(Protocol):
    """The time, as a timezone-aware UTC instant."""

    def now(self) -> datetime: ...


@dataclass(frozen=True)
class Query:
    """Which records of one kind to select.

    `where` maps a column to a value, to None (is null), or to a list (any of); `since`/`until`
    bound the `at` column (`since` inclusive, `until` exclusive), for kinds that have it. `after`
    keeps rows written after that position; `text_after` (exclusive) and `text_until` (inclusive), of
    episodes and facts, those whose searched text last came, changed or went between the two (a row
    put again with the same text keeps its place). Rows
    come in ledger order (position, then the order they were put in), reversed by `newest_first`.
    """

    where: Mapping[str, object] = field(default_factory=dict)
    ids: Sequence[str] | None = None
    after: int | None = None
    text_after: int | None = None
    text_until: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    newest_first: bool = False
    limit: int | None = None


class Reader(Protocol):
    """What can be read of one space's ledger."""

    def select(self, kind: type[R], query: Query = Query()) -> list[R]:
        """The records of that kind that fit the query. Unknown columns raise InvalidInput."""
        ...

    def count(self, kind: type[Stored], query: Query = Query()) -> int: ...


class Transaction(Reader, Protocol):
    """An exclusive read-and-write view of one space; all or nothing, durable when it ends.

    Facts are keyed by (id, version), every other kind by id.
    """

    position: int
    """The position every row written here gets."""

    def put(self, *records: Stored) -> None:
        """Insert, or replace the row of the same key."""
        ...

    def delete(self, kind: type[Stored], ids: Sequence[str]) -> None:
        """Remove rows (all versions); nothing of them stays readable in the file after `compact`."""
        ...

    def audit(self, action: str, ids: Sequence[str] = (), *, actor: str = "memory", detail: str = "") -> None:
        """Append to the audit chain. `detail` holds no content of a memory."""
        ...


class SpaceLedger(Reader, Protocol):
    """A ledger bound to one space: no call can reach another's rows."""

    def transaction(self, *, wait: float = 30.0) -> AbstractContextManager[Transaction]:
        """Begin an exclusive transaction; an exception inside rolls it back.

        Raises StoreBusy when another writer holds on for longer than `wait` seconds.
        """
        ...

    def match(
        self, words: Sequence[str], *, limit: int, kinds: Sequence[str] = ("episode", "fact")
    ) -> list[tuple[str, float]]:
        """Ids of episodes and current facts that hold any of the words, best BM25 first (higher is better)."""
        ...

    def position(self) -> int:
        """The position of the last committed transaction of this space."""
        ...

    def audit_chain(self) -> list[AuditEntry]: ...

    def lock(self, name: str, *, wait: float = 0.0) -> AbstractContextManager[None]:
        """A lock across processes for one job in this space; freed by the system if its holder dies.

        Raises StoreBusy, naming the holder, when it is not free within `wait` seconds.
        """
        ...


@dataclass(frozen=True)
class LedgerRow:
    """A row just as a ledger keeps it: the record's JSON, its place, and where its searched text last changed."""

    kind: type[Stored]
    body: str
    seq: int
    texted: int | None = None
    """Of episodes and facts only."""


@runtime_checkable
class Portable(Protocol):
    """A space's ledger that can be copied, row by row, into another kind of store."""

    def rows(self, kind: type[Stored], *, after: int = -1, limit: int = 1000) -> list[LedgerRow]:
        """Rows of one kind in ledger order, beyond that `seq`."""
        ...

    def restore(self, rows: Iterable[LedgerRow], audit: Sequence[AuditEntry], position: int) -> None:
        """Fill an empty space with what another ledger held, places and audit chain included, in one transaction.

        Raises InvalidInput when the space holds anything.
        """
        ...


class FrozenSpace(Reader, Protocol):
    """One space as it was when a snapshot was taken."""

    def position(self) -> int: ...

    def audit_chain(self) -> list[AuditEntry]: ...

    def rows(self, kind: type[Stored], *, after: int = -1, limit: int = 1000) -> list[LedgerRow]: ...


class Snapshot(Protocol):
    """A whole ledger as it was at one moment, whatever is written meanwhile."""

    def space(self, key: str) -> FrozenSpace: ...

    def spaces(self) -> list[str]: ...


@runtime_checkable
class Snapshots(Protocol):
    """A ledger that can be read as it was at one moment; writers need not wait for that."""

    def snapshot(self) -> AbstractContextManager[Snapshot]: ...


@runtime_checkable
class Repairable(Protocol):
    """A ledger that can make anew what it derives from its own rows."""

    def repair(self) -> None:
        """Write word indexes and lookup structures anew, in one transaction; rows and audit stay as they are."""
        ...


class Ledger(Protocol):
    """The store of record."""

    def space(self, key: str) -> SpaceLedger: ...

    def spaces(self) -> list[str]: ...

    def check(self) -> list[str]:
        """Problems found in the stored data; empty when it is whole."""
        ...

    def compact(self) -> None:
        """Give space back and leave no byte of what was deleted in any file."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class IndexState:
    """What a space's index was built with, and the ledger position it is true to."""

    model: str
    dimension: int
    position: int
    metric: str = "cosine"


class SpaceIndex(Protocol):
    """The vector index of one space. `kind` is "episode" or "fact"."""

    def state(self, kind: str | None = None) -> IndexState | None:
        """What the vectors of `kind`, or of both kinds together (the lower position), are true to.

        None when nothing was ever indexed, or when what was had to be dropped.
        """
        ...

    def apply(
        self,
        kind: str,
        upserts: Sequence[str],
        vectors: Vectors,
        deletes: Sequence[str],
        *,
        state: IndexState,
    ) -> None:
        """Upsert `vectors` (len(upserts), dimension) and delete ids, then record `state`.

        Raises EmbedderChanged when `state` names another model or dimension than the stored one.
        """
        ...

    def query(self, kind: str, vector: Vectors, limit: int) -> list[tuple[str, float]]:
        """The nearest ids with their cosine similarity, best first."""
        ...

    def ids(self, kind: str) -> set[str]: ...

    def count(self, kind: str) -> int: ...

    def vectors(self, kind: str, ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored vectors, each (dimension,), of those ids that have one."""
        ...

    def clear(self) -> None:
        """Drop everything of this space, the state included."""
        ...


class VectorIndex(Protocol):
    """Where vectors live."""

    def space(self, key: str) -> SpaceIndex: ...

    def compact(self) -> None:
        """Give space back and leave no byte of deleted vectors in any file."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Task:
    """A job that a worker took from a queue: a consolidation or distillation of one space."""

    id: int
    space: str
    job: str
    attempts: int
    """How often it was taken, this time included."""
    worker: str
    error: str = ""
    """What the last attempt ended with."""


class JobQueue(Protocol):
    """Work for many hosts: each job of a space stands in it once, and is held by one worker at a time.

    A worker holds a task by a lease that it renews; one whose lease has run out may be taken by another.
    Leases are told by the store's clock, so hosts need not agree on the time.
    """

    def put(self, job: str, spaces: Sequence[str]) -> int:
        """Add the job for these spaces, where it does not stand or run already; how many were added."""
        ...

    def find(self) -> list[str]:
        """The spaces that hold turns which were not consolidated."""
        ...

    def take(self, worker: str, *, lease: float, most: int) -> Task | None:
        """The next task, held for `lease` seconds; one that was begun `most` times in vain is set aside instead."""
        ...

    def renew(self, task: Task, lease: float) -> bool:
        """Hold the task for `lease` seconds from now; False when it is no longer this worker's."""
        ...

    def finish(self, task: Task, ending: str) -> bool:
        """Note that the task is done, in a word; False when it is no longer this worker's."""
        ...

    def give_back(self, task: Task, error: str, *, delay: float, most: int, counts: bool = True) -> bool:
        """Leave the task for another attempt after `delay` seconds, or set it aside after `most` of them.

        `counts` says whether this one counts. False when it is no longer this worker's.
        """
        ...

    def counts(self) -> Mapping[str, int]:
        """How many tasks are "ready", "running", "done" and "dead" (set aside)."""
        ...

    def dead(self) -> list[Task]:
        """The tasks that were set aside."""
        ...

    def retry(self, id: int) -> bool:
        """Put a task that was set aside back into the queue; False when there is none of that id."""
        ...


@dataclass(frozen=True)
class Backend:
    """What a store's entry point gives: a ledger, an index, and a folder for adapters and jobs."""

    ledger: Ledger
    index: VectorIndex
    folder: Path
    queue: JobQueue | None = None
    """Of stores that many hosts work on."""


class Reranker(Protocol):
    """Judges texts by reading each together with the question."""

    def prepare(self) -> None:
        """Load what has to be loaded once. Raises ModelNotFound, ModelError."""
        ...

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One number a text, higher is better, on any scale."""
        ...


@dataclass(frozen=True)
class Proposal:
    """A claim as an extractor proposes it, before grounding.

    `episode_id` with `start`/`end` is the span it quotes. `subject` and `object` are names as the
    text has them, with first and second person already replaced by the speakers' names and
    unnamed people written "Maya's sister".
    """

    episode_id: str
    start: int
    end: int
    subject: str
    predicate: str
    object: str
    polarity: Polarity = "+"
    modality: Modality = "actual"
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None
    confidence: float = 1.0
    subject_type: str = "thing"
    object_type: str | None = None
    """An entity type, or None when the object is a plain value."""
    aliases: tuple[tuple[str, str], ...] = ()
    """(name, other name) pairs that the text states are one, e.g. ("Maya's sister", "Ana")."""


class Extractor(Protocol):
    """Reads claims out of turns."""

    name: str
    """Name and revision; a claim carries it."""

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """Proposals for `turns` (one session, in order); `context` only resolves references.

        Raises ExtractionFailed; never returns an empty list in place of an error.
        """
        ...


@runtime_checkable
class Trainer(Protocol):
    """Trains an adapter from a prepared job folder."""

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """Read `job` (job.json and its .jsonl files) and write a PEFT adapter folder under `out`; give that folder.

        Raises TrainerFailed. Called again on the same folders after a kill, it resumes or starts anew.
        """
        ...
