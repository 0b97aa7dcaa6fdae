"""Memory: the face of everything below. It opens a store, binds it to one user, and hands calls on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

from memory_agent import records, semantic, upkeep
from memory_agent.config import Settings
from memory_agent.faces import Blocks, Privacy, Retention, Review
from memory_agent.observing import operation
from memory_agent.opening import open_space
from memory_agent.protocols import Backend, Clock, Extractor, Progress, Reranker, Trainer
from memory_agent.semantic import lineage
from memory_agent.space import Space

if TYPE_CHECKING:
    import networkx as nx
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel

    from memory_agent.auditing import Chain
    from memory_agent.distillation.recipe import Recipe
    from memory_agent.distillation.trainers import Train

Moment = datetime | date | str


class Memory:
    """One user's memory in one store. Use it as a context manager, or call `close`.

    Safe to share between threads. Every id it gives out can be passed to `get`, `explain`,
    `history` and `forget`. `blocks` are working memory's labelled pieces; `retention` says what
    expires, `review` what waits for a person.
    """

    def __init__(self, backend: Backend, space: Space) -> None:
        self.backend = backend
        self.space = space
        self.blocks = Blocks(space)
        self.retention = Retention(backend, space)
        self.review = Review(space)
        self.privacy = Privacy(backend, space)

    @classmethod
    def open(
        cls,
        store: str | PathLike[str] | None = None,
        *,
        user: str | None = None,
        tenant: str | None = None,
        agent: str | None = None,
        embedder: Embeddings | None = None,
        reranker: Reranker | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        rebuild: bool = False,
    ) -> Memory:
        """Open the store at a path or URL for one user, making it if it is not there.

        What is left out is taken from `settings`, by default the environment's. `embedder` is any
        langchain `Embeddings`; by default all-MiniLM-L6-v2, loaded when it is first needed. `reranker`
        ranks the best hits of a search anew; by default the one the settings name, and none without. `rebuild`
        embeds everything anew, as is needed after a change of the embedder.

        Raises ScopeRequired without a user, UnknownStore, StoreBusy, StoreCorrupt, StoreTooNew or EmbedderChanged.
        """
        backend, space = open_space(
            store,
            user=user,
            tenant=tenant,
            agent=agent,
            embedder=embedder,
            reranker=reranker,
            clock=clock,
            settings=settings,
        )
        upkeep.open_level(backend, space, rebuild=rebuild)
        return cls(backend, space)

    def close(self) -> None:
        """Let go of the store. Nothing is lost without it: every write was durable when it returned."""
        self.backend.index.close()
        self.backend.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @operation("add")
    def add(
        self, turns: Sequence[records.Turn | Mapping[str, Any]], *, session: str | None = None
    ) -> records.AddReport:
        """Take turns in. When it returns, they are on disk and can be found.

        The same turn twice is taken once. Raises InvalidInput or DuplicateId before anything is written.
        """
        return upkeep.add(self.space, turns, session)

    @operation("consolidate")
    def consolidate(
        self, *, extractor: Extractor | None = None, progress: Progress | None = None
    ) -> records.ConsolidationReport:
        """Read what was added since the last time into the graph, by `extractor` or by what the settings name.

        Without either that is the built-in rules, offline. Raises StoreBusy while another of this user runs.
        """
        return upkeep.consolidate(self.space, extractor, progress)

    @operation("search")
    def search(
        self,
        query: str,
        *,
        limit: int = 10,
        kinds: Sequence[str] = ("episode", "fact"),
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        session: str | None = None,
        speaker: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> records.SearchResult:
        """The best episodes and facts for a query, best first, with the trace that says why."""
        from memory_agent import retrieval

        return retrieval.search(
            self.space,
            query,
            limit=limit,
            kinds=kinds,
            as_of=as_of,
            known_at=known_at,
            session=session,
            speaker=speaker,
            since=since,
            until=until,
            metadata=metadata,
        )

    def facts(
        self,
        about: str | None = None,
        *,
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        predicate: str | None = None,
        past: bool = False,
    ) -> list[records.Fact]:
        """The facts, of one entity (a name, an alias or an id) or of all.

        `as_of` asks what was true then, `known_at` what was believed then; `past` adds what holds no more.
        """
        return semantic.facts(self.space, about, as_of=as_of, known_at=known_at, predicate=predicate, past=past)

    def graph(
        self,
        *,
        as_of: Moment | None = None,
        known_at: Moment | None = None,
        past: bool = False,
        implied: bool = False,
    ) -> nx.MultiDiGraph:
        """The knowledge graph: entities and values are nodes, facts are edges keyed by id, with all their fields.

        `implied` adds what follows by transitive predicates (an office in Leipzig is in Saxony), marked as such.
        """
        from memory_agent.views.notebook import KnowledgeGraph

        return KnowledgeGraph(semantic.graph(self.space, as_of=as_of, known_at=known_at, past=past, implied=implied))

    def _repr_html_(self) -> str:
        from memory_agent.views.notebook import memory_html

        return memory_html(self.space, self.graph())

    def get(self, id: str) -> records.Stored:
        """The record of that id. Raises NotFound."""
        return lineage.get(self.space, id)

    def explain(self, id: str) -> records.Explanation:
        """What a record rests on and what rests on it. Raises NotFound."""
        return lineage.explain(self.space, id)

    def history(self, id: str) -> list[records.Stored]:
        """Every version of a record, oldest first; of a block every edit, with its reason. Raises NotFound."""
        return lineage.history(self.space, id)

    def update(
        self,
        id: str,
        *,
        object: str | None = None,
        valid_from: str | None = None,
        valid_to: str | None = None,
        content: str | None = None,
    ) -> records.Stored:
        """Correct a fact (`object`, `valid_from`, `valid_to`) or a turn (`content`); the record as it now is.

        Dates are `2024`, `2024-03` or `2024-03-14`. Raises NotFound, or InvalidInput when nothing would change.
        """
        return upkeep.update(self.space, id, object=object, valid_from=valid_from, valid_to=valid_to, content=content)

    @operation("forget")
    def forget(self, id: str, *, reason: str, dry_run: bool = False) -> records.ForgetReport:
        """Forget a turn, a fact, an entity, `session:<name>` or `user:<name>`, and all that had no other source.

        Nothing of it stays in any file of the store. `dry_run` says what would go. Raises NotFound.
        """
        return upkeep.forget(self.backend, self.space, id, reason=reason, dry_run=dry_run)

    def summaries(self, about: str | None = None) -> list[records.Summary]:
        """What is known of an entity, or was said in `session:<name>`, or all; each sentence names its facts."""
        return upkeep.summaries(self.space, about)

    def merge(self, id: str, into: str) -> records.Entity:
        """Let one entity be another; each an id, full name or alias. Raises NotFound, InvalidInput when it cannot."""
        return upkeep.merge(self.space, id, into)

    def split(self, id: str) -> records.Entity:
        """Take a merge back; the graph is as before. Raises NotFound, InvalidInput when it was not merged."""
        return upkeep.split(self.space, id)

    def verify(self, id: str, *, words: Sequence[str] = ()) -> records.Verification:
        """Whether a forgotten record is gone from everywhere; of `words`, which bytes still stand in a file."""
        return upkeep.verify(self.backend, self.space, id, words)

    @operation("context")
    def context(self, question: str, *, budget: int = 2000, session: str | None = None) -> records.Context:
        """What a model would be shown for this question: at most `budget` tokens of the chat model in the settings.

        `session` adds that conversation's summary and recent turns. `parts` gives the tokens of each section.
        """
        from memory_agent import answering

        return answering.context(self.space, question, budget=budget, session=session)

    @operation("ask")
    def ask(self, question: str, *, mode: records.Mode = "auto", model: BaseChatModel | None = None) -> records.Answer:
        """Answer from the weights, from what is retrieved, or from both; "auto" decides per question."""
        from memory_agent import answering

        return answering.ask(self.space, question, mode=mode, model=model)

    @operation("distill")
    def distill(
        self,
        *,
        recipe: Recipe | None = None,
        trainer: str | Trainer | Train | None = None,
        progress: Progress | None = None,
        seed: int = 0,
    ) -> records.DistillationReport:
        """Put the stable facts into an adapter of the student model, and promote it if it passes the gate.

        `trainer`: the name of one, or one of yours. Raises NothingToDistill, TrainerFailed, TrainingElsewhere, or
        StoreBusy when another distillation runs.
        """
        from memory_agent import distillation

        return distillation.distill(self.space, recipe=recipe, trainer=trainer, progress=progress, seed=seed)

    def audit(self, head: str | None = None) -> Chain:
        """Whether the audit chain is whole, and its head; with an earlier `head`, whether it still holds that one."""
        return upkeep.audit(self.backend, self.space, head)

    def check(self) -> list[str]:
        """Problems found in the stored data; empty when it is whole."""
        return self.backend.ledger.check()
