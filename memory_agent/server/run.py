"""Starting the server: where it may listen, and with or without keys."""

from __future__ import annotations

import gc
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from memory_agent.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from fastapi import FastAPI

    from memory_agent.memories import Memories
    from memory_agent.server.serving import Options

SWITCH = 0.001
"""Seconds after which a thread at work hands the interpreter on. Python's own 5 ms let the event loop wait for every
thread in turn: with six of them at work it was late five times as long, for a tenth less work done."""
CREATE = "memory-agent key create --role admin --name me"


def application(memories: Memories, host: str, options: Options | None = None) -> FastAPI:
    """The application to serve at `host`: with keys where there are any; without, on this machine alone.

    Raises InvalidInput when there is no key and `host` can be reached from elsewhere, MissingExtra without FastAPI.
    """
    from memory_agent.server import create_app

    app = create_app(memories, options)
    serving = app.state.serving
    if serving.keys.standing():
        return app
    from memory_agent.server.serving import is_loopback

    if not is_loopback(host):
        serving.database.close()
        raise InvalidInput(
            f"there is no API key, and {host} can be reached from elsewhere: make one with `{CREATE}`, "
            "or listen on 127.0.0.1"
        )
    serving.options = replace(serving.options, keyless=True)
    return app


def run(memories: Memories, host: str, port: int, options: Options | None = None) -> None:
    """Serve until interrupted. Raises as `application`, and OSError when the port is taken."""
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("the server", "server") from error
    app = application(memories, host, options)
    app.state.serving.settle = _settle
    sys.setswitchinterval(SWITCH)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)


def _settle() -> None:
    """Take what was loaded so far out of garbage collection: going through a million objects of torch's and
    transformers' holds every thread, the event loop's with them, for a quarter of a second each time.
    """
    gc.collect()
    gc.freeze()


def inspect(memories: Memories, user: str, port: int, opened: Callable[[str], None]) -> None:
    """Serve the inspector on this machine alone until interrupted; `opened` gets its address once it listens.

    The address carries a key of this process after its "#", which browsers send nowhere. Keys of the
    store open it as well. Raises MissingExtra, and OSError when the port is taken; port 0 takes a free one.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra("the inspector", "server") from error
    from memory_agent.server import create_app
    from memory_agent.server.serving import Options

    key = secrets.token_urlsafe(32)
    app = create_app(memories, Options(own_key=key, requests_per_minute=0))
    with socket.create_server(("127.0.0.1", port)) as listening:
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        opened(f"http://127.0.0.1:{listening.getsockname()[1]}/inspector?{urlencode({'user': user})}#key={key}")
        uvicorn.Server(config).run(sockets=[listening])
