"""The proxy over real HTTP, asked by the official client, before a server of OpenAI's kind or a model here."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.messages import AIMessage
from talking import served

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder, ScriptedChatModel

TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]
PAUSE = 0.15


class Upstream:
    """A server of OpenAI's kind that keeps what it was asked and answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.read = threading.Event()
        """Set by whoever has read a piece; "patient" says its last word only then."""
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self.chat)
        self.app.get("/v1/models")(self.models)

    async def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": "big", "object": "model", "created": 1, "owned_by": "them"}]}

    async def chat(self, request: Request) -> Any:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers["authorization"])
        if body["model"] == "refused":
            return JSONResponse({"error": {"message": "no such model", "type": "x"}}, 404)
        if body["model"] == "locked":
            return JSONResponse({"error": {"message": "bad key sk-123", "type": "x"}}, 401)
        if body.get("stream"):
            return StreamingResponse(self.pieces(body), media_type="text/event-stream")
        message = {"role": "assistant", "content": "Noted.", "new_field": 7}
        return {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }

    async def pieces(self, body: dict[str, Any]) -> AsyncIterator[str]:
        deltas: list[dict[str, Any]] = [
            {"role": "assistant"},
            {"content": "One "},
            {"content": "two "},
            {"content": "three"},
        ]
        if body.get("tools"):
            deltas = [
                {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"name": "weather"}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": "Porto"}'}}]},
            ]
        for delta in deltas:
            if body["model"] == "patient" and delta.get("content") == "three":
                delta = {"content": "three" if await asyncio.to_thread(self.read.wait, 60) else "unread"}
            chunk = {
                "id": "c1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "big",
                "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
            }
            yield f"data: {json.dumps(chunk)}\n\n"
            await asyncio.sleep(PAUSE)
        yield "data: [DONE]\n\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[tuple[Upstream, str]]:
    made = Upstream()
    with served(made.app) as url:
        yield made, f"{url}/v1"


class Door:
    """A served proxy, and clients to it."""

    def __init__(self, app: FastAPI, url: str) -> None:
        self.memories: Memories = app.state.serving.memories
        self.keys = app.state.serving.keys
        self.url = f"{url}/v1"

    def key(self, tenant: str = "acme", role: str = "writer") -> str:
        key: str = self.keys.create(tenant=tenant, role=role)[0]
        return key

    def client(self, **key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=self.key(**key), max_retries=0)

    def turns(self, user: str, tenant: str = "acme") -> list[tuple[str, str]]:
        from memory_agent.records import Episode

        found = self.memories.of(user, tenant=tenant).space.ledger.select(Episode)
        return [(turn.role, turn.content) for turn in found]


@pytest.fixture
def door(upstream: tuple[Upstream, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """Before the server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-upstream")
    upstream[0].asked.clear()
    memories = Memories("memory://", embedder=HashEmbedder(64), settings=Settings(base_url=upstream[1], student="none"))
    app = create_app(memories, Options(requests_per_minute=0))
    with served(app) as url:
        yield Door(app, url)


@pytest.fixture
def behind(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Before a model in this process, whose replies the test's parameter says."""
    memories = Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none"))
    app = create_app(memories, Options(model=ScriptedChatModel(replies=request.param), requests_per_minute=0))
    with served(app) as url:
        yield Door(app, url)


def ask(client: openai.OpenAI, text: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(**{"model": "big", "messages": messages, "user": "alice", **more})


def test_what_is_said_is_kept_and_recalled_in_the_next_conversation(door: Door, upstream: tuple[Upstream, str]) -> None:
    client = door.client()
    assert ask(client, "My cat is called Tango.").choices[0].message.content == "Noted."
    assert door.turns("alice") == [("user", "My cat is called Tango."), ("assistant", "Noted.")]
    ask(client, "What is my cat called?", temperature=0.5, extra_body={"unheard_of": [1]})
    sent = upstream[0].asked[-1]
    assert sent["messages"][0]["role"] == "system"
    assert "My cat is called Tango." in sent["messages"][0]["content"]
    assert sent["messages"][-1] == {"role": "user", "content": "What is my cat called?"}
    assert (sent["temperature"], sent["unheard_of"]) == (0.5, [1])
    assert set(upstream[0].keys) == {"Bearer sk-upstream"}, "the upstream sees its own key, never the client's"


def test_the_answer_comes_back_as_it_is(door: Door) -> None:
    raw = door.client().chat.completions.with_raw_response.create(
        model="big", messages=[{"role": "user", "content": "Hi"}], user="alice"
    )
    assert json.loads(raw.text)["choices"][0]["message"]["new_field"] == 7
    assert raw.headers["x-session"].startswith("chat-")


def test_what_the_conversation_shows_itself_is_not_recalled_and_not_kept_twice(
    door: Door, upstream: tuple[Upstream, str]
) -> None:
    client = door.client()
    history: list[Any] = [{"role": "system", "content": "Be brief."}]
    for text in ("My cat is called Tango.", "Is Tango a cat?", "And my cat is called?"):
        history.append({"role": "user", "content": text})
        reply = client.chat.completions.create(model="big", messages=history, user="alice")
        history.append({"role": "assistant", "content": reply.choices[0].message.content})
    said = [content for role, content in door.turns("alice") if role == "user"]
    assert said == ["My cat is called Tango.", "Is Tango a cat?", "And my cat is called?"]
    system = upstream[0].asked[-1]["messages"][0]["content"]
    assert system.startswith("Be brief.")
    assert "Tango" not in system
    client.chat.completions.create(model="big", messages=history[:-1], user="alice")
    assert [content for role, content in door.turns("alice") if role == "user"] == said, "a repeated request"


def test_a_stream_is_passed_on_piece_by_piece_and_kept_whole(door: Door, upstream: tuple[Upstream, str]) -> None:
    upstream[0].read.clear()
    text = ""
    for chunk in ask(door.client(), "Count.", stream=True, model="patient"):
        text += chunk.choices[0].delta.content or ""
        if text:
            upstream[0].read.set()
    assert text == "One two three", "the last piece was sent before the first was read: the stream was buffered"
    assert door.turns("alice")[-1] == ("assistant", "One two three")


def test_a_stream_that_is_broken_off_keeps_what_was_shown(door: Door) -> None:
    stream = ask(door.client(), "Count.", stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    stream.close()
    for _ in range(100):
        if len(door.turns("alice")) == 2:
            break
        time.sleep(0.05)
    assert door.turns("alice")[1][1].startswith("One")
    assert "three" not in door.turns("alice")[1][1]


def test_streamed_tool_calls_pass_through(door: Door) -> None:
    calls = ""
    for chunk in ask(door.client(), "Weather?", stream=True, tools=TOOLS):
        for call in chunk.choices[0].delta.tool_calls or ():
            calls += call.function.arguments or ""
    assert json.loads(calls) == {"city": "Porto"}
    assert door.turns("alice") == [("user", "Weather?")]


def test_the_asynchronous_client_and_two_tenants_at_once(door: Door) -> None:
    keys = {tenant: door.key(tenant=tenant) for tenant in ("acme", "other")}

    async def chat(tenant: str) -> str:
        client = openai.AsyncOpenAI(base_url=door.url, api_key=keys[tenant], max_retries=0)
        text = ""
        stream = await client.chat.completions.create(
            model="big", messages=[{"role": "user", "content": f"I am of {tenant}."}], user="alice", stream=True
        )
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
        return text

    async def both() -> list[str]:
        return list(await asyncio.gather(chat("acme"), chat("other")))

    assert asyncio.run(both()) == ["One two three"] * 2
    for tenant in keys:
        assert door.turns("alice", tenant)[0] == ("user", f"I am of {tenant}.")
        assert len(door.turns("alice", tenant)) == 2


def test_errors_are_the_clients_own_kinds(door: Door) -> None:
    client = door.client()
    with pytest.raises(openai.NotFoundError, match="no such model"):
        ask(client, "Hi", model="refused")
    with pytest.raises(openai.APIStatusError) as bad:
        ask(client, "Hi", model="locked", stream=True)
    assert bad.value.status_code == 502
    with pytest.raises(openai.BadRequestError, match="name the user"):
        client.chat.completions.create(model="big", messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(openai.BadRequestError, match="messages"):
        client.chat.completions.create(model="big", messages=[], user="alice")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=door.url, api_key="sk-none", max_retries=0).models.list()
    with pytest.raises(openai.PermissionDeniedError):
        ask(door.client(role="reader"), "Hi")


def test_a_failing_upstream_leaves_a_conversation_that_can_go_on(door: Door) -> None:
    client = door.client()
    with pytest.raises(openai.NotFoundError):
        ask(client, "My cat is called Tango.", model="refused")
    assert ask(client, "My cat is called Tango.").choices[0].message.content == "Noted."
    assert door.turns("alice") == [("user", "My cat is called Tango."), ("assistant", "Noted.")]


def test_models_and_embeddings(door: Door) -> None:
    client = door.client()
    assert [model.id for model in client.models.list()] == ["big", "HashEmbedder"]
    plain = client.embeddings.create(model="HashEmbedder", input=["a cat", "a dog"], encoding_format="float")
    packed = client.embeddings.create(model="HashEmbedder", input="a cat")
    assert len(plain.data) == 2
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert plain.data[0].embedding == pytest.approx(HashEmbedder(64).embed_query("a cat"))


CALL = AIMessage(content="", tool_calls=[{"name": "weather", "args": {"city": "Porto"}, "id": "c1"}])


@pytest.mark.parametrize("behind", [[CALL, "Sunny.", CALL]], indirect=True)
def test_tools_with_a_model_in_this_process(behind: Door) -> None:
    client = behind.client()
    message = ask(client, "Weather in Porto?", tools=TOOLS).choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Porto"})
    told = [
        {"role": "user", "content": "Weather in Porto?"},
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "22 degrees, sun"},
    ]
    done = client.chat.completions.create(model="local", messages=told, user="alice", tools=TOOLS)
    assert done.choices[0].message.content == "Sunny."
    assert behind.turns("alice") == [("user", "Weather in Porto?"), ("assistant", "Sunny.")]
    streamed = list(ask(client, "And again?", tools=TOOLS, stream=True))
    assert streamed[-1].choices[0].finish_reason == "tool_calls"


def failing_twice() -> Any:
    left = [1, 2]

    def reply(messages: Any) -> str:
        if left:
            raise RuntimeError(f"secret prompt {left.pop()}")
        return "Better."

    return reply


@pytest.mark.parametrize("behind", [failing_twice()], indirect=True)
def test_a_model_that_raises_is_a_bad_gateway_and_tells_nothing_of_the_prompt(behind: Door) -> None:
    client = behind.client()
    for stream in (False, True):
        with pytest.raises(openai.APIError) as failed:
            list(ask(client, "Hi", stream=stream))
        assert "secret" not in str(failed.value)
    assert ask(client, "Hi").choices[0].message.content == "Better."


@pytest.mark.parametrize("behind", [["Hello."]], indirect=True)
def test_structured_streams_with_usage(behind: Door) -> None:
    chunks = list(ask(behind.client(), "Hi", stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello."
    assert chunks[-1].usage is not None
