"""MCP over streamable HTTP, at `/mcp` and `/mcp/{user}`: the key names the tenant, the path the user.

Stateless: each request stands alone, so any worker can answer it, and no session can be taken over by another key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from fastapi import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from memory_agent.errors import MemoryAgentError, MissingExtra, ScopeRequired
from memory_agent.server.paths import user_of
from memory_agent.server.problems import Refusal, of_error, problem
from memory_agent.server.serving import authenticate, serving_of

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from memory_agent.integrations.mcp import Access

_access: ContextVar[Access] = ContextVar("access")


class McpDoor:
    """The ASGI application behind the two routes; works while `running` is entered."""

    def __init__(self) -> None:
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer until the block ends. Without the `mcp` extra every request is told so."""
        try:
            from memory_agent.integrations.mcp import mcp_server
        except MissingExtra:
            yield
            return
        server = mcp_server(_access.get)
        server.streamable_http_app(stateless_http=True, json_response=True)
        self._manager = server.session_manager
        async with self._manager.run():
            yield
        self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            await self._answer(request, receive, send)
        except Refusal as error:
            await problem(error.status_code, str(error.detail), headers=error.headers)(scope, receive, send)
        except MemoryAgentError as error:
            await of_error(error)(scope, receive, send)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        principal = await authenticate(request)
        if self._manager is None:
            raise MissingExtra("the MCP server", "mcp")
        from memory_agent.integrations.mcp import Access

        serving = serving_of(request)
        user = user_of(request.path_params.get("user", "")) or serving.memories.settings.user
        if not user:
            raise ScopeRequired("name the user in the path, /mcp/alice, or start the server with --user")
        memory = await asyncio.to_thread(serving.memories.of, user, tenant=principal.tenant)
        token = _access.set(Access(memory, principal.may("writer")))
        try:
            await self._manager.handle_request(request.scope, receive, send)
        finally:
            _access.reset(token)


def routes(door: McpDoor) -> list[Route]:
    """Where the door stands. Methods and bodies are the protocol's own to judge."""
    return [Route("/mcp", door, include_in_schema=False), Route("/mcp/{user}", door, include_in_schema=False)]
