"""Reviews: what waits for a person before it may be put into weights, and what was decided. An admin's business."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from memory_agent.auditing import Chain
from memory_agent.distillation.review import Waiting
from memory_agent.server.idempotency import IdempotentRoute
from memory_agent.server.paging import Cursor, Limit, Page, listed
from memory_agent.server.serving import AdminMemory

router = APIRouter(prefix="/v1/spaces/{user}", tags=["review"])
deciding = APIRouter(prefix="/v1/spaces/{user}", tags=["review"], route_class=IdempotentRoute)


class Decision(BaseModel, extra="forbid"):
    """Ids of facts that were decided about."""

    ids: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(min_length=1, max_length=1000)


class Decided(BaseModel):
    """What was decided about. Ids alone: an answer that is kept for a repeated request outlives what is forgotten."""

    ids: list[str]


@router.get("/review")
def waiting(
    memory: AdminMemory,
    source: Annotated[str | None, Query(max_length=512)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Waiting]:
    """The facts that wait, of one source or all, each with the reason; first what stands against others' words."""
    numbered = list(enumerate(memory.review.waiting(source)))
    items, following = listed(numbered, lambda each: f"{each[0]:012d}", limit, cursor)
    return Page(items=[one for _, one in items], next=following)


@deciding.post("/review/approve")
def approve(memory: AdminMemory, body: Decision) -> Decided:
    """Let facts count as the user's own word."""
    return Decided(ids=[fact.id for fact in memory.review.approve(*body.ids)])


@deciding.post("/review/reject")
def reject(memory: AdminMemory, body: Decision) -> Decided:
    """Withdraw facts; the turns stay as they were said."""
    return Decided(ids=[fact.id for fact in memory.review.reject(*body.ids)])


@router.get("/audit/verify")
def verify(memory: AdminMemory, head: Annotated[str | None, Query(max_length=64)] = None) -> Chain:
    """Whether the audit chain is whole; with an earlier head, whether it still holds that one."""
    return memory.audit(head)
