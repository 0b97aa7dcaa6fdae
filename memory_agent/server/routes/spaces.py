"""Spaces: the users of the key's tenant, what a user's memory holds, and its audit chain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from memory_agent.records import STORED, AuditEntry, ForgetReport
from memory_agent.server.idempotency import IdempotentRoute
from memory_agent.server.paging import Cursor, Limit, Page, listed
from memory_agent.server.serving import Admin, AdminMemory, Reader, ReadMemory, ServingDep

router = APIRouter(prefix="/v1/spaces", tags=["spaces"], route_class=IdempotentRoute)


class SpaceStats(BaseModel):
    """What a user's memory holds."""

    user: str
    records: dict[str, int]
    position: int
    """Of the last transaction."""
    indexed: dict[str, int]
    """The position up to which the vectors of each kind are true."""


@router.get("")
def list_spaces(principal: Reader, serving: ServingDep, limit: Limit = 100, cursor: Cursor = None) -> Page[str]:
    """The users of the key's tenant of whom something is remembered."""
    items, following = listed(serving.memories.users(principal.tenant), str, limit, cursor)
    return Page(items=items, next=following)


@router.get("/{user}/stats")
def stats(memory: ReadMemory) -> SpaceStats:
    """How many records of each kind there are, and how far the vectors are level with them."""
    space = memory.space
    states = {kind: space.index.state(kind) for kind in ("episode", "fact")}
    return SpaceStats(
        user=space.user,
        records={kind.kind: space.ledger.count(kind) for kind in STORED},
        position=space.ledger.position(),
        indexed={kind: state.position for kind, state in states.items() if state},
    )


@router.get("/{user}/audit")
def audit(memory: AdminMemory, limit: Limit = 100, cursor: Cursor = None) -> Page[AuditEntry]:
    """The audit chain, oldest first: ids and hashes, never content."""
    chain = list(enumerate(memory.space.ledger.audit_chain()))
    items, following = listed(chain, lambda each: f"{each[0]:012d}", limit, cursor)
    return Page(items=[entry for _, entry in items], next=following)


@router.delete("/{user}")
def forget_space(
    memory: AdminMemory,
    principal: Admin,
    reason: Annotated[str, Query(min_length=1, max_length=500, description="Why; name no content.")],
    dry_run: bool = False,
) -> ForgetReport:
    """Forget everything of a user."""
    return memory.forget(f"user:{memory.space.user}", reason=reason, dry_run=dry_run)
