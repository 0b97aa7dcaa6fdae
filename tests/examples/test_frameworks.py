"""Each example runs, and what it promises holds: against a scripted model, and against the local one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from talking import served

from memory_agent import Memory, Settings
from memory_agent.memories import Memories
from memory_agent.records import Episode
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder, ScriptedChatModel

EXAMPLES = Path(__file__).parents[2] / "examples"
NO_STUDENT = Settings(student="none")


def example(name: str) -> Any:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open("memory://", user="ana", embedder=HashEmbedder(64), settings=NO_STUDENT) as opened:
        yield opened


def said(memory: Memory) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in memory.space.ledger.select(Episode)]


def test_a_plain_loop(memory: Memory) -> None:
    model = ScriptedChatModel(replies=["Noted.", "Tango."])
    replies = list(
        example("plain_loop").talk(memory, model, ["My cat is called Tango.", "What is my cat called?"], "s1")
    )
    assert replies == ["Noted.", "Tango."]
    assert "My cat is called Tango." in model.prompts[1][0].text
    assert [role for role, _ in said(memory)] == ["user", "assistant"] * 2


def test_a_bot_keeps_everybody_apart() -> None:
    module = example("bot")
    model = ScriptedChatModel(replies=lambda messages: f"Heard: {messages[-1].text}")
    with Memories("memory://", embedder=HashEmbedder(64), settings=NO_STUDENT) as memories:
        replies = list(module.run(module.Bot(memories, model), module.UPDATES))
        assert [chat for chat, _ in replies] == ["7", "8", "7", "8"]
        assert replies[-1][1] == "Forgotten."
        assert "Tango" in str(model.prompts[-1])
        assert "allergic" not in str(model.prompts[-1])
        assert said(memories.of("ben")) == []
        assert len(said(memories.of("ana"))) == 4


def test_langgraph(memory: Memory) -> None:
    model = ScriptedChatModel(replies=["Noted.", "Tango."])
    graph = example("langgraph_agent").build(memory, model)
    graph.invoke({"messages": [("human", "My cat is called Tango.")]})
    last = graph.invoke({"messages": [("human", "What is my cat called?")]})["messages"][-1]
    assert last.text == "Tango."
    assert "My cat is called Tango." in model.prompts[1][0].text
    assert [item.value["text"] for item in graph.store.search(("topics",))] == ["What is my cat called?"]


def test_pydantic_ai(memory: Memory) -> None:
    module = example("pydantic_ai_agent")
    reply = module.chat(memory, "My cat is called Tango.", "test")
    assert "search_memory" in reply
    assert said(memory)[0] == ("user", "My cat is called Tango.")
    assert len(said(memory)) == 2


async def test_openai_agents() -> None:
    """Through the server over real HTTP; the model calls a tool of the memory's over MCP."""

    def reply(messages: list[BaseMessage]) -> AIMessage:
        last = messages[-1]
        if last.type == "human" and "?" in last.text:
            call = {"name": "search_memory", "args": {"query": "cat"}, "id": "c1", "type": "tool_call"}
            return AIMessage("", tool_calls=[call])
        return AIMessage(f"Heard: {last.text}")

    with serving(ScriptedChatModel(replies=reply)) as (url, key, memories):
        lines = ["My cat is called Tango.", "What is my cat called?"]
        first, second = await example("openai_agents_agent").talk(lines, user="ana", model="x", url=url, key=key)
        assert first == "Heard: My cat is called Tango."
        assert "[" in second
        assert "Tango" in second
        assert [text for role, text in said(memories.of("ana")) if role == "user"] == lines


@contextmanager
def serving(model: BaseChatModel | None) -> Iterator[tuple[str, str, Memories]]:
    """The server before a model, or before the local one; its URL, a key and what it keeps."""
    settings = Settings(student="none" if model is not None else "", model="local")
    with Memories("memory://", embedder=HashEmbedder(64), settings=settings) as memories:
        app = create_app(memories, Options(model=model))
        key, _ = app.state.serving.keys.create(tenant=memories.settings.tenant, role="writer")
        with served(app) as url:
            yield url, key, memories


@pytest.fixture(scope="module")
def local() -> BaseChatModel:
    """The small model of this machine, which says a few words."""
    from memory_agent.models.local import LocalChatModel

    model = LocalChatModel.load(Settings())
    model.max_new_tokens = 6
    return model


QUESTION = "What is the capital of France?"


@pytest.mark.model
def test_the_plain_loop_with_the_local_model(memory: Memory, local: BaseChatModel) -> None:
    (reply,) = example("plain_loop").talk(memory, local, [QUESTION], "s1")
    assert reply.strip()


@pytest.mark.model
def test_the_bot_with_the_local_model(local: BaseChatModel) -> None:
    module = example("bot")
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings()) as memories:
        ((chat, reply),) = module.run(module.Bot(memories, local), [module.Update(1, "7", "ana", QUESTION)])
        assert chat == "7"
        assert reply.strip()
        assert said(memories.of("ana")) == [("user", QUESTION), ("assistant", reply.strip())]


@pytest.mark.model
def test_langgraph_with_the_local_model(memory: Memory, local: BaseChatModel) -> None:
    graph = example("langgraph_agent").build(memory, local)
    assert graph.invoke({"messages": [("human", QUESTION)]})["messages"][-1].text.strip()


@pytest.mark.model
async def test_openai_agents_with_the_local_model() -> None:
    with serving(None) as (url, key, memories):
        talk = example("openai_agents_agent").talk
        (reply,) = await talk([QUESTION], user="ana", model="local", url=url, key=key, tools=False)
        assert said(memories.of("ana")) == [("user", QUESTION), ("assistant", reply)]
