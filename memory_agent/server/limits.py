"""The size limit, as plain ASGI: a body is counted while it comes in, so that a stream is never held."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_agent.server.problems import Refusal, problem


class SizeLimit:
    """Answers 413 to a request whose body is longer than `most` bytes, or `most_import` where an export is read in."""

    def __init__(self, app: ASGIApp, most: int, most_import: int) -> None:
        self._app, self._most, self._most_import = app, most, max(most, most_import)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        importing = scope["method"] == "POST" and scope["path"].endswith("/import")
        most = self._most_import if importing else self._most
        detail = f"a request's body may hold {most} bytes"
        told = dict(scope["headers"]).get(b"content-length", b"")
        if told.isdigit() and int(told) > most:
            await problem(413, detail)(scope, receive, send)
            return
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > most:
                raise Refusal(413, detail)
            return message

        await self._app(scope, counted, send)
