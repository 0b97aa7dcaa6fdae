"""LangChain's doors: what comes back through them is what memory holds."""

from __future__ import annotations

from typing import Any

import pytest
from heard import said
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from memory_agent import Memory
from memory_agent.errors import InvalidInput
from memory_agent.integrations.langchain import (
    MemoryByteStore,
    MemoryChatHistory,
    MemoryKeyValueStore,
    MemoryRetriever,
    MemoryVectorStore,
    with_memory,
)
from memory_agent.testing import HashEmbedder, ScriptedChatModel

CALL = {"name": "weather", "args": {"city": "Porto"}, "id": "c1", "type": "tool_call"}


def test_a_document_says_where_it_is_from(memory: Memory) -> None:
    memory.add([{"role": "user", "content": "I live in Porto.", "id": "t1"}], session="s1")
    memory.consolidate()
    found = MemoryRetriever(memory=memory).invoke("Porto")
    turn = next(d for d in found if d.metadata["kind"] == "episode")
    fact = next(d for d in found if d.metadata["kind"] == "fact")
    assert (turn.id, turn.page_content, turn.metadata["session"]) == ("t1", "I live in Porto.", "s1")
    assert (fact.metadata["object"], fact.metadata["sources"]) == ("Porto", ["t1"])
    assert {d.metadata["kind"] for d in MemoryRetriever(memory=memory, kinds=("fact",)).invoke("Porto")} == {"fact"}


def test_a_chat_history_gives_its_messages_back(memory: Memory) -> None:
    messages: list[BaseMessage] = [
        SystemMessage("Be brief."),
        HumanMessage("Weather in Porto?", name="alice"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("22 degrees", tool_call_id="c1"),
        AIMessage("Sunny.", id="m1"),
    ]
    history = MemoryChatHistory(memory, "s1")
    history.add_messages(messages)
    assert history.messages == messages
    assert MemoryChatHistory(memory, "s2").messages == []
    assert memory.search("degrees").hits
    history.clear()
    history.clear()
    assert history.messages == []
    assert said(memory) == []


def test_a_chain_with_memory_recalls_and_remembers(memory: Memory) -> None:
    model = ScriptedChatModel(replies=["Noted.", "Tango."])
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{text}")])
    chain = prompt | with_memory(model, memory, session="s1") | StrOutputParser()
    assert chain.invoke({"text": "My cat is called Tango."}) == "Noted."
    assert chain.invoke({"text": "What is my cat called?"}) == "Tango."
    system = model.prompts[-1][0].text
    assert system.startswith("Be brief.")
    assert "My cat is called Tango." in system
    assert [role for role, _ in said(memory)] == ["user", "assistant"] * 2


@pytest.mark.parametrize("given", ["Hello", [("human", "Hello")], [HumanMessage("Hello")]])
def test_it_takes_what_a_chat_model_takes(memory: Memory, given: Any) -> None:
    assert with_memory(ScriptedChatModel(replies=["Hi."]), memory).invoke(given).content == "Hi."
    assert said(memory) == [("user", "Hello"), ("assistant", "Hi.")]


async def test_it_streams_and_works_for_asyncio(memory: Memory) -> None:
    chain = with_memory(ScriptedChatModel(replies=["One two.", "Three.", "Four."]) | StrOutputParser(), memory)
    assert "".join(chain.stream("Count.")) == "One two."
    assert await chain.ainvoke("More.") == "Three."
    assert "".join([piece async for piece in chain.astream("And more.")]) == "Four."
    assert [content for role, content in said(memory) if role == "assistant"] == ["One two.", "Three.", "Four."]


def test_a_model_that_fails_leaves_what_was_said(memory: Memory) -> None:
    def fail(messages: Any) -> str:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        with_memory(ScriptedChatModel(replies=fail), memory).invoke("Hello")
    assert said(memory) == [("user", "Hello")]


def test_stores_of_other_collections_and_turns_are_apart(memory: Memory) -> None:
    MemoryVectorStore(memory, "a").add_texts(["red car"], [{"n": 1}], ids=["x"])
    assert MemoryVectorStore(memory, "b").similarity_search("red car") == []
    assert memory.search("red car").hits == ()
    store = MemoryVectorStore(memory, "a")
    assert store.similarity_search("car", filter={"n": 2}) == []
    ((found, score),) = store.similarity_search_with_score("red car", filter={"n": 1})
    assert (found.id, found.page_content, found.metadata) == ("x", "red car", {"n": 1})
    assert score == pytest.approx(1.0)
    store.delete()
    assert store.similarity_search("car") == []
    with pytest.raises(InvalidInput):
        MemoryVectorStore.from_texts(["x"], HashEmbedder(8))
    with pytest.raises(InvalidInput):
        store.add_texts(["a", "b"], [{}])


def test_key_value_stores_find_keys_by_their_beginning(memory: Memory) -> None:
    store, bytes_ = MemoryKeyValueStore(memory), MemoryByteStore(memory)
    store.mset([("a/1", {"x": 1}), ("a/2", None), ("b", 2)])
    bytes_.mset([("a/1", b"\xff")])
    assert sorted(store.yield_keys(prefix="a/")) == ["a/1", "a/2"]
    assert store.mget(["a/1", "none"]) == [{"x": 1}, None]
    assert bytes_.mget(["a/1"]) == [b"\xff"]
    with pytest.raises(InvalidInput):
        store.mset([("c", object())])
