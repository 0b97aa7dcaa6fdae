"""Keeping vectors level behind the answers: what the proxy takes in is durable at once and embedded in turn.

The ledger is written before an answer is shown; the vector index is derived from it and catches up here, so that a
chat does not wait for it. A space is brought level `AFTER` it changed, so that a question and its reply are one write,
and what is due of several spaces goes through the model together. Chats that wait for their memory go first. What is
lost in a crash is caught up when the space is opened; until then it is found by its words.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from memory_agent import upkeep
from memory_agent.errors import MemoryAgentError
from memory_agent.memory import Memory

AFTER = 1.0
"""Seconds from a change to the catching up."""
TOGETHER = 16
"""Most spaces whose texts are embedded together."""
TEXTS, LETTERS = 4, 800
"""Texts, and their characters, that go through the model at once: a question that comes meanwhile waits for them."""
PATIENCE = 0.1
"""Most seconds that one step waits for chats to pass, so that under any load the index comes nearer."""
_log = logging.getLogger(__name__)


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, some at a time; a long one by itself."""
    few: list[str] = []
    for text in texts:
        if few and (len(few) == TEXTS or sum(map(len, few)) + len(text) > LETTERS):
            yield few
            few = []
        few.append(text)
    if few:
        yield few


class Indexer:
    """One thread that brings the indexes of changed spaces level. Begun by the first change, ended by `close`."""

    def __init__(self, after: float = AFTER) -> None:
        self._after = after
        self._waiting: OrderedDict[str, tuple[float, Memory]] = OrderedDict()
        """When each space is due (by the monotonic clock), the first due first."""
        self._change = threading.Condition()
        self._chats = 0
        self._thread: threading.Thread | None = None
        self._closing = False

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A chat that waits for its memory: the indexer lets it go first."""
        with self._change:
            self._chats += 1
        try:
            yield
        finally:
            with self._change:
                self._chats -= 1
                if not self._chats:
                    self._change.notify_all()

    def later(self, memory: Memory) -> None:
        """Catch up with this memory soon; asked for several times, it is done once."""
        with self._change:
            self._waiting.setdefault(memory.space.key, (time.monotonic() + self._after, memory))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def close(self) -> None:
        """Finish what is waiting, and end."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while due := self._due():
            for step in self._steps(due):
                self._let_pass()
                try:
                    step()
                except MemoryAgentError as error:
                    # The turns are safe in the ledger, and the next change or opening tries again.
                    _log.warning("the index of a space could not catch up: %s", error)

    def _steps(self, due: list[Memory]) -> Iterator[Callable[[], object]]:
        """What there is to do, in pieces between which a chat may pass."""
        texts: list[str] = []
        for memory in due:
            yield partial(self._gather, memory, texts)
        for few in _batches(texts):
            # The embedder keeps what it made, so that the catching up finds it there.
            yield partial(due[0].space.embedder.embed, few)
        for memory in due:
            yield partial(upkeep.catch_up, memory.space)

    @staticmethod
    def _gather(memory: Memory, texts: list[str]) -> None:
        texts += upkeep.unembedded(memory.space)

    def _due(self) -> list[Memory]:
        """Wait for spaces that are due; none at the end."""
        with self._change:
            while True:
                now = time.monotonic()
                due = [key for key, (when, _) in self._waiting.items() if self._closing or when <= now][:TOGETHER]
                if due or self._closing:
                    return [self._waiting.pop(key)[1] for key in due]
                first = next(iter(self._waiting.values()), None)
                self._change.wait(None if first is None else first[0] - now)

    def _let_pass(self) -> None:
        with self._change:
            self._change.wait_for(lambda: self._closing or not self._chats, PATIENCE)
