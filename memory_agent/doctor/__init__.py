"""Looking whether a store is whole, and mending what is derived.

    examine(backend, spaces)            what is wrong, each with the invariant it breaks; writes nothing
    examine(..., repair=True)           the same, after what is derived was made anew from the ledger

The ledger itself is never mended: what is wrong in it is told, with the way out (docs/how-to/back-up.md).
"""

from memory_agent.doctor.examining import INVARIANTS, Diagnosis, Problem, examine

__all__ = ["INVARIANTS", "Diagnosis", "Problem", "examine"]
