"""A stateless chat request as memory sees it: what is asked, what of it is new, and where the context goes.

Messages are OpenAI's (`{"role", "content", ...}`), whose requests carry the whole conversation every time. New in
a request is what the user said since the last reply. Each turn's id is made from the conversation up to
it, so that a request sent twice is remembered once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memory_agent.records import Turn

if TYPE_CHECKING:
    from memory_agent.memory import Memory

Message = Mapping[str, Any]
BUDGET = 800
"""Most tokens of recalled context, by default."""
HITS = 8


@dataclass(frozen=True)
class Recalled:
    """What was recalled for a request: the fenced text, and the ids of what stands in it."""

    text: str = ""
    sources: tuple[str, ...] = ()


def text_of(message: Message) -> str:
    """The text of a message, its text parts joined; empty when it has none."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") in ("text", None)]
    return "\n".join(text for text in texts if isinstance(text, str))


def question_of(messages: Sequence[Message]) -> str:
    """What the user said last; empty when nobody did."""
    return next((text_of(m) for m in reversed(messages) if m.get("role") == "user"), "").strip()


def session_of(messages: Sequence[Message], at: datetime) -> str:
    """A name for the conversation: its day, and a hash of what the user said first."""
    first = next((text_of(m) for m in messages if m.get("role") == "user"), "")
    return f"chat-{at:%Y-%m-%d}-{hashlib.sha256(first.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def heard(messages: Sequence[Message], session: str) -> list[Turn]:
    """What the user said since the last reply, as turns that are known again when the request is repeated."""
    replies = [n for n, m in enumerate(messages) if m.get("role") == "assistant" and text_of(m).strip()]
    since = replies[-1] + 1 if replies else 0
    turns = []
    for n, message in enumerate(messages):
        if n >= since and message.get("role") == "user" and (text := text_of(message).strip()):
            told = json.dumps([session, [[m.get("role"), text_of(m)] for m in messages[: n + 1]]])
            id = f"turn-{hashlib.sha256(told.encode()).hexdigest()[:24]}"
            turns.append(Turn(role="user", content=text, session=session, id=id))
    return turns


def recall(memory: Memory, messages: Sequence[Message], budget: int = BUDGET) -> Recalled:
    """What memory holds on the user's last words, less what the conversation itself still shows."""
    from memory_agent import working
    from memory_agent.answering import token_counter
    from memory_agent.records import Episode

    question = question_of(messages)
    if not question:
        return Recalled()
    shown = {" ".join(text_of(message).split()) for message in messages}
    hits = [
        hit
        for hit in memory.search(question, limit=HITS).hits
        if not (isinstance(hit.record, Episode) and " ".join(hit.record.content.split()) in shown)
    ]
    count = token_counter(memory.space.settings)
    found = working.assemble(question, hits, budget=budget, count_tokens=count, blocks=memory.blocks.all())
    return Recalled(found.text, tuple(hit.record.id for hit in found.hits))


def with_context(messages: Sequence[Message], text: str) -> list[dict[str, Any]]:
    """The messages with `text` in the first system message, or in a new one before them all."""
    given = [dict(message) for message in messages]
    if not text:
        return given
    if given and given[0].get("role") in ("system", "developer"):
        content = given[0].get("content")
        if isinstance(content, str) or content is None:
            given[0]["content"] = f"{content}\n\n{text}" if content else text
        else:
            given[0]["content"] = [*content, {"type": "text", "text": text}]
        return given
    return [{"role": "system", "content": text}, *given]
