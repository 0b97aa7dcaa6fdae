"""Conversation files into turns: JSONL of chat messages, OpenAI and mem0 message shapes, LoCoMo.

Accepted, told apart by what is in the file:

    JSONL        one {"role", "content", ...} or one {"messages": [...]} a line; each of the latter is a session
    OpenAI       a list of messages, or {"messages": [...]}; content may be text or a list of parts
    mem0         {"messages": [...], "user_id", "run_id", "timestamp", "metadata"} as its add call takes it
    LoCoMo       the data set's list of conversations, or one of them

A message may carry `speaker` (or OpenAI's `name`), `id`, `session` (or mem0's `run_id`), `metadata`,
and its time as `at`, `timestamp`, `created_at`, `time` or `date`: ISO 8601, or seconds since 1970.
A time without a zone is taken as UTC. Messages without text (tool calls) are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from memory_agent.errors import InvalidInput
from memory_agent.records import Role, Turn

_ROLES: Mapping[str, Role] = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
}
_NOT_A_FILES_TO_SAY = frozenset({"confirmed", "approved"})
"""Metadata that make a fact count as the user's own word: a program or a person says that, not the file itself."""
_TIMES = ("at", "timestamp", "created_at", "time", "date")


def text_of(path: Path) -> str:
    """What the file says, without a byte order mark. Raises InvalidInput, naming it, when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"cannot read {path}: it is no UTF-8 ({error.reason} at byte {error.start})") from error


def read_turns(path: Path, *, session: str, conversation: str | None = None) -> list[Turn]:
    """The turns of a file, in its order. `session` is for messages that name none.

    `conversation` picks one of a LoCoMo file. Raises InvalidInput, naming the place, when the file
    cannot be read or a message is none.
    """
    text = text_of(path)
    try:
        whole = json.loads(text)
    except RecursionError as error:
        raise InvalidInput(f"{path} is nested too deep to be a conversation") from error
    except ValueError:
        whole = None
    if _is_locomo(whole):
        return _locomo(path, conversation)
    if conversation is not None:
        raise InvalidInput(f"{path} is no LoCoMo file, so --conversation picks nothing in it")
    documents = [(str(path), whole)] if whole is not None else _lines(path, text)
    turns = [turn for where, document in documents for turn in _turns(document, where, session)]
    if not turns:
        raise InvalidInput(f"{path} holds no messages")
    return turns


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):  # splitlines would cut a text at U+2028, too
        if not line.strip():
            continue
        try:
            yield f"{path}:{number}", json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"{path}:{number}: neither JSON nor JSONL: {error}") from error


def _is_locomo(whole: Any) -> bool:
    first = whole[0] if isinstance(whole, list) and whole else whole
    return isinstance(first, dict) and isinstance(first.get("conversation"), dict)


def _turns(document: Any, where: str, session: str) -> Iterator[Turn]:
    """The turns of one document: a message, a list of them, or an envelope around a list."""
    if isinstance(document, list):
        for number, message in enumerate(document, 1):
            yield from _turn(message, {}, f"{where}, message {number}", session, number)
    elif isinstance(document, dict) and isinstance(document.get("messages"), list):
        inner = str(
            document.get("session") or document.get("run_id") or document.get("id") or _numbered(session, where)
        )
        for number, message in enumerate(document["messages"], 1):
            yield from _turn(message, document, f"{where}, message {number}", inner, number)
    else:
        yield from _turn(document, {}, where, session, 0)


def _numbered(session: str, where: str) -> str:
    """A session of its own for each line of a JSONL of conversations."""
    line = where.rpartition(":")[2]
    return f"{session}-{line}" if line.isdigit() else session


def _turn(message: Any, around: Mapping[str, Any], where: str, session: str, number: int) -> Iterator[Turn]:
    """The turn of a message, the `number`th of the list it stands in; none when it has no text."""
    if not isinstance(message, dict) or "role" not in message:
        raise InvalidInput(f"{where}: a message is an object with a role and content")
    role = _ROLES.get(str(message["role"]).lower())
    if role is None:
        raise InvalidInput(f"{where}: role {message['role']!r} is none of {', '.join(_ROLES)}")
    text = _text(message.get("content"), where)
    if not text.strip():
        return
    at = _time(message, where)
    if at is None and (sent := _time(around, where)) is not None:
        at = sent + timedelta(milliseconds=number)  # one time for a whole list: keep the order within it
    speaker = message.get("speaker") or message.get("name") or (around.get("user_id") if role == "user" else None)
    metadata = {**_mapping(around.get("metadata")), **_mapping(message.get("metadata"))}
    metadata = {name: value for name, value in metadata.items() if name not in _NOT_A_FILES_TO_SAY}
    yield Turn(
        role=role,
        content=text,
        speaker=str(speaker) if speaker else None,
        at=at,
        id=str(message["id"]) if message.get("id") is not None else None,
        session=str(message.get("session") or message.get("run_id") or session),
        metadata=metadata,
    )


def _text(content: Any, where: str) -> str:
    """The text of a message's content: a string, or the text parts of a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = [
            part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)
        ]
        return "\n".join(part for part in parts if isinstance(part, str))
    raise InvalidInput(f"{where}: content is neither text nor a list of parts")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _time(message: Mapping[str, Any], where: str) -> datetime | None:
    for name in _TIMES:
        value = message.get(name)
        if value is None:
            continue
        try:
            moment = (
                datetime.fromtimestamp(value, UTC)
                if isinstance(value, int | float) and not isinstance(value, bool)
                else datetime.fromisoformat(str(value))
            )
        except (ValueError, OverflowError, OSError) as error:
            raise InvalidInput(f"{where}: {name} {value!r} is no time: {error}") from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def _locomo(path: Path, conversation: str | None) -> list[Turn]:
    """The turns of a LoCoMo file. Of several conversations each keeps its ids and sessions apart by its own name."""
    from memory_agent.evaluation import datasets

    chosen = datasets.load(f"locomo:{path}", None if conversation is None else [conversation])
    turns = []
    for part in chosen:
        for turn in (turn for session in part.sessions.values() for turn in session):
            apart = {"id": f"{part.id}/{turn.id}", "session": f"{part.id}/{turn.session}"} if len(chosen) > 1 else {}
            turns.append(turn.model_copy(update=apart))
    return turns
