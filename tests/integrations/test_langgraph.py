"""LangGraph's store: exact, ordered in namespaces, filtered, paged, mortal, and found by meaning.

The ground of LangGraph's own store tests (libs/checkpoint/tests/test_store.py and the SQLite store's), and
what a durable store owes besides.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp, SearchOp

from memory_agent import Memory
from memory_agent.errors import InvalidInput
from memory_agent.integrations.langgraph import MemoryStore
from memory_agent.testing import FrozenClock, HashEmbedder, ScriptedChatModel

DOCS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("test", "docs"), "a", {"title": "red apple", "n": 1, "tags": ["x"], "who": {"name": "Ana"}, "on": True}),
    (("test", "docs"), "b", {"title": "green pear", "n": 2, "tags": ["y"], "who": {"name": "Bob"}, "on": False}),
    (("test", "images"), "c", {"title": "red car", "n": 3.5, "dotted.key": 1}),
    (("tests", "docs"), "d", {"title": "blue car", "n": None}),
]


@pytest.fixture
def store(memory: Memory) -> MemoryStore:
    made = MemoryStore(memory)
    for namespace, key, value in DOCS:
        made.put(namespace, key, value)
    return made


def keys(found: Any) -> list[str]:
    return [item.key for item in found]


def test_what_was_put_is_given_back_and_what_was_deleted_is_gone(store: MemoryStore) -> None:
    item = store.get(("test", "docs"), "a")
    assert item is not None
    assert (item.namespace, item.key, item.value) == DOCS[0]
    assert store.get(("test", "docs"), "z") is None
    assert store.get(("test",), "a") is None
    store.delete(("test", "docs"), "a")
    store.delete(("test", "docs"), "a")
    assert store.get(("test", "docs"), "a") is None
    assert keys(store.search(("test", "docs"))) == ["b"]


def test_an_update_keeps_when_it_was_made(store: MemoryStore, clock: FrozenClock) -> None:
    before = store.get(("test", "docs"), "a")
    clock.tick(3600)
    store.put(("test", "docs"), "a", {"title": "other"})
    after = store.get(("test", "docs"), "a")
    assert before is not None
    assert after is not None
    assert after.value == {"title": "other"}
    assert after.created_at == before.created_at
    assert after.updated_at == before.updated_at + timedelta(hours=1)


def test_it_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="alice", embedder=HashEmbedder(64)) as memory:
        MemoryStore(memory).put(("a", "b"), "k", {"v": "blue car"})
    with Memory.open(tmp_path, user="alice", embedder=HashEmbedder(64)) as memory:
        (found,) = MemoryStore(memory).search((), query="a blue car")
        assert (found.namespace, found.key, found.value) == (("a", "b"), "k", {"v": "blue car"})
        assert found.score is not None
    with Memory.open(tmp_path, user="bob", embedder=HashEmbedder(64)) as memory:
        assert MemoryStore(memory).search(()) == []
        assert MemoryStore(memory).list_namespaces() == []


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    SCALAR | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.dictionaries(TEXT, JSON, max_size=4), key=TEXT)
def test_any_json_is_given_back_exactly(memory: Memory, value: dict[str, Any], key: str) -> None:
    store = MemoryStore(memory, index=False)
    store.put(("x",), key, value)
    item = store.get(("x",), key)
    assert item is not None
    assert json.dumps(item.value) == json.dumps(value)


@pytest.mark.parametrize(
    "value", [{"a": (1, 2)}, {1: "a"}, {"a": float("nan")}, {"a": object()}, {"a": "\ud800"}, {"a": b"x"}]
)
def test_what_json_would_change_is_refused_and_nothing_of_its_batch_is_written(store: MemoryStore, value: Any) -> None:
    with pytest.raises(InvalidInput):
        store.batch([PutOp(("test", "docs"), "new", {"ok": 1}), PutOp(("test", "docs"), "odd", value)])
    assert store.get(("test", "docs"), "new") is None


@pytest.mark.parametrize("namespace", [(), ("a.b",), ("",), ("langgraph", "x"), (1,)])
def test_a_namespace_that_could_be_taken_for_another_is_refused(store: MemoryStore, namespace: Any) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.put(namespace, "k", {})


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ((), ["a", "b", "c", "d"]),
        (("test",), ["a", "b", "c"]),
        (("test", "docs"), ["a", "b"]),
        (("tes",), []),
        (("TEST",), []),
        (("test", "docs", "x"), []),
        (("*",), []),
        (("test", "do%"), []),
    ],
)
def test_a_search_sees_the_namespaces_under_its_prefix_label_by_label(
    store: MemoryStore, prefix: tuple[str, ...], expected: list[str]
) -> None:
    assert sorted(keys(store.search(prefix))) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"title": "red apple"}, ["a"]),
        ({"n": {"$gt": 1}}, ["b", "c"]),
        ({"n": {"$gte": 1, "$lt": 3}}, ["a", "b"]),
        ({"n": {"$ne": 1}}, ["b", "c", "d"]),
        ({"n": {"$eq": 3.5}}, ["c"]),
        ({"n": {"$lte": "2"}}, []),
        ({"n": None}, ["d"]),
        ({"tags": ["x"]}, ["a"]),
        ({"who": {"name": "Ana"}}, ["a"]),
        ({"who.name": "Bob"}, ["b"]),
        ({"dotted.key": 1}, ["c"]),
        ({"on": True}, ["a"]),
        ({"on": 1}, []),
        ({"n": 1, "title": "green pear"}, []),
        ({"x') OR 1=1 --": "y"}, []),
    ],
)
def test_filters(store: MemoryStore, wanted: dict[str, Any], expected: list[str]) -> None:
    assert sorted(keys(store.search((), filter=wanted))) == expected


def test_an_unknown_operator_is_refused(store: MemoryStore) -> None:
    with pytest.raises(InvalidInput, match=r"\$like"):
        store.search((), filter={"n": {"$like": 1}})


@pytest.mark.parametrize("query", [None, "red"])
def test_pages_together_are_the_whole(store: MemoryStore, query: str | None) -> None:
    whole = keys(store.search((), query=query, limit=10))
    paged = [key for offset in range(0, 6, 2) for key in keys(store.search((), query=query, limit=2, offset=offset))]
    assert paged == whole
    assert len(whole) == 4
    assert store.search((), limit=0) == []
    with pytest.raises(InvalidInput):
        store.search((), offset=-1)


def test_search_by_meaning_ranks_and_scores_by_cosine(store: MemoryStore) -> None:
    found = store.search((), query="red car", limit=4)
    scores = [item.score for item in found]
    assert found[0].key == "c"
    assert None not in scores
    assert scores == sorted(scores, key=lambda score: -(score or 0))
    filtered = store.search(("test",), query="red car", filter={"n": {"$lt": 3}})
    assert keys(filtered)[0] == "a"


def test_a_search_sees_the_newest_write(store: MemoryStore) -> None:
    store.put(("test", "docs"), "b", {"title": "a yellow submarine"})
    assert keys(store.search((), query="yellow submarine"))[0] == "b"
    store.delete(("test", "docs"), "b")
    assert "b" not in keys(store.search((), query="yellow submarine"))


def test_what_is_embedded_of_a_value_can_be_chosen(memory: Memory) -> None:
    store = MemoryStore(memory, index={"dims": 32, "embed": HashEmbedder(32), "fields": ["text", "list[*].text"]})
    store.put(("d",), "plain", {"text": "red car", "other": "banana"})
    store.put(("d",), "listed", {"list": [{"text": "banana"}, {"text": "green boat"}]})
    store.put(("d",), "own", {"text": "red car", "other": "banana"}, index=["other"])
    store.put(("d",), "unseen", {"text": "banana"}, index=False)
    found = store.search(("d",), query="banana")
    assert set(keys(found)[:2]) == {"own", "listed"}
    assert found[0].score == pytest.approx(1.0)
    assert [item.score for item in found if item.key == "unseen"] == [None]
    unindexed = MemoryStore(memory, index=False, collection="other")
    unindexed.put(("d",), "k", {"text": "banana"})
    assert [item.score for item in unindexed.search(("d",), query="banana")] == [None]


def test_after_a_change_of_the_embedder_a_search_still_ranks(tmp_path: Path) -> None:
    class Other(HashEmbedder):
        pass

    with Memory.open(tmp_path, user="alice", embedder=HashEmbedder(64)) as memory:
        MemoryStore(memory).put(("a",), "k", {"v": "blue car"})
    with Memory.open(tmp_path, user="alice", embedder=Other(32), rebuild=True) as memory:
        (found,) = MemoryStore(memory).search((), query="blue car")
        assert found.score is not None


def test_namespaces_are_listed_matched_cut_and_paged(store: MemoryStore) -> None:
    store.put(("test", "docs", "v1"), "k", {})
    assert store.list_namespaces() == [("test", "docs"), ("test", "docs", "v1"), ("test", "images"), ("tests", "docs")]
    assert store.list_namespaces(prefix=("test",)) == [("test", "docs"), ("test", "docs", "v1"), ("test", "images")]
    assert store.list_namespaces(suffix=("docs",)) == [("test", "docs"), ("tests", "docs")]
    assert store.list_namespaces(prefix=("*", "docs"), suffix=("v1",)) == [("test", "docs", "v1")]
    assert store.list_namespaces(max_depth=1) == [("test",), ("tests",)]
    assert store.list_namespaces(limit=1, offset=1) == [("test", "docs", "v1")]
    store.delete(("test", "docs", "v1"), "k")
    assert ("test", "docs", "v1") not in store.list_namespaces()


def test_a_batch_reads_what_stood_before_and_answers_in_order(store: MemoryStore) -> None:
    results = store.batch(
        [
            PutOp(("test", "docs"), "a", {"title": "new"}),
            GetOp(("test", "docs"), "a"),
            SearchOp(("test", "images")),
            PutOp(("test", "docs"), "a", {"title": "newest"}),
            ListNamespacesOp((MatchCondition("prefix", ("tests",)),)),
            GetOp(("test", "docs"), "none"),
        ]
    )
    assert results[0] is None
    assert results[1].value["title"] == "red apple"  # type: ignore[union-attr]
    assert keys(results[2]) == ["c"]
    assert results[4] == [("tests", "docs")]
    assert results[5] is None
    assert store.get(("test", "docs"), "a").value == {"title": "newest"}  # type: ignore[union-attr]


def test_what_has_a_time_to_live_lives_on_when_it_is_read_and_then_goes(memory: Memory, clock: FrozenClock) -> None:
    store = MemoryStore(memory, ttl={"default_ttl": 10})
    store.put(("a",), "default", {"v": 1})
    store.put(("a",), "long", {"v": 2}, ttl=60)
    store.put(("a",), "ever", {"v": 3}, ttl=None)
    clock.tick(9 * 60)
    assert store.get(("a",), "default") is not None
    clock.tick(9 * 60)
    assert store.get(("a",), "default", refresh_ttl=False) is not None
    clock.tick(2 * 60)
    assert store.get(("a",), "default") is None
    assert keys(store.search(("a",), refresh_ttl=False)) == ["long", "ever"]
    assert store.sweep_ttl() == 1
    clock.tick(9 * 86400)
    assert store.list_namespaces() == [("a",)]
    assert store.sweep_ttl() == 1
    assert keys(store.search(("a",))) == ["ever"]
    with pytest.raises(InvalidInput, match="ttl"):
        store.put(("a",), "never", {}, ttl=0)


def test_the_asynchronous_face_is_the_same_and_holds_no_loop(store: MemoryStore) -> None:
    async def use() -> None:
        await store.aput(("async",), "k", {"title": "white whale"})
        item = await store.aget(("async",), "k")
        assert item is not None
        assert item.value == {"title": "white whale"}
        assert keys(await store.asearch((), query="white whale"))[0] == "k"
        await asyncio.gather(*(store.aput(("many",), str(n), {"n": n}) for n in range(20)))
        assert len(await store.asearch(("many",), limit=50)) == 20
        await store.adelete(("async",), "k")
        assert ("async",) not in await store.alist_namespaces()

    asyncio.run(use())


def test_items_are_no_evidence_and_go_with_their_user(store: MemoryStore, memory: Memory) -> None:
    store.put(("notes",), "k", {"text": "Alice lives in Porto."})
    assert memory.consolidate().episodes == 0
    assert memory.search("Porto").hits == ()
    (one,) = store.search(("notes",))
    assert one.value == {"text": "Alice lives in Porto."}
    memory.forget("user:alice", reason="asked to")
    assert store.search(()) == []


def test_a_graph_uses_it_as_its_store(memory: Memory) -> None:
    from langgraph.graph import START, StateGraph
    from langgraph.runtime import Runtime

    def note(state: dict[str, Any], runtime: Runtime[Any]) -> dict[str, Any]:
        assert runtime.store is not None
        runtime.store.put(("notes", "alice"), "tea", {"text": state["text"]})
        (found,) = runtime.store.search(("notes",), query="drink")
        return {"text": found.value["text"] + "!"}

    builder = StateGraph(dict)
    builder.add_node("note", note)  # type: ignore[type-var]
    builder.add_edge(START, "note")
    graph = builder.compile(store=MemoryStore(memory))
    assert graph.invoke({"text": "likes tea"}) == {"text": "likes tea!"}


def test_langmems_tools_keep_and_find_in_it(memory: Memory) -> None:
    from langmem import create_manage_memory_tool, create_search_memory_tool

    store = MemoryStore(memory)
    manage = create_manage_memory_tool(namespace=("memories", "alice"), store=store)
    search = create_search_memory_tool(namespace=("memories", "alice"), store=store)
    manage.invoke({"content": "Alice's cat is called Tango."})
    (item,) = store.search(("memories", "alice"))
    assert item.value == {"content": "Alice's cat is called Tango."}
    assert "Tango" in str(search.invoke({"query": "cat"}))
    manage.invoke({"content": "Alice's cat is called Rumba.", "action": "update", "id": item.key})
    assert "Rumba" in str(search.invoke({"query": "cat"}))
    manage.invoke({"action": "delete", "id": item.key})
    assert store.search(("memories", "alice")) == []


async def test_an_agent_of_langchains_has_it_in_its_tools(memory: Memory) -> None:
    from langchain.agents import create_agent
    from langchain.tools import tool
    from langmem import create_manage_memory_tool

    @tool
    def look_up(query: str, runtime: ToolRuntime) -> str:
        """Look something up."""
        assert runtime.store is not None
        return str([item.value for item in runtime.store.search(("memories",), query=query)])

    def call(name: str, **arguments: Any) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": name, "type": "tool_call"}])

    replies = [
        call("manage_memory", content="The cat is called Tango."),
        "Noted.",
        call("look_up", query="cat"),
        "It is Tango.",
    ]
    store = MemoryStore(memory)
    tools = [create_manage_memory_tool(namespace=("memories",)), look_up]
    agent = create_agent(ScriptedChatModel(replies=replies), tools=tools, store=store)
    agent.invoke({"messages": [("human", "My cat is called Tango.")]})
    last = await agent.ainvoke({"messages": [("human", "What is my cat called?")]})
    assert "Tango" in last["messages"][-2].text
    assert [item.value for item in store.search(("memories",))] == [{"content": "The cat is called Tango."}]
