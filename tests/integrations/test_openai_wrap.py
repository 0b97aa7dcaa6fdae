"""`wrap_openai`: the official client with memory around its completions, before a server over real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import openai
import pytest
from heard import said

from memory_agent import Memory
from memory_agent.integrations.openai import wrap_openai
from memory_agent.testing import FrozenClock


class _Handler(BaseHTTPRequestHandler):
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        choice = {"index": 0, "finish_reason": "stop"}
        head = {"id": "c", "created": 1, "model": "m"}
        if body.get("stream"):
            pieces = [{"choices": [{**choice, "delta": {"content": text}}]} for text in ("One ", "two")]
            lines = [
                f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', **piece})}\n\n" for piece in pieces
            ]
            data, media = "".join([*lines, "data: [DONE]\n\n"]).encode(), "text/event-stream"
        else:
            message = {"role": "assistant", "content": '{"n": 1}'}
            answer = {**head, "object": "chat.completion", "choices": [{**choice, "message": message}]}
            data, media = json.dumps(answer).encode(), "application/json"
        self.send_response(200)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    _Handler.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def ask(text: str) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": text}]}


def test_the_clients_class_and_the_client_itself_stay_as_they_are(memory: Memory, url: str) -> None:
    client = openai.OpenAI(base_url=url, api_key="x")
    wrapped = wrap_openai(client, memory)
    assert type(wrapped) is openai.OpenAI
    client.chat.completions.create(**ask("Nobody hears this."))
    assert said(memory) == []


def test_it_recalls_and_remembers(memory: Memory, clock: FrozenClock, url: str) -> None:
    client = wrap_openai(openai.OpenAI(base_url=url, api_key="x"), memory, session="s1")
    client.chat.completions.create(**ask("My cat is called Tango."))
    clock.tick()
    answer = client.chat.completions.create(**ask("What is my cat called?"), temperature=0.1)
    assert answer.choices[0].message.content == '{"n": 1}'
    assert "Tango" in _Handler.asked[-1]["messages"][0]["content"]
    assert _Handler.asked[-1]["temperature"] == 0.1
    assert said(memory)[0] == ("user", "My cat is called Tango.")
    assert [role for role, _ in said(memory)] == ["user", "assistant"] * 2


def test_streams_are_kept_when_they_end_or_are_closed(memory: Memory, url: str) -> None:
    client = wrap_openai(openai.OpenAI(base_url=url, api_key="x"), memory)
    with client.chat.completions.create(**ask("Count."), stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "One two"
    assert said(memory) == [("user", "Count."), ("assistant", "One two")]
    with client.chat.completions.create(**ask("Again."), stream=True) as stream:
        next(iter(stream))
    assert said(memory)[-1] == ("assistant", "One ")


def test_parsed_and_raw_responses_are_kept_too(memory: Memory, url: str) -> None:
    client = wrap_openai(openai.OpenAI(base_url=url, api_key="x"), memory)
    assert client.chat.completions.parse(**ask("Parse.")).choices[0].message.content == '{"n": 1}'
    raw = client.chat.completions.with_raw_response.create(**ask("Raw."))
    assert raw.http_response.status_code == 200
    assert [content for role, content in said(memory) if role == "user"] == ["Parse.", "Raw."]


async def test_the_asynchronous_client(memory: Memory, url: str) -> None:
    client = wrap_openai(openai.AsyncOpenAI(base_url=url, api_key="x"), memory)
    await client.chat.completions.create(**ask("My cat is called Tango."))
    stream = await client.chat.completions.create(**ask("Count."), stream=True)
    async with stream:
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "One two"
    assert [role for role, _ in said(memory)] == ["user", "assistant"] * 2
    assert said(memory)[-1] == ("assistant", "One two")


def test_a_server_that_fails_leaves_what_was_said(memory: Memory) -> None:
    client = wrap_openai(openai.OpenAI(base_url="http://127.0.0.1:9", api_key="x", max_retries=0), memory)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**ask("Are you there?"))
    assert said(memory) == [("user", "Are you there?")]
