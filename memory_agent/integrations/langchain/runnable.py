"""`with_memory(runnable, memory)`: a chat model or chain, with recall before it and remembering after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import BaseMessage, convert_to_messages, convert_to_openai_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from pydantic import ConfigDict

from memory_agent.integrations import conversation
from memory_agent.memory import Memory
from memory_agent.records import Turn


def with_memory(
    runnable: Runnable[LanguageModelInput, Any],
    memory: Memory,
    *,
    session: str | None = None,
    budget: int = conversation.BUDGET,
) -> RunnableWithMemory:
    """`runnable`, which takes what a chat model takes and gives a message or text, with `memory` around it.

    What memory holds on the user's last words goes into the system message, up to `budget` tokens; what the user
    says is durable before `runnable` is called, its reply when it returns or its stream ends. `session` names the
    conversation; without it, it is told by its day and first words.
    """
    return RunnableWithMemory(bound=runnable, memory=memory, session=session, budget=budget)


class RunnableWithMemory(RunnableSerializable[LanguageModelInput, Any]):
    """What `with_memory` makes; composes like any runnable."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    bound: Runnable[LanguageModelInput, Any]
    memory: Memory
    session: str | None = None
    budget: int = conversation.BUDGET

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Recall, call, remember."""
        messages, session = self._begin(input)
        output = self.bound.invoke(messages, config, **kwargs)
        self._keep(_text(output), session)
        return output

    async def ainvoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """As `invoke`; memory works in a thread."""
        messages, session = await asyncio.to_thread(self._begin, input)
        output = await self.bound.ainvoke(messages, config, **kwargs)
        await asyncio.to_thread(self._keep, _text(output), session)
        return output

    def stream(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Any]:
        """As `invoke`, piece by piece; the reply is remembered when the stream ends or is closed."""
        messages, session = self._begin(input)
        said: list[str] = []
        try:
            for piece in self.bound.stream(messages, config, **kwargs):
                said.append(_text(piece))
                yield piece
        finally:
            self._keep("".join(said), session)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """As `stream`; memory works in a thread."""
        messages, session = await asyncio.to_thread(self._begin, input)
        said: list[str] = []
        try:
            async for piece in self.bound.astream(messages, config, **kwargs):
                said.append(_text(piece))
                yield piece
        finally:
            await asyncio.shield(asyncio.to_thread(self._keep, "".join(said), session))

    def _begin(self, input: LanguageModelInput) -> tuple[list[BaseMessage], str]:
        given = _messages(input)
        told = convert_to_openai_messages(given)
        assert isinstance(told, list)
        session = self.session or conversation.session_of(told, self.memory.space.clock.now())
        recalled = conversation.recall(self.memory, told, self.budget)
        if turns := conversation.heard(told, session):
            self.memory.add(turns)
        if not recalled.text:
            return given, session
        first = convert_to_messages(conversation.with_context(told, recalled.text)[:1])
        return [*first, *(given[1:] if given[0].type == "system" else given)], session

    def _keep(self, text: str, session: str) -> None:
        if text.strip():
            self.memory.add([Turn(role="assistant", content=text)], session=session)


def _messages(input: LanguageModelInput) -> list[BaseMessage]:
    if isinstance(input, PromptValue):
        return input.to_messages()
    return convert_to_messages([("human", input)] if isinstance(input, str) else input)


def _text(output: Any) -> str:
    return str(output.text) if isinstance(output, BaseMessage) else output if isinstance(output, str) else ""
