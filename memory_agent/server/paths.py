"""Names in a path: a user's may hold a slash, sent as `%2F`.

Servers hand a path on decoded, in which such a slash cannot be told from those between the parts. It is therefore
kept as `SLASH`, which no name may hold, from here to where the user is read.
"""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from memory_agent.server.problems import problem

SLASH = "\0"
_USER = {b"v1": 3, b"mcp": 2}
"""By a path's first part, which of its parts is the user."""


def user_of(part: str) -> str:
    """The user that a part of a path names."""
    return part.replace(SLASH, "/")


class Slashes:
    """Keeps the slashes of a user's name apart from those of the path, as plain ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = (scope.get("raw_path") or b"").partition(b"?")[0] if scope["type"] == "http" else b""
        parts = raw.split(b"/")
        place = _USER.get(parts[1], 0) if len(parts) > 1 else 0
        if 0 < place < len(parts):
            if b"%00" in parts[place]:
                await problem(422, "a user's name holds no null character")(scope, receive, send)
                return
            if b"%2f" in parts[place].lower():
                decoded = [unquote(part.decode("latin-1")) for part in parts]
                decoded[place] = decoded[place].replace("/", SLASH)
                scope = {**scope, "path": "/".join(decoded)}
        await self._app(scope, receive, send)
