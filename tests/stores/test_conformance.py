"""The conformance suite over every built-in store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_agent.protocols import Ledger, VectorIndex
from memory_agent.testing.conformance import (
    DurableIndexConformance,
    DurableLedgerConformance,
    IndexConformance,
    LedgerConformance,
)
from memory_agent_stores.chroma import ChromaIndex
from memory_agent_stores.memory import MemoryIndex, MemoryLedger
from memory_agent_stores.sqlite import SqliteLedger


class TestSqliteLedger(DurableLedgerConformance):
    @contextmanager
    def opened(self, folder: Path) -> Iterator[Ledger]:
        ledger = SqliteLedger(folder)
        yield ledger
        ledger.close()


class TestMemoryLedger(LedgerConformance):
    @contextmanager
    def opened(self, folder: Path) -> Iterator[Ledger]:
        ledger = MemoryLedger()
        yield ledger
        ledger.close()


class TestChromaIndex(DurableIndexConformance):
    @contextmanager
    def opened(self, folder: Path) -> Iterator[VectorIndex]:
        index = ChromaIndex(folder)
        yield index
        index.close()


class TestChromaIndexByItsGraph(TestChromaIndex):
    """With the graph files written every few vectors, and searched from the first vector on."""

    @contextmanager
    def opened(self, folder: Path) -> Iterator[VectorIndex]:
        index = ChromaIndex(folder, sync_threshold=3, exact=0)
        yield index
        index.close()


class TestMemoryIndex(IndexConformance):
    @contextmanager
    def opened(self, folder: Path) -> Iterator[VectorIndex]:
        index = MemoryIndex()
        yield index
        index.close()
