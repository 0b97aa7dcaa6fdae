"""Each example runs, and what it promises holds: against a scripted model, and one of them against the local one."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memory_agent import Memory, Settings
from memory_agent.memories import Memories
from memory_agent.records import Episode
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


@pytest.mark.model
def test_the_plain_loop_with_the_local_model() -> None:
    from memory_agent.models.local import LocalChatModel

    with Memory.open("memory://", user="ana", embedder=HashEmbedder(64)) as memory:
        model = LocalChatModel.load(memory.space.settings)
        model.max_new_tokens = 8
        (reply,) = example("plain_loop").talk(memory, model, ["What is the capital of France?"], "s1")
        assert reply.strip()
