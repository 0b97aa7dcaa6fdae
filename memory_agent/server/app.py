"""The application: the routers, what stands around them, and an OpenAPI document that is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from memory_agent.memories import Memories
from memory_agent.server import problems, proxy
from memory_agent.server.indexing import Indexer
from memory_agent.server.limits import SizeLimit
from memory_agent.server.mcp import McpDoor, routes
from memory_agent.server.metrics import Measured, watch_loop
from memory_agent.server.paths import Slashes
from memory_agent.server.problems import COMMON, Problem
from memory_agent.server.proxy import Proxy
from memory_agent.server.routes import open_routers, routers
from memory_agent.server.serving import Options, Serving

DESCRIPTION = (
    "Memory for language-model agents. A key is bound to one tenant; users are spaces within it. Times are UTC. "
    "Errors are problem documents (RFC 9457). A POST or DELETE that writes may carry an `Idempotency-Key`."
)


def build(memories: Memories, options: Options | None = None) -> FastAPI:
    """The application over the memories of one store; it closes them when it shuts down."""
    serving = Serving.over(memories, options or Options())

    behind = Proxy(serving, Indexer())
    door = McpDoor()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        serving.warm = False
        beside = asyncio.create_task(_warm_and_watch(serving))
        async with door.running():
            yield
        beside.cancel()
        behind.close()
        serving.close()

    app = FastAPI(title="slowwave", version=version("slowwave"), description=DESCRIPTION, lifespan=lifespan)
    app.state.serving = serving
    app.state.proxy = behind
    for router in routers:
        app.include_router(router, responses=COMMON)
    app.include_router(proxy.router)
    for router in open_routers:
        app.include_router(router)
    app.router.routes.extend(routes(door))
    problems.install(app)
    app.add_middleware(Slashes)
    app.add_middleware(SizeLimit, most=serving.options.most_bytes, most_import=serving.options.most_import_bytes)
    app.add_middleware(Measured)
    _document(app)
    return app


async def _warm_and_watch(serving: Serving) -> None:
    """Load the models, and from then on measure the loop: whoever asks before the server is ready waits for them."""
    await asyncio.to_thread(serving.warm_up)
    await watch_loop()


def _document(app: FastAPI) -> None:
    """Add the problem schema to the OpenAPI document, and take out FastAPI's own error schemas, which we never send."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", Problem.model_json_schema())
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
