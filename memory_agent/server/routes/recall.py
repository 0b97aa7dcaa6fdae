"""Recall: search, context and answers."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from memory_agent.records import Answer, Context, Instant, Mode, SearchResult
from memory_agent.server.serving import ReadMemory, WriteMemory

router = APIRouter(prefix="/v1/spaces/{user}", tags=["recall"])
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Moment = Annotated[
    str | None, Field(max_length=40, description="`2024`, `2024-03`, `2024-03-14`, or an instant with its zone.")
]


class SearchIn(BaseModel, extra="forbid"):
    """What to search for."""

    query: Text
    limit: int = Field(default=10, ge=1, le=100)
    kinds: list[Literal["episode", "fact"]] = Field(default=["episode", "fact"], min_length=1, max_length=2)
    as_of: Moment = None
    known_at: Moment = None
    session: str | None = Field(default=None, max_length=512)
    speaker: str | None = Field(default=None, max_length=512)
    since: Instant | None = None
    until: Instant | None = None


class ContextIn(BaseModel, extra="forbid"):
    """A question to assemble a context for."""

    question: Text
    budget: int = Field(default=2000, ge=0, le=100_000)
    """Most tokens of the text."""


class AskIn(BaseModel, extra="forbid"):
    """A question to answer."""

    question: Text
    mode: Mode = "auto"


@router.post("/search")
def search(memory: ReadMemory, body: SearchIn) -> SearchResult:
    """The best turns and facts for a query, best first, with the trace that says why."""
    return memory.search(**body.model_dump())


@router.post("/context")
def context(memory: ReadMemory, body: ContextIn) -> Context:
    """What a model would be shown for a question, and its tokens."""
    return memory.context(body.question, budget=body.budget)


@router.post("/ask")
def ask(memory: WriteMemory, body: AskIn) -> Answer:
    """An answer from the weights, from what is retrieved, or from both. It computes, so it needs a writer's key."""
    return memory.ask(body.question, mode=body.mode)
