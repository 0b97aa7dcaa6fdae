"""`wrap_openai(client, memory)`: the openai client as it was, except that its chat completions remember."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from memory_agent.integrations import conversation
from memory_agent.memory import Memory
from memory_agent.records import Turn

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

C = TypeVar("C", bound="OpenAI | AsyncOpenAI")


def wrap_openai(client: C, memory: Memory, *, session: str | None = None, budget: int = conversation.BUDGET) -> C:
    """A copy of an openai client, of the same class, whose chat completions recall and remember.

    What memory holds on the user's last words is put into the system message, up to `budget` tokens. What the user
    says is durable before the model is asked, the reply before the call returns; of a stream, when it ends or is
    closed. `session` names the conversation; without it, it is told by its day and first words. Everything
    else of the client is untouched, and so is the client that was handed in.
    """
    from openai import AsyncOpenAI

    wrapped: Any = client.with_options()
    completions = wrapped.chat.completions
    chat = _Chat(memory, session, budget)
    around = chat.around_async if isinstance(client, AsyncOpenAI) else chat.around
    for name in ("create", "parse"):
        setattr(completions, name, around(getattr(completions, name)))
    return wrapped  # type: ignore[no-any-return]


class _Chat:
    def __init__(self, memory: Memory, session: str | None, budget: int) -> None:
        self._memory, self._session, self._budget = memory, session, budget

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call of a client that blocks, with memory around it."""

        @functools.wraps(call)
        def remembering(**given: Any) -> Any:
            messages, session = self._begin(given["messages"])
            result = call(**{**given, "messages": messages})
            if _is_stream(result):
                return _Stream(result, lambda text: self._keep(text, session))
            self._keep(_said(result), session)
            return result

        return remembering

    def around_async(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The call of a client for asyncio; memory works in a thread."""

        @functools.wraps(call)
        async def remembering(**given: Any) -> Any:
            messages, session = await asyncio.to_thread(self._begin, given["messages"])
            result = await call(**{**given, "messages": messages})
            if _is_stream(result):
                return _AsyncStream(result, lambda text: self._keep(text, session))
            await asyncio.to_thread(self._keep, _said(result), session)
            return result

        return remembering

    def _begin(self, messages: Sequence[Any]) -> tuple[list[dict[str, Any]], str]:
        """Recall, then take in what was said; the messages to send."""
        told = [
            message if isinstance(message, Mapping) else message.model_dump(exclude_none=True) for message in messages
        ]
        session = self._session or conversation.session_of(told, self._memory.space.clock.now())
        recalled = conversation.recall(self._memory, told, self._budget)
        if turns := conversation.heard(told, session):
            self._memory.add(turns)
        return conversation.with_context(told, recalled.text), session

    def _keep(self, text: str, session: str) -> None:
        if text.strip():
            self._memory.add([Turn(role="assistant", content=text)], session=session)


def _is_stream(result: Any) -> bool:
    from openai import AsyncStream, Stream

    return isinstance(result, Stream | AsyncStream)


def _said(result: Any) -> str:
    """The text of the first choice; of a raw response, of what it holds."""
    parsed = result.parse() if hasattr(result, "parse") and not hasattr(result, "choices") else result
    choices = getattr(parsed, "choices", None) or ()
    return next((choice.message.content or "" for choice in choices), "")


def _delta(chunk: Any) -> str:
    return next((choice.delta.content or "" for choice in chunk.choices if choice.index == 0), "")


class _Tapped:
    """A stream that hears what passes through and tells it once, when the stream ends or is closed."""

    def __init__(self, stream: Any, keep: Callable[[str], None]) -> None:
        self._stream, self._keep = stream, keep
        self._said: list[str] = []
        self._kept = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _end(self) -> None:
        if not self._kept:
            self._kept = True
            self._keep("".join(self._said))


class _Stream(_Tapped):
    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> Any:
        try:
            chunk = next(self._stream)
        except BaseException:
            self._end()
            raise
        self._said.append(_delta(chunk))
        return chunk

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the stream early; what was shown of the reply is kept."""
        self._stream.close()
        self._end()


class _AsyncStream(_Tapped):
    def __aiter__(self) -> _AsyncStream:
        return self

    async def __anext__(self) -> Any:
        try:
            chunk = await anext(self._stream)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(self._end))
            raise
        self._said.append(_delta(chunk))
        return chunk

    async def __aenter__(self) -> _AsyncStream:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream early; what was shown of the reply is kept."""
        await self._stream.close()
        await asyncio.to_thread(self._end)
