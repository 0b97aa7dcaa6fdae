"""Export and import: a user's whole memory as lines, or its graph for other tools; an admin's business."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from memory_agent import faces
from memory_agent.errors import InvalidInput
from memory_agent.exchange import graphs, lines
from memory_agent.server.idempotency import IdempotentRoute
from memory_agent.server.serving import Admin, AdminMemory

router = APIRouter(prefix="/v1/spaces/{user}", tags=["exchange"])
importing = APIRouter(prefix="/v1/spaces/{user}", tags=["exchange"], route_class=IdempotentRoute)
LINES = "application/x-ndjson"
_MEDIA = {"jsonl": LINES, "graphml": "application/xml", "turtle": "text/turtle", "csv": "text/csv"}
_TEXT = {"schema": {"type": "string"}}


class Imported(BaseModel):
    """What an import brought."""

    records: int = 0
    turns: int = 0
    known_already: int = 0
    blocks: int = 0


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"description": "The export.", "content": dict.fromkeys(_MEDIA.values(), _TEXT)}},
)
def export(
    memory: AdminMemory,
    format: Annotated[
        Literal["jsonl", "graphml", "turtle", "csv"], Query(description="jsonl is everything, the others the graph.")
    ] = "jsonl",
    table: Annotated[Literal["entities", "facts"], Query(description="Which table of csv.")] = "facts",
    current: Annotated[bool, Query(description="Of the graph, only what is believed now.")] = False,
) -> Response:
    """The memory, written out; `memory-agent import` and the call below read jsonl back."""
    headers = {"Cache-Control": "no-store"}
    if format == "jsonl":
        written: Iterator[str] = lines.write(memory.space)
        return StreamingResponse(written, media_type=_MEDIA[format], headers=headers)
    texts = graphs.write(graphs.Graph.in_space(memory.space, versions=not current), format)
    return Response(texts[table if format == "csv" else ""], media_type=_MEDIA[format], headers=headers)


async def _body(request: Request, _: Admin) -> str:
    """The body as text, read only once it is known who sends it. Raises InvalidInput."""
    try:
        return (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the body is no UTF-8: {error}") from error


_BODY: dict[str, Any] = {"required": True, "content": {LINES: _TEXT, "application/json": {"schema": {}}}}


@importing.post("/import", status_code=201, openapi_extra={"requestBody": _BODY})
def import_(
    memory: AdminMemory,
    text: Annotated[str, Depends(_body)],
    origin: Annotated[
        Literal["slowwave", "mem0", "zep", "letta", "langmem"], Query(alias="from", description="Who wrote it out.")
    ] = "slowwave",
    format: Annotated[Literal["jsonl", "graphml", "turtle"], Query(description="Of our own export.")] = "jsonl",
) -> Imported:
    """Read an export in: our own into an empty memory, another's (JSON) as turns to consolidate.

    All or nothing; it may be much longer than other requests.
    """
    return Imported(**faces.read_in(memory.space, {"": text}, origin, format))
