"""Keeping vectors level behind the answers: what the proxy takes in is durable at once and embedded in turn.

The ledger is written before an answer is shown; the vector index is derived from it and catches up here, one
space at a time, so that a chat does not wait for it. What is lost in a crash is caught up when the space is opened.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

from memory_agent import upkeep
from memory_agent.errors import MemoryAgentError
from memory_agent.memory import Memory

_log = logging.getLogger(__name__)


class Indexer:
    """One thread that brings the indexes of changed spaces level. Begun by the first change, ended by `close`."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Memory] = OrderedDict()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def later(self, memory: Memory) -> None:
        """Catch up with this memory soon; asked for several times, it is done once."""
        with self._change:
            self._waiting.setdefault(memory.space.key, memory)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
                self._thread.start()
            self._change.notify()

    def close(self) -> None:
        """Finish what is waiting, and end."""
        with self._change:
            self._closing = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                _, memory = self._waiting.popitem(last=False)
            try:
                upkeep.catch_up(memory.space)
            except MemoryAgentError as error:
                # The turns are safe in the ledger, and the next change or opening tries again.
                _log.warning("the index of a space could not catch up: %s", error)
