"""What changes a store and keeps it true to its ledger: the vector index level, nothing left of what was forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory_agent.protocols import Backend, Extractor, Progress
from memory_agent.records import AddReport, ConsolidationReport, Episode, ExpiryReport, Fact, ForgetReport, Turn
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.retention import Policy


def catch_up(space: Space, *, rebuild: bool = False) -> None:
    """Bring the vector index level with the ledger; with `rebuild`, from nothing. Raises as `retrieval.index`."""
    from memory_agent.retrieval import index

    (index.rebuild if rebuild else index.catch_up)(space)


def add(space: Space, turns: Sequence[Turn | Mapping[str, Any]], session: str | None) -> AddReport:
    """Take turns in, and embed them; see `Memory.add`."""
    from memory_agent import episodic

    report = episodic.take_in(space, turns, session)
    catch_up(space)
    return report


def consolidate(space: Space, extractor: Extractor | None, progress: Progress | None) -> ConsolidationReport:
    """Read new turns into the graph, and embed its facts; see `Memory.consolidate`."""
    from memory_agent import consolidation

    report = consolidation.consolidate(space, extractor, progress)
    catch_up(space)
    return report


def update(space: Space, id: str, **correction: str | None) -> Fact | Episode:
    """Correct a record, and embed what it now says; see `Memory.update`."""
    from memory_agent.consolidation import editing

    record = editing.update(space, id, **correction)
    catch_up(space)
    return record


def forget(backend: Backend, space: Space, id: str, *, reason: str, dry_run: bool) -> ForgetReport:
    """Forget a record in the ledger, and then in every file of the store; see `Memory.forget`."""
    from memory_agent.consolidation import forgetting

    report = forgetting.forget(space, id, reason=reason, dry_run=dry_run)
    if not dry_run:
        clear_files(backend, space)
    return report


def expire(backend: Backend, space: Space, policy: Policy, *, dry_run: bool) -> ExpiryReport:
    """Forget what has expired, and then in every file of the store; see `memory.retention`."""
    from memory_agent.consolidation import expiring

    report = expiring.expire(space, policy, dry_run=dry_run)
    if report.forgotten and not dry_run:
        clear_files(backend, space)
    return report


def clear_files(backend: Backend, space: Space) -> None:
    """Leave nothing in any file of what the ledger no longer holds: adapters, vectors, free pages."""
    from memory_agent.distillation import registry

    registry.sweep(space)
    catch_up(space)
    backend.index.compact()
    backend.ledger.compact()
