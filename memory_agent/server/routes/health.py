"""Whether the server lives and is ready, and its metrics for Prometheus. No key, and nothing of any user."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

from memory_agent.server import metrics
from memory_agent.server.problems import Refusal, responses
from memory_agent.server.serving import ServingDep

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Well, as long as it is answered with 200."""

    status: str = "ok"


@router.get("/health/live")
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/health/ready", responses=responses(503))
def ready(serving: ServingDep) -> Health:
    """The store can be read, and the models are loaded."""
    if not serving.warm:
        raise Refusal(503, "the models are being loaded")
    serving.memories.backend.ledger.spaces()
    return Health()


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
async def prometheus() -> Response:
    """Requests by route and status, their durations, and the proxy's own time."""
    return Response(metrics.exposition(), media_type=metrics.MEDIA)
