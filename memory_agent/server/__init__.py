"""The server: REST, the OpenAI-compatible proxy, MCP and the inspector over one store. A router per resource.

FastAPI is imported by the modules beside this one, never by this one; `create_app` and `serve` say which
extra is missing when it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memory_agent.errors import MissingExtra

if TYPE_CHECKING:
    from fastapi import FastAPI

    from memory_agent.memories import Memories
    from memory_agent.server.serving import Options

__all__ = ["create_app"]


def create_app(memories: Memories, options: Options | None = None) -> FastAPI:
    """The application over the memories of one store; it closes them when it shuts down.

    Raises MissingExtra when FastAPI is not installed.
    """
    try:
        import fastapi  # noqa: F401
    except ImportError as error:
        raise MissingExtra("the server", "server") from error
    from memory_agent.server.app import build

    return build(memories, options)
