"""What answers behind the proxy: an OpenAI-compatible server, or a chat model in this process.

Both take a request's body and give OpenAI's documents, whole or chunk by chunk as they come.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from memory_agent.errors import InvalidInput, MemoryAgentError, ModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage

    from memory_agent.config import Settings
    from memory_agent.memory import Memory

_log = logging.getLogger(__name__)
Body = Mapping[str, Any]


class UpstreamFailed(ModelError):
    """The server behind the proxy refused or failed; `status` is what the client is told."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Upstream(Protocol):
    """Answers chat completions."""

    async def complete(self, body: Body, memory: Memory) -> dict[str, Any]:
        """A `chat.completion`. Raises UpstreamFailed, InvalidInput or ModelError."""
        ...

    def stream(self, body: Body, memory: Memory) -> AsyncIterator[dict[str, Any]]:
        """`chat.completion.chunk`s as they come. Raises as `complete`."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """The models there are to ask for."""
        ...

    async def embed(self, body: Body) -> dict[str, Any] | None:
        """An embedding response; None when this one makes no embeddings."""
        ...


def upstream_of(settings: Settings, model: BaseChatModel | None = None) -> Upstream:
    """The upstream that the settings name: `base_url` or "openai:<name>" is a server, anything else a model here.

    Raises InvalidInput when OpenAI itself is meant and no key of it is set, and as `load_chat_model`.
    """
    if model is not None:
        return ModelUpstream(model, settings.model)
    if settings.base_url or settings.model.startswith("openai:"):
        return ServerUpstream(settings.base_url)
    if settings.model == "local":
        return ModelUpstream(None, "local")
    from memory_agent.models.chat import load_chat_model

    return ModelUpstream(load_chat_model(settings.model, settings), settings.model)


class ServerUpstream:
    """An OpenAI-compatible server; what the client sent goes there as it is, but for the context in the messages."""

    def __init__(self, base_url: str = "") -> None:
        """`base_url` empty means OpenAI's own. The key is OPENAI_API_KEY, read by the openai client."""
        from openai import AsyncOpenAI, OpenAIError

        try:
            self._client = AsyncOpenAI(base_url=base_url or None, max_retries=0)
        except OpenAIError as error:
            if not base_url:
                raise InvalidInput(
                    "the model behind the proxy is OpenAI's: set OPENAI_API_KEY, or a base URL"
                ) from error
            # vLLM, Ollama and llama.cpp want no key; the client wants something to send.
            self._client = AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)

    async def complete(self, body: Body, memory: Memory) -> dict[str, Any]:
        return await self._post("/chat/completions", body)

    async def stream(self, body: Body, memory: Memory) -> AsyncIterator[dict[str, Any]]:
        from openai import APIError, AsyncStream

        try:
            chunks = await self._client.post(
                "/chat/completions", cast_to=object, body=dict(body), stream=True, stream_cls=AsyncStream[Any]
            )
            async with chunks:
                async for chunk in chunks:
                    yield chunk
        except APIError as error:
            raise _failed(error) from error

    async def models(self) -> list[dict[str, Any]]:
        from openai import APIError

        try:
            return [model.model_dump(exclude_none=True) async for model in self._client.models.list()]
        except APIError as error:
            raise _failed(error) from error

    async def embed(self, body: Body) -> dict[str, Any] | None:
        return await self._post("/embeddings", body)

    async def _post(self, path: str, body: Body) -> dict[str, Any]:
        from openai import APIError

        try:
            answer = await self._client.post(path, cast_to=object, body=dict(body))
        except APIError as error:
            raise _failed(error) from error
        if not isinstance(answer, dict):
            raise UpstreamFailed("the server behind the proxy answered something that is no JSON object", 502)
        return answer


def _failed(error: Any) -> UpstreamFailed:
    """What the client is told: its own mistakes (4xx) as they are; ours and the upstream's as a bad gateway."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500 and status not in (401, 403, 407):
        return UpstreamFailed(error.message, status)
    return UpstreamFailed(f"the server behind the proxy failed: {error.message}", 502)


class ModelUpstream:
    """A langchain chat model in this process; without one, the student with the adapters of whoever asks."""

    def __init__(self, model: BaseChatModel | None, name: str) -> None:
        self._model, self._name = model, name

    async def complete(self, body: Body, memory: Memory) -> dict[str, Any]:
        from langchain_core.messages import AIMessage

        runnable, messages, options = self._asked(body, memory)
        with _guarded():
            message = await runnable.ainvoke(messages, **options)
        assert isinstance(message, AIMessage)
        spoken = _spoken(message)
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": str(body["model"]),
            "choices": [
                {
                    "index": 0,
                    "message": spoken,
                    "finish_reason": _finish(bool(spoken.get("tool_calls"))),
                    "logprobs": None,
                }
            ],
            "usage": _usage(message),
        }

    async def stream(self, body: Body, memory: Memory) -> AsyncIterator[dict[str, Any]]:
        runnable, messages, options = self._asked(body, memory)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": "chat.completion.chunk", "created": int(time.time())}
        head["model"] = str(body["model"])
        whole: Any = None
        called = False

        def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
            return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

        yield chunk({"role": "assistant", "content": ""})
        with _guarded():
            async for piece in runnable.astream(messages, **options):
                whole = piece if whole is None else whole + piece
                if text := str(piece.text):
                    yield chunk({"content": text})
                if calls := _call_deltas(piece):
                    called = True
                    yield chunk({"tool_calls": calls})
        yield chunk({}, _finish(called))
        if (body.get("stream_options") or {}).get("include_usage"):
            yield {**head, "choices": [], "usage": _usage(whole)}

    async def models(self) -> list[dict[str, Any]]:
        return [{"id": self._name, "object": "model", "created": 0, "owned_by": "memory-agent"}]

    async def embed(self, body: Body) -> dict[str, Any] | None:
        return None

    def _asked(self, body: Body, memory: Memory) -> tuple[Any, list[BaseMessage], dict[str, Any]]:
        from langchain_core.messages import convert_to_messages

        try:
            messages = convert_to_messages(
                [{**message, "content": message.get("content") or ""} for message in body["messages"]]
            )
        except (ValueError, KeyError, TypeError, NotImplementedError) as error:
            raise InvalidInput(f"messages: {error}") from error
        model = self._model
        if model is None:
            from memory_agent.integrations.distilled import DistilledChatModel

            model = DistilledChatModel(memory=memory)
        runnable: Any = model
        if tools := body.get("tools"):
            choice = {"tool_choice": body["tool_choice"]} if body.get("tool_choice") is not None else {}
            try:
                runnable = model.bind_tools(tools, **choice)
            except NotImplementedError as error:
                raise InvalidInput(f"the model behind the proxy ({self._name}) calls no tools") from error
        options = {"stop": body["stop"]} if isinstance(body.get("stop"), list) else {}
        if isinstance(body.get("stop"), str):
            options["stop"] = [body["stop"]]
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        return runnable, messages, {**options, **({"max_tokens": most} if most else {})}


@contextmanager
def _guarded() -> Iterator[None]:
    """Turn whatever a provider's model raises into a bad gateway; its message may hold the prompt, so it is logged."""
    try:
        yield
    except MemoryAgentError:
        raise
    except Exception as error:
        _log.exception("the model behind the proxy failed")
        raise UpstreamFailed(f"the model behind the proxy failed ({type(error).__name__})", 502) from error


def _spoken(message: Any) -> dict[str, Any]:
    """A langchain reply as OpenAI's message."""
    spoken: dict[str, Any] = {"role": "assistant", "content": str(message.text) or None, "refusal": None}
    if message.tool_calls:
        spoken["tool_calls"] = [
            {
                "id": call["id"] or f"call_{uuid.uuid4().hex[:24]}",
                "type": "function",
                "function": {"name": call["name"], "arguments": json.dumps(call["args"], ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
    elif spoken["content"] is None:
        spoken["content"] = ""
    return spoken


def _call_deltas(piece: Any) -> list[dict[str, Any]]:
    """The tool calls in a piece of a stream; a model that does not stream gives them whole."""
    parts = getattr(piece, "tool_call_chunks", None)
    if not parts:
        calls = _spoken(piece).get("tool_calls", []) if getattr(piece, "tool_calls", None) else []
        return [{"index": n, **call} for n, call in enumerate(calls)]
    deltas = []
    for n, part in enumerate(parts):
        delta: dict[str, Any] = {"index": part.get("index") if part.get("index") is not None else n}
        if part.get("id"):
            delta |= {"id": part["id"], "type": "function"}
        named = {"name": part["name"]} if part.get("name") else {}
        delta["function"] = {**named, "arguments": part.get("args") or ""}
        deltas.append(delta)
    return deltas


def _finish(called: bool) -> str:
    return "tool_calls" if called else "stop"


def _usage(message: Any) -> dict[str, int]:
    told = getattr(message, "usage_metadata", None) or {}
    came, went = int(told.get("input_tokens", 0)), int(told.get("output_tokens", 0))
    return {"prompt_tokens": came, "completion_tokens": went, "total_tokens": came + went}
