"""The OpenAI-compatible door: chat completions that remember, models, embeddings.

A client changes its base URL and nothing else. The key names the tenant, the request's `user` a user within it. What
the user says is durable before the model is asked, the reply before its end is told. Errors have OpenAI's shape.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from memory_agent import episodic
from memory_agent.errors import InvalidInput, MemoryAgentError
from memory_agent.integrations import conversation
from memory_agent.integrations.conversation import Recalled
from memory_agent.memory import Memory
from memory_agent.records import Turn
from memory_agent.server import metrics
from memory_agent.server.indexing import Indexer
from memory_agent.server.problems import status_of
from memory_agent.server.serving import Reader, Serving, ServingDep, Writer
from memory_agent.server.upstream import Upstream, UpstreamFailed, upstream_of

SESSION = "X-Session"
SOURCES = "X-Memory-Sources"
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class OpenAIError(BaseModel):
    """An error as OpenAI's clients read it."""

    class Inner(BaseModel):
        """What went wrong."""

        message: str
        type: str
        param: str | None = None
        code: str | None = None

    error: Inner


class OpenAIRoute(APIRoute):
    """A route whose errors have OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, around the route's own."""
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await inner(request)
            except UpstreamFailed as error:
                return refusal(error.status, str(error))
            except MemoryAgentError as error:
                status = status_of(error)
                return refusal(400 if status == 422 else status, str(error), type(error).__name__)
            except RequestValidationError as error:
                first = error.errors()[0]
                return refusal(400, f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}")
            except HTTPException as error:
                return refusal(error.status_code, str(error.detail), headers=error.headers)

        return handle


def refusal(
    status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in OpenAI's shape."""
    type = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return JSONResponse({"error": {"message": message, "type": type, "param": None, "code": code}}, status, headers)


_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIError, "description": "Refused or failed; see `error.message`."}
    for status in (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 501, 502, 503)
}
router = APIRouter(prefix="/v1", tags=["openai"], route_class=OpenAIRoute, responses=_ERRORS)


class ChatIn(BaseModel, extra="allow"):
    """A chat completion request; what is not named here is handed to the model as it is."""

    model: str = Field(min_length=1, max_length=500)
    messages: list[dict[str, Any]] = Field(min_length=1, max_length=10_000)
    stream: bool | None = None
    user: str | None = Field(default=None, min_length=1, max_length=200)
    """Whose conversation it is, within the key's tenant; by default `serve --user`'s."""
    tools: list[dict[str, Any]] | None = None
    stream_options: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)


class EmbeddingsIn(BaseModel, extra="allow"):
    """An embeddings request."""

    model: str = Field(min_length=1, max_length=500)
    input: str | list[str] = Field(min_length=1, max_length=2048)
    encoding_format: str | None = None


@dataclass
class Proxy:
    """What the proxy's routes share, at `app.state.proxy`; the upstream is connected to when it is first needed."""

    serving: Serving
    indexer: Indexer

    @cached_property
    def upstream(self) -> Upstream:
        return upstream_of(self.serving.memories.settings, self.serving.options.model)

    def close(self) -> None:
        """Let the indexes catch up."""
        self.indexer.close()


def _proxy(request: Request) -> Proxy:
    found = request.app.state.proxy
    assert isinstance(found, Proxy)
    return found


@dataclass(frozen=True)
class _Chat:
    """One request: whose it is, in which session, what was recalled for it."""

    proxy: Proxy
    memory: Memory
    session: str
    recalled: Recalled

    @classmethod
    async def begin(cls, proxy: Proxy, memory: Memory, body: ChatIn, session: str | None) -> _Chat:
        """Recall, and take in what was said: both at once, so that the slower one is all that is waited for."""
        began = time.perf_counter()
        session = session or conversation.session_of(body.messages, memory.space.clock.now())
        turns = conversation.heard(body.messages, session)
        chat = cls(proxy, memory, session, Recalled())
        with proxy.indexer.passing():
            recalled, _ = await asyncio.gather(
                asyncio.to_thread(conversation.recall, memory, body.messages), asyncio.to_thread(chat.keep, turns)
            )
        metrics.OVERHEAD.observe(time.perf_counter() - began)
        return cls(proxy, memory, session, recalled)

    def keep(self, turns: list[Turn]) -> None:
        """Take turns in, durably; their vectors follow."""
        if turns:
            episodic.take_in(self.memory.space, turns, self.session)
            self.proxy.indexer.later(self.memory)

    async def reply(self, text: str) -> None:
        """Take the reply in, even when the client is gone."""
        if text.strip():
            with anyio.CancelScope(shield=True):
                await asyncio.to_thread(self.keep, [Turn(role="assistant", content=text, session=self.session)])

    @property
    def headers(self) -> dict[str, str]:
        return {SOURCES: ",".join(quote(id, safe="") for id in self.recalled.sources), SESSION: quote(self.session)}


@router.post(
    "/chat/completions",
    response_model=None,
    responses={
        200: {
            "description": "A chat.completion, or with `stream` a stream of its chunks.",
            "content": {
                "text/event-stream": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
async def chat_completions(request: Request, body: ChatIn, principal: Writer, serving: ServingDep) -> Response:
    """A chat completion that remembers: what was said before is recalled into the prompt, what is said now is kept.

    `X-Session` names the conversation; without it, it is told by its day and first words.
    """
    proxy = _proxy(request)
    user = body.user or serving.memories.settings.user
    if not user:
        raise InvalidInput("name the user: the request's `user`, or `memory-agent serve --user` for requests without")
    session = request.headers.get(SESSION)
    memory, upstream = await asyncio.to_thread(
        lambda: (serving.memories.of(user, tenant=principal.tenant), proxy.upstream)
    )
    chat = await _Chat.begin(proxy, memory, body, session)
    asked = body.model_dump(exclude_unset=True)
    asked["messages"] = conversation.with_context(body.messages, chat.recalled.text)
    if not body.stream:
        answer = await upstream.complete(asked, memory)
        await chat.reply(_said(answer))
        return JSONResponse(answer, headers=chat.headers)
    chunks = upstream.stream(asked, memory)
    first = await anext(chunks, None)  # so that a refusal is told with its status, before anything is streamed
    return StreamingResponse(
        _events(chat, first, chunks),
        media_type="text/event-stream",
        headers={**chat.headers, "Cache-Control": "no-cache"},
    )


async def _events(
    chat: _Chat, first: dict[str, Any] | None, chunks: AsyncIterator[dict[str, Any]]
) -> AsyncIterator[bytes]:
    """The chunks as server-sent events, each as it comes; the reply is kept before the end is told."""
    said: list[str] = []
    failure = ""
    try:
        try:
            chunk = first
            while chunk is not None:
                said.append(_delta(chunk))
                yield _event(chunk)
                chunk = await anext(chunks, None)
        except MemoryAgentError as error:
            failure = str(error)
    finally:
        await chat.reply("".join(said))
    if failure:
        yield _event({"error": {"message": failure, "type": "server_error", "param": None, "code": None}})
    yield b"data: [DONE]\n\n"


def _event(document: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode("utf-8", "backslashreplace")


def _said(answer: Mapping[str, Any]) -> str:
    """The text of the first choice."""
    choices = answer.get("choices") or [{}]
    return conversation.text_of(choices[0].get("message") or {})


def _delta(chunk: Mapping[str, Any]) -> str:
    first: Mapping[str, Any] = next(
        (choice for choice in chunk.get("choices") or () if choice.get("index", 0) == 0), {}
    )
    return conversation.text_of(first.get("delta") or {})


@router.get(
    "/models", response_model=None, responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}}
)
async def models(request: Request, principal: Reader, serving: ServingDep) -> Response:
    """The models there are to ask for: the upstream's, and the store's embedder."""
    proxy = _proxy(request)
    upstream = await asyncio.to_thread(lambda: proxy.upstream)
    own = {"id": serving.memories.embedder.name, "object": "model", "created": 0, "owned_by": "memory-agent"}
    return JSONResponse({"object": "list", "data": [*await upstream.models(), own]})


@router.post(
    "/embeddings",
    response_model=None,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def embeddings(request: Request, body: EmbeddingsIn, principal: Writer, serving: ServingDep) -> Response:
    """Embeddings: of the store's own embedder when it is named, else the upstream's where it makes any."""
    proxy = _proxy(request)
    embedder = serving.memories.embedder
    if body.model != embedder.name:
        upstream = await asyncio.to_thread(lambda: proxy.upstream)
        if (answer := await upstream.embed(body.model_dump(exclude_unset=True))) is not None:
            return JSONResponse(answer)
        raise InvalidInput(f"no model {body.model!r} makes embeddings here; there is {embedder.name!r}")
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors = await asyncio.to_thread(embedder.embed, texts)
    words = sum(len(text.split()) for text in texts)
    data = [
        {"object": "embedding", "index": n, "embedding": _encoded(vector, body.encoding_format)}
        for n, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": words, "total_tokens": words}
    return JSONResponse({"object": "list", "data": data, "model": embedder.name, "usage": usage})


def _encoded(vector: Any, format: str | None) -> str | list[float]:
    import base64

    if format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    floats: list[float] = vector.tolist()
    return floats
