"""Turns: taken in durably, listed as they were said."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from fastapi import Query as Parameter
from pydantic import BaseModel, Field

from memory_agent.protocols import Query
from memory_agent.records import AddReport, Episode, Turn
from memory_agent.server.idempotency import IdempotentRoute
from memory_agent.server.paging import Cursor, Limit, Page, rows
from memory_agent.server.serving import ReadMemory, WriteMemory

router = APIRouter(prefix="/v1/spaces/{user}/turns", tags=["turns"], route_class=IdempotentRoute)
Name = Annotated[str | None, Field(max_length=512)]


class TurnsIn(BaseModel, extra="forbid"):
    """Turns to remember."""

    turns: list[Turn] = Field(min_length=1, max_length=1000)
    session: Name = None
    """For turns that name none; by default the day of the turn."""


@router.post("", status_code=201)
def add(memory: WriteMemory, body: TurnsIn) -> AddReport:
    """Take turns in, all or none. When the answer comes they are on disk and can be found."""
    return memory.add(body.turns, session=body.session)


@router.get("")
def list_turns(
    memory: ReadMemory,
    session: Annotated[str | None, Parameter(max_length=512)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Episode]:
    """The turns, in the order they were taken in; of one session, or of all."""
    where = {} if session is None else {"session": session}
    items, following = rows(memory.space.ledger, Episode, Query(where=where), limit, cursor)
    return Page(items=items, next=following)
