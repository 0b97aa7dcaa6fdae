"""The store conformance suite: what every ledger and every vector index has to do.

A backend's test file subclasses both suites and says how its store is opened:

    class TestMyLedger(DurableLedgerConformance):
        @contextmanager
        def opened(self, folder: Path) -> Iterator[Ledger]:
            ledger = MyLedger(folder)
            yield ledger
            ledger.close()

    class TestMyIndex(DurableIndexConformance):
        ...the same with `Iterator[VectorIndex]`

A store that outlives `close` takes DurableLedgerConformance and DurableIndexConformance, which ask
for that too. Needs pytest.
"""

from memory_agent.testing.conformance.index import DurableIndexConformance, IndexConformance
from memory_agent.testing.conformance.ledger import DurableLedgerConformance, LedgerConformance
from memory_agent.testing.conformance.samples import a_fact, an_episode, one_of_each

__all__ = [
    "DurableIndexConformance",
    "DurableLedgerConformance",
    "IndexConformance",
    "LedgerConformance",
    "a_fact",
    "an_episode",
    "one_of_each",
]
