"""The conformance suite over PostgreSQL with pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memory_agent.protocols import Ledger, VectorIndex
from memory_agent.testing.conformance import DurableIndexConformance, DurableLedgerConformance
from memory_agent_stores.open import postgres


class TestPostgresLedger(DurableLedgerConformance):
    @pytest.fixture(autouse=True)
    def _where(self, postgres_url: str) -> None:
        self.url = postgres_url

    @contextmanager
    def opened(self, folder: Path) -> Iterator[Ledger]:
        backend = postgres(self.url)
        backend.index.close()
        yield backend.ledger
        backend.ledger.close()


class TestPostgresIndex(DurableIndexConformance):
    @pytest.fixture(autouse=True)
    def _where(self, postgres_url: str) -> None:
        self.url = postgres_url

    @contextmanager
    def opened(self, folder: Path) -> Iterator[VectorIndex]:
        backend = postgres(self.url)
        backend.ledger.close()
        yield backend.index
        backend.index.close()
