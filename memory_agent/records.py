"""What is remembered: frozen values that every layer passes around.

Stored records (each a row in the ledger, named by `(kind, id)` in one space):

    Episode      a turn as it was said; the only evidence there is
    Claim        what an extractor read in one span of one episode; immutable
    Rejection    what an extractor proposed and grounding refused, with the reason
    Entity       somebody or something that claims are about
    Fact         what the claims of one (subject, predicate) amount to; one row per version
    Block        a labelled piece of working memory that stays in the window
    BlockVersion a block as one edit left it, with the reason
    Item         a value an application keeps under a namespace and a key; no evidence of anything
    Summary      a text that stands for several records, each of them named
    Run          one consolidation or distillation, its report and its state
    Adapter      one set of trained weights, what it knows and whether it may answer
    Tombstone    that something was forgotten (its id, never its content)

Facts are derived: `facts = reconcile(claims)`. A changed fact closes its row (`retired_at`) and
opens another under the same id, so both axes of time can be asked: `valid_from`/`valid_to` say
when it was true, `recorded_at`/`retired_at` when we believed it.

What calls give back of their work (`Answer`, `AddReport` ...) is written in `reports` and named here as well.

All instants are timezone-aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from memory_agent.dates import Instant as Instant
from memory_agent.dates import PartialDate as PartialDate
from memory_agent.dates import Precision as Precision
from memory_agent.frozen import Record as Record
from memory_agent.reports import AddReport as AddReport
from memory_agent.reports import Answer as Answer
from memory_agent.reports import ConsolidationReport as ConsolidationReport
from memory_agent.reports import DistillationReport as DistillationReport
from memory_agent.reports import ExpiryReport as ExpiryReport
from memory_agent.reports import ForgetReport as ForgetReport
from memory_agent.reports import Mode as Mode
from memory_agent.reports import Verification as Verification

Role = Literal["user", "assistant", "system", "tool"]
Polarity = Literal["+", "-"]
Modality = Literal["actual", "planned", "possible"]
FactStatus = Literal["current", "superseded", "ended", "stale", "disputed"]


class Turn(Record):
    """One message as the caller hands it in.

    `at` defaults to the store's clock, `id` to a hash of session, speaker, time and content.
    """

    role: Role
    content: str
    speaker: str | None = None
    at: datetime | None = None
    id: str | None = None
    session: str | None = None
    metadata: Mapping[str, Any] = Field(default_factory=dict)


class Stored(Record):
    """A record with a place in the ledger: `kind` names its table, `columns` what it can be selected by."""

    kind: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ()

    id: str
    position: int = 0
    """Ledger position of the transaction that wrote this row; set by the ledger."""


APPROVED = "approved"
"""Key of a turn's metadata that lists the facts which a review approved on its word; nothing else may write it."""


class Episode(Stored):
    """A turn taken in, verbatim and dated."""

    kind: ClassVar[str] = "episode"
    columns: ClassVar[tuple[str, ...]] = ("session", "role", "speaker", "at", "run", "digest")

    session: str
    role: Role
    speaker: str
    content: str
    at: Instant
    zone: str = "+00:00"
    """The speaker's UTC offset, to which relative dates ("yesterday") refer."""
    recorded_at: Instant
    digest: str
    """SHA-256 over session, speaker, time and content: the same message twice is one episode."""
    flags: tuple[str, ...] = ()
    """What screening saw: "instruction", "secret:<class>", "recalled"."""
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    run: str | None = None
    """The consolidation that read it; None while pending."""


class Source(Record):
    """Where a fact comes from: characters [start, end) of an episode's content, which read `quote`."""

    episode_id: str
    start: int
    end: int
    quote: str
    speaker: str = ""
    at: Instant | None = None


class Claim(Stored):
    """What was read in one span of one episode, after grounding and entity resolution."""

    kind: ClassVar[str] = "claim"
    columns: ClassVar[tuple[str, ...]] = ("episode_id", "subject_id", "predicate", "object_id")

    episode_id: str
    start: int
    end: int
    quote: str
    speaker: str
    said_at: Instant
    subject: str
    subject_id: str
    predicate: str
    object: str
    object_id: str | None = None
    """The entity the object names; None when it is a plain value."""
    polarity: Polarity = "+"
    modality: Modality = "actual"
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None
    confidence: float = Field(default=1.0, ge=0, le=1)
    correction: bool = False
    """Said to put an earlier statement right ("I meant Porto"), not to report a change."""
    low_trust: bool = False
    """Read in a turn of low trust, or of a source without a level: it stands against nothing that others say."""
    owners_word: bool = False
    """Said by the owner of the memory: of somebody else, no third party's word takes its place."""
    extractor: str
    run: str | None = None


class Rejection(Stored):
    """A proposed claim that was refused; `reason` is one of a small set of words, for counting."""

    kind: ClassVar[str] = "rejection"
    columns: ClassVar[tuple[str, ...]] = ("episode_id", "reason", "run")

    episode_id: str
    reason: str
    proposed: str
    run: str | None = None


class Entity(Stored):
    """Somebody or something that facts are about."""

    kind: ClassVar[str] = "entity"
    columns: ClassVar[tuple[str, ...]] = ("name", "merged_into")

    name: str
    type: str = "thing"
    aliases: tuple[str, ...] = ()
    merged_into: str | None = None


class Fact(Stored):
    """What is true of a subject, when, and how we know. One row per version; current rows have no `retired_at`."""

    kind: ClassVar[str] = "fact"
    columns: ClassVar[tuple[str, ...]] = ("subject_id", "predicate", "object_id", "status", "recorded_at", "retired_at")

    version: int = 1
    subject: str
    subject_id: str
    predicate: str
    object: str
    object_id: str | None = None
    text: str
    """The fact as a sentence."""
    polarity: Polarity = "+"
    modality: Modality = "actual"
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None
    recorded_at: Instant
    retired_at: Instant | None = None
    confidence: float = 1.0
    status: FactStatus = "current"
    because: str | None = None
    """Why it is stale, superseded or disputed: the id of the fact that caused it, with a word."""
    sources: tuple[Source, ...] = ()


class Block(Stored):
    """A labelled piece of working memory that is always in the window."""

    kind: ClassVar[str] = "block"
    columns: ClassVar[tuple[str, ...]] = ("label", "agent")

    label: str
    value: str = ""
    description: str = ""
    limit: int = 2000
    """Most characters `value` may hold."""
    read_only: bool = False
    agent: str | None = None
    """The agent whose block it is; None when all agents of this user share it."""
    version: int = 1
    updated_at: Instant


class BlockVersion(Stored):
    """A block as one edit left it; its versions together are the block's history."""

    kind: ClassVar[str] = "block_version"
    columns: ClassVar[tuple[str, ...]] = ("block_id",)

    block_id: str
    version: int
    value: str
    action: Literal["put", "append", "replace", "rethink"]
    actor: str
    """"owner" or "agent"."""
    reason: str = ""
    at: Instant


class Item(Stored):
    """A value that an application put under a namespace and a key; given back as it is, never read into the graph."""

    kind: ClassVar[str] = "item"
    columns: ClassVar[tuple[str, ...]] = ("collection", "first", "second", "expiring")

    collection: str
    """Whose it is: each integration keeps its own."""
    namespace: tuple[str, ...] = ()
    key: str
    value: Mapping[str, Any]
    created_at: Instant
    updated_at: Instant
    ttl: float | None = None
    """Minutes it lives after it was last put or read; None for ever."""
    expires_at: Instant | None = None
    texts: Mapping[str, str] = Field(default_factory=dict)
    """What is searched of it, by where in the value it stands."""
    vectors: Mapping[str, str] = Field(default_factory=dict)
    """A unit vector for each of `texts`: float32, little-endian, base64."""
    embedder: str = ""
    """What the vectors were made with."""

    @property
    def first(self) -> str | None:
        """The first label of the namespace."""
        return self.namespace[0] if self.namespace else None

    @property
    def second(self) -> str | None:
        """The second label of the namespace."""
        return self.namespace[1] if len(self.namespace) > 1 else None

    @property
    def expiring(self) -> int:
        """1 when it goes by itself, else 0."""
        return int(self.expires_at is not None)


class Line(Record):
    """One sentence of a summary, and the facts that it says."""

    text: str
    of: tuple[str, ...]
    proof: int = 1
    """How many turns say so."""


class Summary(Stored):
    """A text that stands for the records it names."""

    kind: ClassVar[str] = "summary"
    columns: ClassVar[tuple[str, ...]] = ("about",)

    about: str
    """The id of an entity, or `session:<name>`."""
    text: str
    of: tuple[str, ...]
    at: Instant
    until: Instant | None = None
    """The time of the last turn it stands for, where it stands for turns."""
    lines: tuple[Line, ...] = ()
    """The text sentence by sentence, where it was made of facts."""


class Run(Stored):
    """One consolidation or distillation: what it did, or how far it came."""

    kind: ClassVar[str] = "run"
    columns: ClassVar[tuple[str, ...]] = ("job", "state", "started_at")

    job: Literal["consolidate", "distill"]
    state: Literal["running", "done", "refused", "failed"]
    started_at: Instant
    ended_at: Instant | None = None
    report: Mapping[str, Any] = Field(default_factory=dict)


class Adapter(Stored):
    """One set of trained weights. The id is the hash of its content; the files lie in the store's folder."""

    kind: ClassVar[str] = "adapter"
    columns: ClassVar[tuple[str, ...]] = ("shard", "state", "run")

    shard: str
    state: Literal["candidate", "promoted", "previous", "refused", "off"]
    base: str
    """Hash of the base model's weights and chat template."""
    facts: tuple[str, ...]
    """Ids of the facts it was taught, each `<fact id>@<version>`."""
    entities: tuple[str, ...] = ()
    sha256: str
    created_at: Instant
    run: str | None = None
    scorecard: Mapping[str, Any] = Field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    """Why it was refused or switched off."""


class Tombstone(Stored):
    """That a record was forgotten: its kind and id, when, why; nothing of what it said."""

    kind: ClassVar[str] = "tombstone"
    columns: ClassVar[tuple[str, ...]] = ("of_kind", "of_id")

    of_kind: str
    of_id: str
    at: Instant
    reason: str = ""


class AuditEntry(Record):
    """One link of the audit chain: `digest` covers the entry and the digest before it. Holds ids, never content."""

    position: int
    at: Instant
    actor: str
    action: str
    ids: tuple[str, ...]
    detail: str = ""
    previous: str
    digest: str


class Why(Record):
    """Why a hit is where it is: each arm's normalised score and rank (1 = best), where the arm saw it."""

    scores: Mapping[str, float] = Field(default_factory=dict)
    ranks: Mapping[str, int] = Field(default_factory=dict)
    note: str = ""


class Hit(Record):
    """One thing found."""

    record: Episode | Fact
    score: float
    why: Why


class Trace(Record):
    """How a search went: milliseconds per step, candidates per arm, and what was dropped and why."""

    query: str
    milliseconds: Mapping[str, float] = Field(default_factory=dict)
    candidates: Mapping[str, int] = Field(default_factory=dict)
    dropped: Mapping[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class SearchResult(Record):
    """Hits, best first, and the trace that explains them."""

    hits: tuple[Hit, ...]
    trace: Trace


class ContextMessage(Record):
    """One message of a prompt, as it is sent."""

    role: Literal["system", "user", "assistant"]
    content: str


class Context(Record):
    """What a model would be shown, and the tokens of each part; `parts` sums to `tokens`."""

    text: str
    tokens: int
    parts: Mapping[str, int] = Field(default_factory=dict)
    hits: tuple[Hit, ...] = ()
    messages: tuple[ContextMessage, ...] = ()
    """The whole prompt, where it is that of a chat turn; `text` is then all of it."""
    notes: tuple[str, ...] = ()
    """What was cut or left out, and why."""


class Explanation(Record):
    """A record's lineage, both ways: what it rests on and what rests on it."""

    record: (
        Episode | Claim | Rejection | Entity | Fact | Block | BlockVersion | Item | Summary | Run | Adapter | Tombstone
    )
    rests_on: tuple[Stored, ...] = ()
    supports: tuple[Stored, ...] = ()
    text: str = ""


STORED: tuple[type[Stored], ...] = (
    Episode, Claim, Rejection, Entity, Fact, Block, BlockVersion, Item, Summary, Run, Adapter, Tombstone,
)  # fmt: skip
"""Every kind of record a ledger holds."""
