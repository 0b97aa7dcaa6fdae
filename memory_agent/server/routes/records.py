"""Records of any kind, by id: what they are, what they rest on, what they were, and how they go."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from memory_agent.records import Explanation, ForgetReport, Stored
from memory_agent.server.idempotency import IdempotentRoute
from memory_agent.server.serving import ReadMemory, WriteMemory

router = APIRouter(prefix="/v1/spaces/{user}", tags=["records"])
forgetting = APIRouter(prefix="/v1/spaces/{user}", tags=["records"], route_class=IdempotentRoute)
Id = Annotated[str, Path(min_length=1, max_length=512)]


class Record(BaseModel):
    """A record and its kind."""

    kind: str
    record: dict[str, Any]


class Lineage(BaseModel):
    """What a record rests on and what rests on it, in words and as records."""

    text: str
    record: Record
    rests_on: list[Record]
    supports: list[Record]


class Correction(BaseModel, extra="forbid"):
    """What to put right: a fact's `object`, `valid_from` or `valid_to`, or a turn's `content`."""

    object: str | None = Field(default=None, min_length=1, max_length=2000)
    valid_from: str | None = Field(default=None, max_length=40)
    valid_to: str | None = Field(default=None, max_length=40)
    content: str | None = Field(default=None, min_length=1, max_length=100_000)


class MergeIn(BaseModel, extra="forbid"):
    """Two entities that are one."""

    id: str = Field(min_length=1, max_length=600)
    into: str = Field(min_length=1, max_length=600)
    """The one that stays."""


class SplitIn(BaseModel, extra="forbid"):
    """An entity that was merged into another by mistake."""

    id: str = Field(min_length=1, max_length=600)


class ForgetIn(BaseModel, extra="forbid"):
    """What to forget: any record's id, or `session:<name>`."""

    id: str = Field(min_length=1, max_length=600)
    reason: str = Field(min_length=1, max_length=500)
    """Why; kept in the audit, so it must name no content."""
    dry_run: bool = False


def shown(record: Stored) -> Record:
    """A record as it is sent."""
    return Record(kind=record.kind, record=record.model_dump(mode="json"))


@router.get("/records/{id:path}/explain")
def explain(memory: ReadMemory, id: Id) -> Lineage:
    """What a record rests on, and what rests on it."""
    found: Explanation = memory.explain(id)
    return Lineage(
        text=found.text,
        record=shown(found.record),
        rests_on=[shown(each) for each in found.rests_on],
        supports=[shown(each) for each in found.supports],
    )


@router.get("/records/{id:path}/history")
def history(memory: ReadMemory, id: Id) -> list[Record]:
    """Every version of a record, oldest first."""
    return [shown(each) for each in memory.history(id)]


@router.get("/records/{id:path}")
def get(memory: ReadMemory, id: Id) -> Record:
    """The record of that id, of whatever kind."""
    return shown(memory.get(id))


@router.patch("/records/{id:path}")
def correct(memory: WriteMemory, id: Id, body: Correction) -> Record:
    """Correct a fact or a turn; the record as it now is."""
    return shown(memory.update(id, **body.model_dump()))


@router.post("/merge")
def merge(memory: WriteMemory, body: MergeIn) -> Record:
    """Let one entity be another from now on; the one that stays."""
    return shown(memory.merge(body.id, body.into))


@router.post("/split")
def split(memory: WriteMemory, body: SplitIn) -> Record:
    """Take back a merge; the entity, on its own again."""
    return shown(memory.split(body.id))


@forgetting.post("/forget")
def forget(memory: WriteMemory, body: ForgetIn) -> ForgetReport:
    """Forget a record and everything that had no other source, the weights included. A whole user: DELETE the space."""
    if body.id.startswith("user:"):
        from memory_agent.errors import InvalidInput

        raise InvalidInput("to forget a whole user, DELETE /v1/spaces/{user} with an admin's key")
    return memory.forget(body.id, reason=body.reason, dry_run=body.dry_run)
