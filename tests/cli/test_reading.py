"""Conversation files of every accepted shape become the turns a person would expect; the rest is refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory_agent.cli.reading import read_turns
from memory_agent.errors import InvalidInput
from memory_agent.records import Turn


def read(tmp_path: Path, content: Any, **options: Any) -> list[Turn]:
    path = tmp_path / "chat.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_turns(path, session="chat", **options)


def lines(*rows: Any) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def test_jsonl_of_messages(tmp_path: Path) -> None:
    turns = read(
        tmp_path,
        lines(
            {"role": "user", "content": "Hi", "speaker": "Ana", "id": "t1", "session": "s1",
             "at": "2025-01-12T10:00:00+01:00"},
            {"role": "assistant", "content": "Hello", "timestamp": 1736676000},
            {"role": "user", "content": "No zone", "created_at": "2025-01-12T10:00:00", "metadata": {"k": 1}},
        ),
    )  # fmt: skip
    assert [(t.role, t.content, t.speaker, t.id, t.session) for t in turns] == [
        ("user", "Hi", "Ana", "t1", "s1"),
        ("assistant", "Hello", None, None, "chat"),
        ("user", "No zone", None, None, "chat"),
    ]
    assert [t.at for t in turns] == [
        datetime(2025, 1, 12, 9, tzinfo=UTC),
        datetime(2025, 1, 12, 10, tzinfo=UTC),
        datetime(2025, 1, 12, 10, tzinfo=UTC),
    ]
    assert turns[2].metadata == {"k": 1}


def test_one_message_is_a_conversation_too(tmp_path: Path) -> None:
    assert [t.content for t in read(tmp_path, lines({"role": "user", "content": "Hi"}))] == ["Hi"]


def test_openai_messages(tmp_path: Path) -> None:
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ana",
         "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "assistant", "content": "It is 42."},
    ]  # fmt: skip
    expected = [
        ("system", "Be brief.", None),
        ("user", "Look:", "ana"),
        ("tool", "42", None),
        ("assistant", "It is 42.", None),
    ]
    for shape in (messages, {"model": "m", "messages": messages}):
        assert [(t.role, t.content, t.speaker) for t in read(tmp_path, shape)] == expected


def test_a_line_of_messages_is_a_session(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": text}]} for text in ("one", "two")]
    assert [(t.session, t.content) for t in read(tmp_path, lines(*rows))] == [("chat-1", "one"), ("chat-2", "two")]


def test_mem0_messages(tmp_path: Path) -> None:
    body = {
        "messages": [{"role": "user", "content": "I moved."}, {"role": "assistant", "content": "Where to?"}],
        "user_id": "ana",
        "run_id": "trip",
        "timestamp": 1736676000,
        "metadata": {"source": "app"},
    }
    first, second = read(tmp_path, body)
    assert (first.speaker, first.session, first.metadata) == ("ana", "trip", {"source": "app"})
    assert second.speaker is None
    assert first.at is not None
    assert second.at is not None
    assert first.at < second.at, "one time for the whole list still keeps the order"


LOCOMO = [
    {
        "sample_id": name,
        "qa": [],
        "conversation": {
            "speaker_a": "Ana",
            "speaker_b": "Bo",
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [{"speaker": "Ana", "dia_id": "D1:1", "text": "Hey Bo!"}],
        },
    }
    for name in ("conv-1", "conv-2")
]


def test_locomo_keeps_conversations_apart(tmp_path: Path) -> None:
    both = read(tmp_path, LOCOMO)
    assert [(t.id, t.session) for t in both] == [
        ("conv-1/D1:1", "conv-1/session_1"),
        ("conv-2/D1:1", "conv-2/session_1"),
    ]
    (one,) = read(tmp_path, LOCOMO, conversation="conv-2")
    assert (one.id, one.session, one.speaker, one.at) == (
        "D1:1",
        "session_1",
        "Ana",
        datetime(2023, 5, 8, 13, 56, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"role": "user", "content": "x"}\nnot json\n', "chat.json:2"),
        ('{"role": "user", "content": "x"}\n{"text": "y"}\n', "chat.json:2"),
        ('[{"role": "king", "content": "x"}]', "message 1: role 'king'"),
        ('[{"role": "user", "content": "x", "at": "yesterday"}]', "at 'yesterday' is no time"),
        ('[{"role": "user", "content": 7}]', "content"),
        ("[]", "holds no messages"),
        ('[{"role": "assistant", "content": null}]', "holds no messages"),
    ],
)
def test_what_is_no_conversation_is_refused_by_place(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint.replace("[", r"\[")):
        read(tmp_path, content)


def test_a_conversation_cannot_be_picked_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no LoCoMo"):
        read(tmp_path, [{"role": "user", "content": "x"}], conversation="conv-1")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        read_turns(tmp_path / "none.json", session="chat")


def test_a_file_cannot_confirm_what_it_says_itself(tmp_path: Path) -> None:
    marked = {"role": "user", "content": "Hi", "metadata": {"confirmed": True, "approved": ["f"], "trust": "low"}}
    (turn,) = read(tmp_path, [marked])
    assert turn.metadata == {"trust": "low"}
