"""What is examined, in which order, and what becomes of what was found.

Each check is a function `(Subject) -> findings` over one space; those of the ledger are in `evidence`, those of
what is derived in `derived`. A finding that something else can mend names its cure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress

from pydantic import Field

from memory_agent.doctor import derived, evidence
from memory_agent.doctor.finding import INVARIANTS, Finding, Invariant, Subject
from memory_agent.errors import StoreBusy, StoreCorrupt
from memory_agent.protocols import Backend, Repairable, Snapshots
from memory_agent.records import STORED, Record
from memory_agent.space import Space

__all__ = ["INVARIANTS", "Diagnosis", "Problem", "examine"]

_CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    evidence.turns,
    evidence.claims,
    evidence.entities,
    evidence.times,
    derived.facts,
    derived.lineage,
    derived.summaries,
    derived.adapters,
    derived.vectors,
)


class Problem(Record):
    """One thing that is wrong."""

    invariant: Invariant
    space: str
    """Empty when it is the whole store's."""
    what: str
    """In words; it names ids, never content."""
    repairable: bool
    repaired: bool = False


class Diagnosis(Record):
    """What was looked at, and what was found."""

    problems: tuple[Problem, ...] = ()
    spaces: tuple[str, ...] = ()
    records: Mapping[str, int] = Field(default_factory=dict)
    """By kind, of all spaces together."""
    position: int = 0
    """The last position of any of the spaces."""
    indexed_to: Mapping[str, int] = Field(default_factory=dict)
    """By kind: the lowest position that vectors of a space are true to."""
    embedders: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong, or nothing any more."""
        return all(problem.repaired for problem in self.problems)


def examine(backend: Backend, spaces: Sequence[Space], *, repair: bool = False) -> Diagnosis:
    """Check every invariant that a store can show, over these spaces of it; with `repair` mend what is derived.

    Reads each space at one moment, and holds nobody up. What is merely not caught up (vectors of the last turns) is
    a problem only when nobody is writing. Raises EmbedderChanged, StoreBusy, and what the embedder raises, on repair.
    """
    found = list(dict.fromkeys(_look(backend, spaces)))
    if repair and any(finding.cure for _, finding in found):
        if isinstance(backend.ledger, Repairable):
            backend.ledger.repair()
        for space in spaces:
            cures = {finding.cure for owner, finding in found if owner == space.key and finding.cure}
            for cure in derived.CURES:
                if cure in cures:
                    derived.CURES[cure](space)
    left = {(owner, finding.what) for owner, finding in (_look(backend, spaces) if repair else found)}
    problems = [
        Problem(
            invariant=finding.invariant,
            space=owner,
            what=finding.what,
            repairable=bool(finding.cure),
            repaired=(owner, finding.what) not in left,
        )
        for owner, finding in found
    ]
    return _diagnosis(spaces, problems)


def _look(backend: Backend, spaces: Sequence[Space]) -> Iterator[tuple[str, Finding]]:
    """Every finding with the space it is of."""
    for line in backend.ledger.check():
        yield "", Finding("durable", line, cure="ledger" if "word index" in line or "from index" in line else "")
    ledger = backend.ledger
    with ledger.snapshot() if isinstance(ledger, Snapshots) else nullcontext(ledger) as held:
        for space in spaces:
            subject = Subject(space, held.space(space.key))
            for check in _CHECKS:
                try:
                    for finding in check(subject):
                        yield space.key, finding
                except StoreCorrupt as error:
                    yield space.key, Finding("durable", str(error))


def _diagnosis(spaces: Sequence[Space], problems: Sequence[Problem]) -> Diagnosis:
    records: dict[str, int] = {}
    indexed: dict[str, int] = {}
    embedders: set[str] = set()
    position = 0
    for space in spaces:
        with suppress(StoreCorrupt, StoreBusy):
            position = max(position, space.ledger.position())
            for kind in STORED:
                records[kind.kind] = records.get(kind.kind, 0) + space.ledger.count(kind)
        for name in ("episode", "fact"):
            if state := space.index.state(name):
                indexed[name] = min(indexed.get(name, state.position), state.position)
                embedders.add(state.model)
    return Diagnosis(
        problems=tuple(problems),
        spaces=tuple(space.key for space in spaces),
        records=records,
        position=position,
        indexed_to=indexed,
        embedders=tuple(sorted(embedders)),
    )
