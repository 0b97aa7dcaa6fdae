"""The corpus of a space, kept level with its ledger and vector index, one per open handle."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np

from memory_agent.protocols import Query, SpaceLedger
from memory_agent.records import Episode, Tombstone
from memory_agent.retrieval import snapshot
from memory_agent.retrieval.corpus import Corpus
from memory_agent.retrieval.index import windows
from memory_agent.retrieval.snapshot import Snapshot
from memory_agent.space import Space

_FETCH = 4096
"""Vectors, or turns, read by their ids at a time."""
SMALL = 1000
"""Turns that are read anew in less time than a file of them is worth."""
_SHARE = 8
"""A file is written again when what came since is this part of it: so all writing together stays in proportion."""


class _View:
    """One handle's corpus, the ledger position it is true to, and the ids whose vectors are not there yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.corpus = Corpus()
        self.position = 0
        self.waiting: list[str] = []
        self.indexed = -1
        self.saved = 0
        """Turns in the file, as far as this handle knows; 0 when there is none, or not any more."""

    def refresh(self, space: Space) -> None:
        position = space.ledger.position()
        if position != self.position:
            self._read(space, position)
        if self.waiting:
            self._fetch(space)
        if len(self.corpus) - self.saved >= max(SMALL, self.saved // _SHARE):
            # Where it cannot be written now, not every search is to try again.
            self.saved = len(self.corpus)
            snapshot.save(space, Snapshot(self.corpus, self.position, self.waiting))

    def _read(self, space: Space, position: int) -> None:
        if not self.position and (found := snapshot.load(space)) is not None:
            self.corpus, self.position, self.waiting = found.corpus, found.position, found.waiting
            self.saved = len(self.corpus)
        if position < self.position or not self._go_on(space, self.position, position):
            self.corpus, self.waiting, self.saved = Corpus(), [], 0
            self._go_on(space, 0, position)
        self.position, self.indexed = position, -1

    def _go_on(self, space: Space, start: int, end: int) -> bool:
        """Take in what came, changed or went in (start, end], window by window; False when that does not add up."""
        if start:
            stones = space.ledger.select(Tombstone, Query(where={"of_kind": Episode.kind}, after=start))
            self._drop([stone.of_id for stone in stones])
        for after, until in windows(space.ledger, Episode, start, end):
            came = space.ledger.select(Episode, Query(text_after=after, text_until=until))
            self._drop([episode.id for episode in came])
            self.corpus.add(came)
            self.waiting += [episode.id for episode in came]
        if start:
            self._describe(space, start)
        return len(self.corpus) == space.ledger.count(Episode, Query(text_until=end))

    def _drop(self, ids: list[str]) -> None:
        """Leave nothing of what was forgotten or is to be read anew."""
        gone = {id for id in ids if id in self.corpus.number}
        if gone:
            self.corpus, self.saved = self.corpus.without(gone), 0
            self.waiting = [id for id in self.waiting if id not in gone]

    def _describe(self, space: Space, start: int) -> None:
        """Read again the metadata of what was written since `start` with the same text."""
        written = space.ledger.count(Episode, Query(after=start))
        if written == space.ledger.count(Episode, Query(text_after=start)):
            return
        for first in range(0, len(self.corpus), _FETCH):
            ids = self.corpus.ids[first : first + _FETCH]
            for episode in space.ledger.select(Episode, Query(ids=ids, after=start)):
                self.corpus.set_metadata(episode)

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
