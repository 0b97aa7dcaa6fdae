"""Opening a store for one user: what a handle is made of, put together from settings and arguments."""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING

from memory_agent.config import Settings
from memory_agent.protocols import Backend, Clock, Reranker
from memory_agent.space import Space, SystemClock, open_backend, space_folder, space_key

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

    from memory_agent.models.embedders import Embedder


def open_space(
    store: str | PathLike[str] | None,
    *,
    user: str | None,
    tenant: str | None,
    agent: str | None,
    embedder: Embeddings | None,
    reranker: Reranker | None,
    clock: Clock | None,
    settings: Settings | None,
) -> tuple[Backend, Space]:
    """The opened store and the one space of it that these arguments name; see `Memory.open`.

    Raises ScopeRequired before anything is opened, then what the store raises.
    """
    settings = settings or Settings.load()
    tenant, user = tenant or settings.tenant, user or settings.user
    space_key(tenant, user)
    backend = open_backend(fspath(store) if store is not None else settings.store)
    space = bind(
        backend,
        user=user,
        tenant=tenant,
        agent=agent or settings.agent or None,
        embedder=embedder_of(embedder, settings),
        reranker=reranker,
        clock=clock,
        settings=settings,
    )
    return backend, space


def embedder_of(embedder: Embeddings | None, settings: Settings) -> Embedder:
    """The caller's embedder under the name of its class, or the settings' own."""
    from memory_agent.models.embedders import Embedder, load_embedder

    return load_embedder(settings) if embedder is None else Embedder(embedder, type(embedder).__qualname__)


def bind(
    backend: Backend,
    *,
    user: str,
    tenant: str,
    agent: str | None,
    embedder: Embedder,
    settings: Settings,
    reranker: Reranker | None = None,
    clock: Clock | None = None,
) -> Space:
    """One user's space of a store that is open, with the settings' reranker unless given one. Raises ScopeRequired."""
    from memory_agent.models.reranker import load_reranker

    key = space_key(tenant, user)
    folder = space_folder(backend.folder, key)
    return Space(
        key=key,
        tenant=tenant,
        user=user,
        agent=agent,
        ledger=backend.ledger.space(key),
        index=backend.index.space(key),
        embedder=embedder,
        folder=folder,
        # Where many hosts work on one store, another may forget what this one's files would still hold.
        derived=folder if backend.queue is None else None,
        settings=settings,
        clock=clock or SystemClock(),
        reranker=reranker or load_reranker(settings),
    )
