"""`Idempotency-Key`: a repeated request gets the answer the first one got, without being carried out again.

(draft-ietf-httpapi-idempotency-key-header.) The key is scoped to the API key; sent again with another
request it is refused (422), while the first is still at work it is a conflict (409). Answers are kept
for a day; a request that failed on our side (5xx) is not kept and may be tried again.

Only routes that write and answer with ids and counts are of this class: an answer that is kept outlives what is
forgotten meanwhile, so none may hold what was remembered.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

import anyio.to_thread
from fastapi import Request, Response
from fastapi.routing import APIRoute

from memory_agent.server.database import Database
from memory_agent.server.problems import Refusal
from memory_agent.server.serving import authenticate, serving_of

HEADER = "Idempotency-Key"
KEPT_SECONDS = 24 * 3600.0
ABANDONED_SECONDS = 600.0
"""After which a request that never ended (its process was killed) may be tried again."""
LONGEST = 200


class IdempotentRoute(APIRoute):
    """A route that answers a repeated POST or DELETE from what it answered before."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, around the route's own."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method in ("GET", "HEAD"):
                return await inner(request)
            if not 1 <= len(key) <= LONGEST:
                raise Refusal(422, f"{HEADER} must have 1 to {LONGEST} characters")
            principal = await authenticate(request)
            told = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
            attempt = _Attempt(serving_of(request).database, principal.key, key, hashlib.sha256(told).hexdigest())
            if (kept := await anyio.to_thread.run_sync(attempt.begin)) is not None:
                return kept
            try:
                response = await inner(request)
            except BaseException:
                attempt.drop()
                raise
            await anyio.to_thread.run_sync(attempt.end, response)
            return response

        return handle


class _Attempt:
    """One request under one key."""

    def __init__(self, database: Database, scope: str, key: str, fingerprint: str) -> None:
        self._database = database
        self._where = (scope, key)
        self._fingerprint = fingerprint

    def begin(self) -> Response | None:
        """The kept answer, or None when the request is now to be carried out. Raises Refusal (409 or 422)."""
        now = time.time()
        with self._database.lent() as db:
            db.execute(
                "DELETE FROM answer WHERE at < ? OR (status IS NULL AND at < ?)",
                (now - KEPT_SECONDS, now - ABANDONED_SECONDS),
            )
            begun = db.execute(
                "INSERT OR IGNORE INTO answer VALUES (?, ?, ?, ?, NULL, NULL, NULL)",
                (*self._where, self._fingerprint, now),
            )
            if begun.rowcount:
                return None
            fingerprint, status, media, body = db.execute(
                "SELECT fingerprint, status, media, body FROM answer WHERE scope = ? AND key = ?", self._where
            ).fetchone()
        if fingerprint != self._fingerprint:
            raise Refusal(422, f"this {HEADER} was sent with another request; take a new one")
        if status is None:
            raise Refusal(409, f"the first request with this {HEADER} is still at work", {"Retry-After": "1"})
        return Response(body, status, {"Idempotency-Replayed": "true"}, media)

    def end(self, response: Response) -> None:
        """Keep an answer that is not a failure of ours."""
        if response.status_code >= 500:
            self.drop()
            return
        media = response.headers.get("content-type")
        with self._database.lent() as db:
            db.execute(
                "UPDATE answer SET status = ?, media = ?, body = ? WHERE scope = ? AND key = ?",
                (response.status_code, media, bytes(response.body), *self._where),
            )

    def drop(self) -> None:
        """Keep nothing; the request may be tried again."""
        with self._database.lent() as db:
            db.execute("DELETE FROM answer WHERE scope = ? AND key = ?", self._where)
