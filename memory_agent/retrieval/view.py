"""The corpus of a space, kept level with its ledger and vector index, one per open handle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np

from memory_agent.protocols import Query, SpaceLedger
from memory_agent.records import Episode
from memory_agent.retrieval.corpus import Corpus
from memory_agent.retrieval.index import windows
from memory_agent.space import Space

_FETCH = 4096
"""Vectors read from the index at a time."""


class _View:
    """One handle's corpus, the ledger position it is true to, and the ids whose vectors are not there yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.corpus = Corpus()
        self.position = 0
        self.waiting: list[str] = []
        self.indexed = -1

    def refresh(self, space: Space) -> None:
        position = space.ledger.position()
        if position != self.position:
            self._read(space, position)
        if self.waiting:
            self._fetch(space)

    def _read(self, space: Space, position: int) -> None:
        if position < self.position or not self._go_on(space, self.position, position):
            self.corpus, self.waiting = Corpus(), []
            self._go_on(space, 0, position)
        self.position, self.indexed = position, -1

    def _go_on(self, space: Space, start: int, end: int) -> bool:
        """Take in what came in (start, end], window by window; False when something here was changed or is gone."""
        for after, until in windows(space.ledger, Episode, start, end):
            came = space.ledger.select(Episode, Query(text_after=after, text_until=until))
            if any(episode.id in self.corpus.number for episode in came):
                return False
            self.corpus.add(came)
            self.waiting += [episode.id for episode in came]
        return len(self.corpus) == space.ledger.count(Episode, Query(text_until=end))

    def _fetch(self, space: Space) -> None:
        state = space.index.state()
        if state is None or state.position == self.indexed:
            return
        self.indexed = state.position
        left: list[str] = []
        for start in range(0, len(self.waiting), _FETCH):
            ids = self.waiting[start : start + _FETCH]
            found = space.index.vectors("episode", ids)
            if found:
                self.corpus.set_vectors(list(found), np.stack(list(found.values())))
            left += [id for id in ids if id not in found]
        self.waiting = left


_VIEWS: WeakKeyDictionary[SpaceLedger, _View] = WeakKeyDictionary()
_VIEWS_LOCK = threading.Lock()


@contextmanager
def corpus_of(space: Space) -> Iterator[Corpus]:
    """The space's corpus, level with its ledger, held for this thread until the block ends."""
    with _VIEWS_LOCK:
        view = _VIEWS.setdefault(space.ledger, _View())
    with view.lock:
        view.refresh(space)
        yield view.corpus
