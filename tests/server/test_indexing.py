"""The indexer behind the proxy: what is due is embedded together, once, after the chats, and all of it in the end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from langchain_core.embeddings import Embeddings

from memory_agent import Memory, episodic, upkeep
from memory_agent.errors import ModelError
from memory_agent.memories import Memories
from memory_agent.server import indexing
from memory_agent.server.indexing import Indexer
from memory_agent.testing import HashEmbedder

NEVER = 3600.0


class Counting(Embeddings):
    """Counts the texts of each pass."""

    def __init__(self) -> None:
        self.inner = HashEmbedder(16)
        self.passes: list[int] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.passes.append(len(texts))
        return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.inner.embed_query(text)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def memories(counting: Counting) -> Iterator[Memories]:
    with Memories("memory://", embedder=counting) as opened:
        yield opened


def say(memory: Memory, text: str) -> None:
    episodic.take_in(memory.space, [{"role": "user", "content": text}])


def level(memory: Memory) -> bool:
    state = memory.space.index.state("episode")
    return state is not None and state.position == memory.space.ledger.position()


def test_what_waits_is_done_before_the_end_however_late_it_is_due(memories: Memories) -> None:
    indexer, memory = Indexer(after=NEVER), memories.of("alice")
    say(memory, "I live in Porto.")
    indexer.later(memory)
    assert not level(memory)
    indexer.close()
    assert level(memory)


def test_a_question_its_reply_and_other_spaces_are_one_pass(memories: Memories, counting: Counting) -> None:
    indexer, users = Indexer(after=NEVER), [memories.of(name) for name in ("alice", "bob")]
    for memory in users:
        for text in ("What is the word?", "Zanzibar."):
            say(memory, f"{text} {memory.space.user}")
            indexer.later(memory)
    counting.passes.clear()
    indexer.close()
    assert all(level(memory) for memory in users)
    assert counting.passes[0] == indexing.TEXTS == 4
    assert sum(counting.passes) - counting.passes.count(1) == 4, "no text twice; a dimension is asked for by one text"


def test_a_long_text_goes_by_itself() -> None:
    long = "x" * indexing.LETTERS
    assert [*indexing._batches(["a", "b", long, "c"])] == [["a", "b"], [long], ["c"]]
    assert [*indexing._batches([*"abcdefghi"])] == [[*"abcd"], [*"efgh"], ["i"]]


def test_chats_go_first(memories: Memories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "PATIENCE", NEVER)
    done, indexer, memory = threading.Event(), Indexer(after=0), memories.of("alice")
    monkeypatch.setattr(upkeep, "catch_up", lambda space: done.set())
    say(memory, "I live in Porto.")
    with indexer.passing():
        indexer.later(memory)
        with indexer.passing():
            assert not done.wait(0.05)
        assert not done.wait(0.05)
    assert done.wait(30)
    indexer.close()


def test_chats_without_end_do_not_keep_the_index_behind(memories: Memories) -> None:
    indexer, memory = Indexer(after=0), memories.of("alice")
    say(memory, "I live in Porto.")
    with indexer.passing():
        indexer.later(memory)
        while not level(memory):
            threading.Event().wait(0.01)
    indexer.close()


def test_a_space_that_cannot_catch_up_holds_no_other_back(
    memories: Memories, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    indexer, users, catch_up = Indexer(after=NEVER), [memories.of(name) for name in ("alice", "bob")], upkeep.catch_up
    bad = users[0].space

    def failing(space: object) -> None:
        if space is bad:
            raise ModelError("out of order")
        catch_up(users[1].space)

    monkeypatch.setattr(upkeep, "catch_up", failing)
    for memory in users:
        say(memory, "I live in Porto.")
        indexer.later(memory)
    indexer.close()
    assert (level(users[0]), level(users[1])) == (False, True)
    assert "out of order" in caplog.text
