"""A conversation's messages, kept as the turns of a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from memory_agent.errors import NotFound
from memory_agent.memory import Memory
from memory_agent.protocols import Query
from memory_agent.records import Episode, Role, Turn

_ROLES: dict[str, Role] = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool"}
_KEPT = ("id", "name", "tool_calls", "tool_call_id")
_WORDLESS = "(calls a tool)"


class MemoryChatHistory(BaseChatMessageHistory):
    """The messages of one session, oldest first; `clear` forgets the session everywhere.

    Text, tool calls, names and ids come back as they were. Of content blocks only the text is kept: memory holds
    what was said, not images. An assistant's message that only calls tools stands in memory as "(calls a tool)".
    """

    def __init__(self, memory: Memory, session: str) -> None:
        self.memory, self.session = memory, session

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """Every message of the session."""
        turns = self.memory.space.ledger.select(Episode, Query(where={"session": self.session}))
        return [_message(turn) for turn in turns]

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Take messages in, all or none; durable when it returns. Raises InvalidInput for one without text."""
        self.memory.add([_turn(message) for message in messages], session=self.session)

    def clear(self) -> None:
        """Forget the session and what was learnt from it alone."""
        try:
            self.memory.forget(f"session:{self.session}", reason="the chat history was cleared")
        except NotFound:
            return


def _turn(message: BaseMessage) -> Turn:
    role = _ROLES.get(message.type, "user")
    text = str(message.text)
    kept: dict[str, Any] = {name: value for name in _KEPT if (value := getattr(message, name, None))}
    if not text.strip() and kept.get("tool_calls"):
        kept["wordless"], text = True, _WORDLESS
    assert role in get_args(Role)
    return Turn(role=role, content=text, metadata={"langchain": kept} if kept else {})


def _message(turn: Episode) -> BaseMessage:
    kept = dict(turn.metadata.get("langchain", {}))
    content = "" if kept.pop("wordless", False) else turn.content
    if turn.role == "assistant":
        return AIMessage(content, **kept)
    if turn.role == "system":
        return SystemMessage(content, **kept)
    if turn.role == "tool":
        return ToolMessage(content, **{"tool_call_id": "", **kept})
    return HumanMessage(content, **kept)
