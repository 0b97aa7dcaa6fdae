"""What keeps a store true to its ledger: the vector index level with it, and nothing left of what was forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memory_agent.protocols import Backend
from memory_agent.records import ExpiryReport, ForgetReport
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.retention import Policy


def catch_up(space: Space, *, rebuild: bool = False) -> None:
    """Bring the vector index level with the ledger; with `rebuild`, from nothing. Raises as `retrieval.index`."""
    from memory_agent.retrieval import index

    (index.rebuild if rebuild else index.catch_up)(space)


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
