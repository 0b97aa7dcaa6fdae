"""The tools of a chat turn: those of the memory, and the box from which a model calls them and others.

    remember         keep a note; it is evidence of what the assistant said, and is found by search
    search_memory    find turns and facts, each with its id
    show_sources     what a turn or fact rests on
    forget           forget one turn or fact, everywhere
    block_append, block_replace, block_rethink    edit a block, with the reason

What they return is fenced, so that it is stripped if it comes back in a turn. `forget` takes the id of one turn or
fact: a whole session or user is not in a model's hands.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from memory_agent.errors import InvalidInput
from memory_agent.fence import fence
from memory_agent.memory import Memory
from memory_agent.models.tokens import TokenCounter
from memory_agent.records import Block, Episode, Fact, Hit, Turn

NOTES = "notes"
"""The session that an agent's notes stand in."""
MOST_SHARE = 8
"""Memory tools are offered by default where they take no more than one part in so many of the window."""
_HITS = 6
_log = logging.getLogger(__name__)
_Reason = Annotated[str, "Why, in a few words."]
_Label = Annotated[str, "The block's label."]
_Id = Annotated[str, "Id from search_memory."]


def memory_tools(memory: Memory) -> list[BaseTool]:
    """The tools over one memory; blocks are edited as the agent that the memory was opened for."""

    def remember(note: Annotated[str, "One self-contained statement."]) -> str:
        """Keep a note for later conversations. What the user says is kept anyway."""
        report = memory.add([Turn(role="assistant", content=note, metadata={"note": True})], session=NOTES)
        return f"kept as {', '.join((*report.added, *report.duplicates))}"

    def search_memory(query: Annotated[str, "What to look for."]) -> str:
        """Search everything said before and all known facts."""
        hits = memory.search(query, limit=_HITS).hits
        return fence("\n".join(map(_line, hits)) or "nothing found")

    def show_sources(id: _Id) -> str:
        """Show what a fact or turn rests on, word for word."""
        return fence(memory.explain(id).text)

    def forget(id: _Id, reason: _Reason) -> str:
        """Forget one turn or fact for good. Only when the user asks for it."""
        if not isinstance(memory.get(id), (Episode, Fact)):
            raise InvalidInput(f"{id} is neither a turn nor a fact")
        report = memory.forget(id, reason=reason)
        return f"forgotten: {', '.join(f'{len(ids)} {kind}' for kind, ids in report.forgotten.items())}"

    def block_append(label: _Label, text: str, reason: _Reason) -> str:
        """Add a line to a memory block that is always in view."""
        return _block(memory.blocks.append(label, text, reason=reason))

    def block_replace(
        label: _Label, old_text: Annotated[str, "Exact text in the block."], new_text: str, reason: _Reason
    ) -> str:
        """Replace a passage of a memory block; an empty new_text deletes it."""
        return _block(memory.blocks.replace(label, old_text, new_text, reason=reason))

    def block_rethink(label: _Label, text: Annotated[str, "The whole new text."], reason: _Reason) -> str:
        """Write a memory block anew."""
        return _block(memory.blocks.rethink(label, text, reason=reason))

    functions: list[Callable[..., str]] = [remember, search_memory, show_sources, forget]
    functions += [block_append, block_replace, block_rethink]
    return [StructuredTool.from_function(function) for function in functions]


def _line(hit: Hit) -> str:
    record = hit.record
    if isinstance(record, Fact):
        since = f", since {record.valid_from}" if record.valid_from else ""
        return f"[{record.id}] {record.text} ({record.status}{since})"
    return f"[{record.id}] {record.at:%Y-%m-%d}, {record.speaker}: {record.content}"


def _block(block: Block) -> str:
    return fence(f"[{block.label}] {len(block.value)} of {block.limit} characters\n{block.value}")


class Toolbox:
    """The tools that one model may call, and how.

    `tools` is empty for a model that cannot call any; `tokens` is what their descriptions take of the window, counted
    as the JSON that is sent.
    """

    def __init__(
        self,
        model: BaseChatModel,
        own: Sequence[BaseTool],
        memory: Sequence[BaseTool],
        *,
        wanted: bool | None,
        counter: TokenCounter,
        window: int,
    ) -> None:
        """`own` are the caller's, and go before those of the `memory` that have the same name.

        `wanted` is whether the memory's are offered; None leaves it to the model and the window. Raises InvalidInput
        when tools were asked for and the model cannot call any.
        """
        self._model = model
        offered = {tool.name: tool for tool in memory} if wanted is not False else {}
        if wanted is None and _tokens(offered.values(), counter) > window // MOST_SHARE:
            offered = {}
        self.memory = tuple(offered)
        """Names of the memory's tools among them."""
        self.tools = {**offered, **{tool.name: tool for tool in own}}
        self._bound: Runnable[Any, AIMessage] | None = None
        if self.tools:
            try:
                self._bound = model.bind_tools(list(self.tools.values()))
            except NotImplementedError as error:
                if own or wanted:
                    raise InvalidInput(f"{type(model).__name__} cannot call tools: leave them out") from error
                self.tools, self.memory = {}, ()
        self.tokens = _tokens(self.tools.values(), counter)

    def stream(self, messages: list[BaseMessage], *, calling: bool, **given: Any) -> Iterator[AIMessage]:
        """The model's reply in pieces, with tools at hand when `calling`. Raises what the model raises."""
        if not calling or self._bound is None:
            yield from self._model.stream(messages, **given)
            return
        begun = False
        try:
            for piece in self._bound.stream(messages, **given):
                begun = True
                yield piece
        except Exception as error:
            # Some servers take any request for tools and then say that this one model has no use for them.
            if begun or "support tool" not in str(error).lower().replace("tools", "tool"):
                raise
            _log.warning("%s does not support tools; going on without", type(self._model).__name__)
            self._bound, self.tools, self.memory, self.tokens = None, {}, (), 0
            yield from self._model.stream(messages, **given)

    def run(self, call: ToolCall) -> ToolMessage:
        """The result of one call; what went wrong is the result too, so that the model can do better."""
        tool = self.tools.get(call["name"])
        if tool is None:
            known = ", ".join(self.tools)
            return _failed(call, f"there is no tool {call['name']!r}; there are {known}")
        given = {**call, "type": "tool_call"}
        try:
            waits = isinstance(tool, StructuredTool) and tool.func is None
            result = asyncio.run(tool.ainvoke(given)) if waits else tool.invoke(given)
        except Exception as error:  # noqa: BLE001 - a tool is anybody's code; its error is for the model to read
            return _failed(call, f"{type(error).__name__}: {error}")
        if isinstance(result, ToolMessage):
            return result
        return ToolMessage(content=str(result), tool_call_id=str(call["id"]), name=call["name"])


def _failed(call: ToolCall, why: str) -> ToolMessage:
    return ToolMessage(content=why, tool_call_id=str(call["id"]), name=call["name"], status="error")


def _tokens(tools: Any, counter: TokenCounter) -> int:
    return sum(counter(json.dumps(convert_to_openai_tool(tool), ensure_ascii=False)) for tool in tools)
