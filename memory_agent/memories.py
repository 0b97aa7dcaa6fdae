"""Memories: the open memories of many users over one store, for servers and bots.

The store is opened once; a user's memory is opened when it is first asked for and kept while it is
among the most recently used. Each is bound to its own user, as ever: this class hands out handles
and reads nothing itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from os import PathLike, fspath
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, unquote

from memory_agent import upkeep
from memory_agent.config import Settings
from memory_agent.memory import Memory
from memory_agent.opening import bind, embedder_of
from memory_agent.protocols import Clock
from memory_agent.space import open_backend, space_key

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

KEPT = 256
"""Memories kept open by default; the least recently used one is let go for the next."""


class Memories:
    """One store, many users. Safe to share between threads; use it as a context manager, or call `close`."""

    def __init__(
        self,
        store: str | PathLike[str] | None = None,
        *,
        embedder: Embeddings | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        keep: int = KEPT,
    ) -> None:
        """Open the store; arguments are those of `Memory.open`, `keep` how many memories stay open.

        Raises UnknownStore, StoreBusy, StoreCorrupt or StoreTooNew.
        """
        self.settings = settings or Settings.load()
        self.backend = open_backend(fspath(store) if store is not None else self.settings.store)
        self.embedder = embedder_of(embedder, self.settings)
        self._clock = clock
        self._keep = keep
        self._open: OrderedDict[tuple[str, str, str], Memory] = OrderedDict()
        self._lock = threading.Lock()
        self._opening: dict[tuple[str, str, str], threading.Lock] = {}

    def of(self, user: str, *, tenant: str | None = None, agent: str | None = None) -> Memory:
        """The memory of one user; closing it is not needed. Raises as `Memory.open`.

        A space appears in the store with the first thing that is remembered, so asking for a user
        who never said anything leaves no trace.
        """
        key = (tenant or self.settings.tenant, user, agent or self.settings.agent)
        space_key(key[0], key[1])
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # the catching up of one user holds nobody else up
            with self._lock:
                if key in self._open:
                    return self._open[key]
            space = bind(
                self.backend,
                user=user,
                tenant=key[0],
                agent=key[2] or None,
                embedder=self.embedder,
                clock=self._clock,
                settings=self.settings,
            )
            upkeep.open_level(self.backend, space)
            memory = Memory(self.backend, space)
            with self._lock:
                self._open[key] = memory
                self._opening.pop(key, None)
                while len(self._open) > self._keep:
                    self._open.popitem(last=False)
        return memory

    def users(self, tenant: str | None = None) -> list[str]:
        """The users of one tenant that the store holds something of, in order of their names."""
        prefix = quote(tenant or self.settings.tenant, safe="") + "/"
        spaces = self.backend.ledger.spaces()
        return sorted(unquote(key.removeprefix(prefix)) for key in spaces if key.startswith(prefix))

    def close(self) -> None:
        """Let go of the store and of every memory of it."""
        with self._lock:
            self._open.clear()
        self.backend.index.close()
        self.backend.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
