"""Errors as RFC 9457 problem documents (`application/problem+json`), and which of ours is which status."""

from __future__ import annotations

import http
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from memory_agent.errors import (
    DistillationError,
    DuplicateId,
    InvalidInput,
    MemoryAgentError,
    MissingExtra,
    ModelError,
    ModelNotFound,
    NotFound,
    StoreBusy,
    StoreError,
)

_log = logging.getLogger(__name__)
MEDIA = "application/problem+json"
_STATUS: tuple[tuple[type[MemoryAgentError], int], ...] = (
    (DuplicateId, 409),
    (InvalidInput, 422),
    (NotFound, 404),
    (StoreBusy, 503),
    (StoreError, 503),
    (ModelNotFound, 501),
    (MissingExtra, 501),
    (ModelError, 502),
    (DistillationError, 409),
)
RETRY_AFTER = 5
"""Seconds a client is told to wait when the store is busy."""


class Problem(BaseModel):
    """One error, as RFC 9457 has it."""

    type: str = Field(description="`urn:memory-agent:` and the name of the error, or about:blank.")
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = Field(
        default=None, description="Of a request that does not fit: what and where."
    )


class Refusal(HTTPException):
    """An HTTP error of the server's own, with headers where it needs some."""


def status_of(error: MemoryAgentError) -> int:
    """The status of an error of the library; 500 for one that has none of its own."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(
    status: int, detail: str, *, name: str = "", headers: Mapping[str, str] | None = None, **more: Any
) -> JSONResponse:
    """A problem document as a response."""
    body = {
        "type": f"urn:memory-agent:{name}" if name else "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return JSONResponse(body, status, dict(headers or {}), MEDIA)


def of_error(error: MemoryAgentError) -> JSONResponse:
    """The problem document of one of the library's errors."""
    status = status_of(error)
    headers = {"Retry-After": str(RETRY_AFTER)} if isinstance(error, StoreBusy) else {}
    return problem(status, str(error), name=type(error).__name__, headers=headers)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route documents: these statuses, each a problem document."""
    return {
        status: {
            "description": http.HTTPStatus(status).phrase,
            "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


COMMON = responses(400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 501, 502, 503)
"""What any route may answer with besides its own."""


def install(app: FastAPI) -> None:
    """Make every error of the application a problem document."""

    async def ours(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, MemoryAgentError)
        return of_error(error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = [{"loc": [str(part) for part in e["loc"]], "msg": e["msg"]} for e in error.errors()]
        where = ".".join(found[0]["loc"])
        return problem(422, f"{where}: {found[0]['msg']}", name="InvalidRequest", errors=found)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), headers=error.headers)

    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.exception("unexpected error on %s %s", request.method, request.url.path, exc_info=error)
        return problem(500, "something went wrong here; the server's log has it")

    app.add_exception_handler(MemoryAgentError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, unexpected)
