"""Agent: turns durable and in order, windows that hold, tools, and a conversation that goes on after failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModelError
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from students import tiny_student

from memory_agent import Agent, Memory, Settings
from memory_agent.agent import ROUNDS
from memory_agent.errors import InvalidInput, StoreBusy
from memory_agent.protocols import Query
from memory_agent.records import AddReport, Episode, Summary
from memory_agent.testing import FrozenClock, HashEmbedder, ScriptedChatModel, soak


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open("memory://", user="alice", embedder=HashEmbedder(64), clock=FrozenClock()) as memory:
        yield memory


def held(memory: Memory, session: str | None = None) -> list[tuple[str, str]]:
    query = Query(where={"session": session}) if session else Query()
    turns = sorted(memory.space.ledger.select(Episode, query), key=lambda turn: turn.at)
    return [(turn.role, turn.content) for turn in turns]


def call(name: str, call_id: str = "c1", **args: Any) -> AIMessage:
    return AIMessage(content="", tool_calls=[{"name": name, "args": args, "id": call_id, "type": "tool_call"}])


def result(model: ScriptedChatModel, prompt: int = -1) -> ToolMessage:
    last = model.prompts[prompt][-1]
    assert isinstance(last, ToolMessage)
    return last


def text_of(prompt: Sequence[BaseMessage]) -> str:
    return "\n".join(str(message.content) for message in prompt)


# turns


def test_both_turns_are_kept_and_the_next_prompt_holds_them(memory: Memory) -> None:
    model = ScriptedChatModel(replies=["Hello Alice.", "To Porto."])
    agent = Agent(memory, model, session="s")
    assert agent.chat("I moved to Porto.") == "Hello Alice."
    assert agent.chat("Where did I move?") == "To Porto."
    assert held(memory, "s") == [
        ("user", "I moved to Porto."),
        ("assistant", "Hello Alice."),
        ("user", "Where did I move?"),
        ("assistant", "To Porto."),
    ]
    assert [message.type for message in model.prompts[1]] == ["system", "human", "ai", "human"]
    assert str(model.prompts[1][-1].content) == "Where did I move?", "the window shows the first turn already"


def test_what_was_said_in_another_session_is_recalled_and_the_reply_names_it(memory: Memory) -> None:
    memory.add([{"role": "user", "content": "My cello is called Brunhilde.", "id": "t1"}], session="old")
    model = ScriptedChatModel(replies=["Brunhilde."])
    agent = Agent(memory, model, session="new")
    agent.chat("What is my cello called?")
    assert "Brunhilde" in str(model.prompts[0][-1].content)
    (reply,) = memory.space.ledger.select(Episode, Query(where={"session": "new", "role": "assistant"}))
    assert reply.metadata["recalled"] == ["t1"]
    assert agent.last is not None
    assert agent.last.parts["episodes"] > 0


def test_the_same_words_twice_are_two_turns_even_when_the_clock_stands(memory: Memory) -> None:
    agent = Agent(memory, ScriptedChatModel(replies=["yes", "yes", "yes"]), session="s")
    for _ in range(3):
        agent.chat("ok")
    assert held(memory, "s") == [("user", "ok"), ("assistant", "yes")] * 3


def test_the_users_turn_is_durable_before_the_model_is_asked_and_the_reply_before_its_end_is_shown(
    memory: Memory,
) -> None:
    def reply(messages: list[BaseMessage]) -> str:
        assert held(memory, "s")[-1] == ("user", "hello")
        return "good day to you"

    pieces = Agent(memory, ScriptedChatModel(replies=reply), session="s").stream("hello")
    shown = ""
    for piece in pieces:
        shown += piece
        if shown == "good day to you":
            assert held(memory, "s")[-1] == ("assistant", "good day to you")
    assert shown == "good day to you"


def test_what_was_recalled_is_not_taken_in_again(memory: Memory) -> None:
    memory.add([{"role": "user", "content": "My cello is called Brunhilde."}], session="old")
    parrot = ScriptedChatModel(replies=lambda messages: str(messages[-1].content))
    Agent(memory, parrot, session="s").chat("What is my cello called?")
    assert held(memory, "s") == [("user", "What is my cello called?"), ("assistant", "What is my cello called?")]


def test_an_empty_message_is_refused(memory: Memory) -> None:
    agent = Agent(memory, ScriptedChatModel(replies=[]))
    for ask in (agent.chat, agent.stream, agent.context):
        with pytest.raises(InvalidInput):
            ask("  ")  # type: ignore[operator]
    assert held(memory) == []


# streaming and asyncio


class Streaming(FakeListChatModel):
    """Gives a reply letter by letter, and fails at `error_on_chunk_number`."""


def test_a_stream_that_is_broken_off_keeps_what_was_shown(memory: Memory) -> None:
    pieces = Agent(memory, Streaming(responses=["abcdef"]), session="s").stream("go")
    assert [next(pieces) for _ in range(3)] == ["a", "b", "c"]
    pieces.close()  # type: ignore[attr-defined]
    assert held(memory, "s") == [("user", "go"), ("assistant", "abc")]


def test_a_stream_that_fails_keeps_what_was_shown_and_chat_keeps_nothing_unseen(memory: Memory) -> None:
    agent = Agent(memory, Streaming(responses=["abcdef"], error_on_chunk_number=3), session="s")
    shown: list[str] = []
    with pytest.raises(FakeListChatModelError):
        shown.extend(agent.stream("go"))
    assert held(memory, "s") == [("user", "go"), ("assistant", "ab")]
    with pytest.raises(FakeListChatModelError):
        agent.chat("again")
    assert held(memory, "s")[-1] == ("user", "again")


def test_asyncio_has_both_and_never_works_in_the_loops_thread() -> None:
    working: set[int] = set()

    class Watched(HashEmbedder):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            working.add(threading.get_ident())
            return super().embed_documents(texts)

    def reply(messages: list[BaseMessage]) -> str:
        working.add(threading.get_ident())
        return "abc"

    async def talk(memory: Memory) -> tuple[str, list[str]]:
        one = await Agent(memory, ScriptedChatModel(replies=reply), session="s").achat("one")
        streaming = Agent(memory, Streaming(responses=["abc"]), session="s")
        return one, [piece async for piece in streaming.astream("two")]

    with Memory.open("memory://", user="alice", embedder=Watched(32)) as memory:
        working.clear()
        assert asyncio.run(talk(memory)) == ("abc", ["a", "b", "c"])
        assert len(held(memory, "s")) == 4
    assert working
    assert threading.get_ident() not in working


def test_an_async_stream_that_is_left_keeps_what_was_shown(memory: Memory) -> None:
    async def leave() -> None:
        pieces = Agent(memory, Streaming(responses=["abcdef"], sleep=0.01), session="s").astream("go")
        async for piece in pieces:
            if piece == "b":
                break
        await pieces.aclose()  # type: ignore[attr-defined]

    asyncio.run(leave())
    assert held(memory, "s") == [("user", "go"), ("assistant", "ab")]


# failures


def test_a_failing_model_leaves_a_conversation_that_goes_on(memory: Memory) -> None:
    model = ScriptedChatModel(replies=[RuntimeError("rate limit"), RuntimeError("again"), "Here I am."])
    agent = Agent(memory, model, session="s")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            agent.chat("are you there?")
    assert agent.chat("are you there?") == "Here I am."
    assert held(memory, "s") == [("user", "are you there?"), ("assistant", "Here I am.")], "asking again is no new turn"


class Flaky(Embeddings):
    """An embedder whose server can be down."""

    def __init__(self) -> None:
        self.inner, self.down = HashEmbedder(32), False

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.down:
            raise ConnectionError("no route to host")
        return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def test_a_failing_embedder_loses_no_turn_and_is_caught_up_with() -> None:
    embedder = Flaky()
    with Memory.open("memory://", user="alice", embedder=embedder) as memory:
        agent = Agent(memory, ScriptedChatModel(replies=["one", "two", "three"]), session="s")
        agent.chat("My cello is called Brunhilde.")
        embedder.down = True
        assert agent.chat("And my bow Siegfried.") == "two"
        assert len(held(memory, "s")) == 4
        embedder.down = False
        assert agent.chat("Good.") == "three"
        assert memory.space.index.count("episode") == 6


def test_a_busy_store_is_an_error_and_the_next_turn_goes_on(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent(memory, ScriptedChatModel(replies=["one", "two"]), session="s")
    add = Memory.add

    def busy(self: Memory, turns: Any, **more: Any) -> AddReport:
        if turns[0].role == "assistant":
            raise StoreBusy("another process is writing")
        return add(self, turns, **more)

    monkeypatch.setattr(Memory, "add", busy)
    with pytest.raises(StoreBusy):
        agent.chat("hello")
    monkeypatch.setattr(Memory, "add", add)
    assert agent.chat("hello") == "two"
    assert held(memory, "s") == [("user", "hello"), ("assistant", "two")]


# the window


def test_a_context_is_what_is_sent_and_writes_nothing(memory: Memory) -> None:
    memory.blocks.put("human", "Alice plays the cello.")
    model = ScriptedChatModel(replies=["a", "b"])
    agent = Agent(memory, model, session="s")
    agent.chat("one")
    before = memory.space.ledger.position()
    shown = agent.context("two")
    assert memory.space.ledger.position() == before
    agent.chat("two")
    assert [str(m.content) for m in model.prompts[1]] == [message.content for message in shown.messages]
    assert shown.tokens == agent.counter.prompt([message.model_dump() for message in shown.messages])
    assert sum(shown.parts.values()) == shown.tokens
    assert "cello" in model.prompts[1][0].text


def test_old_turns_leave_the_window_for_a_summary_by_the_model(memory: Memory) -> None:
    def reply(messages: list[BaseMessage]) -> str:
        return "- notes of old" if "Write notes" in text_of(messages) else "I see. " * 20

    model = ScriptedChatModel(replies=reply)
    agent = Agent(memory, model, session="s", window=1024, reply=128)
    for n in range(12):
        agent.chat(f"Story {n}: " + "we walked along the river and talked. " * 4)
    assert memory.space.ledger.count(Summary) > 0
    shown = agent.context("and now?")
    assert "notes of old" in shown.messages[0].content
    assert len(held(memory, "s")) == 24
    assert all(agent.counter.prompt([_plain(m) for m in prompt]) <= agent.prompt_window for prompt in model.prompts)


def _plain(message: BaseMessage) -> dict[str, str]:
    return {
        "role": {"human": "user", "ai": "assistant"}.get(message.type, message.type),
        "content": str(message.content),
    }


def test_a_model_that_cannot_summarise_is_no_reason_to_stop(memory: Memory) -> None:
    def reply(messages: list[BaseMessage]) -> str | Exception:
        return RuntimeError("overloaded") if "Write notes" in text_of(messages) else "I see. " * 20

    agent = Agent(memory, ScriptedChatModel(replies=reply), session="s", window=1024, reply=128)
    for n in range(12):
        agent.chat(f"Story {n}: " + "we walked along the river and talked. " * 4)
    assert "walked along the river" in memory.space.ledger.select(Summary)[0].text


def test_a_window_that_cannot_hold_a_conversation_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="window"):
        Agent(memory, ScriptedChatModel(replies=[]), window=100, reply=60)
    with pytest.raises(InvalidInput, match="reply"):
        Agent(memory, ScriptedChatModel(replies=[]), window=100, reply=100)


def test_the_local_model_talks_within_its_own_window(tmp_path: Path) -> None:
    settings = Settings(student=str(tiny_student(tmp_path / "student")), model="local")
    with Memory.open("memory://", user="alice", embedder=HashEmbedder(32), settings=settings) as memory:
        agent = Agent(memory, reply=8)
        assert (agent.window, agent.counter.name) == (1024, "student")
        agent.chat("hello " * 3000)
        assert agent.last is not None
        assert agent.last.tokens <= agent.prompt_window == 1016
        assert "the question has" in agent.last.notes[0]
        assert held(memory)[0] == ("user", "hello " * 3000)


# agents side by side


def test_several_agents_share_a_users_memory_with_their_own_blocks(memory: Memory) -> None:
    memory.blocks.put("human", "Alice plays the cello.")
    models = {name: ScriptedChatModel(replies=["yes", "yes"]) for name in ("planner", "critic")}
    agents = {name: Agent(memory, model, name=name, session=name) for name, model in models.items()}
    agents["planner"].memory.blocks.put("persona", "I plan.")
    agents["critic"].memory.blocks.put("persona", "I doubt.")
    agents["planner"].chat("My bow is called Siegfried.")
    agents["critic"].chat("What is my bow called?")
    assert "Siegfried" in text_of(models["critic"].prompts[0])
    first = {name: str(model.prompts[0][0].content) for name, model in models.items()}
    assert "I plan." in first["planner"]
    assert "I plan." not in first["critic"]
    assert all("cello" in text for text in first.values())
    speakers = {e.speaker for e in memory.space.ledger.select(Episode, Query(where={"role": "assistant"}))}
    assert speakers == {"planner", "critic"}


# tools


@tool
def double(n: int) -> str:
    """Twice the number."""
    return f"it is {2 * n}"


@tool
async def later(n: int) -> str:
    """The number, after a while."""
    await asyncio.sleep(0)
    return f"async {n}"


@tool
def flood() -> str:
    """A great deal of text."""
    return "flood " * 5000


def test_own_tools_are_called_and_their_names_kept(memory: Memory) -> None:
    model = ScriptedChatModel(replies=[call("double", n=21), call("later", n=3), "42, then 3."])
    agent = Agent(memory, model, session="s", tools=[double, later])
    assert agent.chat("Twice 21?") == "42, then 3."
    assert result(model, 1).content == "it is 42"
    assert result(model, 2).content == "async 3"
    assert held(memory, "s") == [("user", "Twice 21?"), ("assistant", "42, then 3.")]
    (reply,) = memory.space.ledger.select(Episode, Query(where={"role": "assistant"}))
    assert reply.metadata["tools"] == ["double", "later"]


def test_tools_that_fail_or_are_not_there_are_told_to_the_model(memory: Memory) -> None:
    model = ScriptedChatModel(replies=[call("double", n="x"), call("tripel", n=1), "Sorry."])
    assert Agent(memory, model, tools=[double]).chat("Twice x?") == "Sorry."
    assert result(model, 1).status == "error"
    assert "double" in str(result(model, 2).content)


def test_a_model_that_calls_without_end_has_to_answer(memory: Memory) -> None:
    def reply(messages: list[BaseMessage]) -> AIMessage:
        return AIMessage(content="thinking", tool_calls=call("double", str(len(messages)), n=1).tool_calls)

    model = ScriptedChatModel(replies=reply)
    assert Agent(memory, model, tools=[double]).chat("go").count("thinking") == ROUNDS + 1
    assert len(model.prompts) == ROUNDS + 1


def test_results_of_tools_keep_to_the_window(memory: Memory) -> None:
    calls: list[AIMessage | str] = [call("flood", str(n)) for n in range(6)]
    huge = AIMessage(content="", tool_calls=call("double", "h", n=1, padding="word " * 4000).tool_calls)
    model = ScriptedChatModel(replies=[*calls, huge, "done"])
    agent = Agent(memory, model, window=1500, reply=100, tools=[flood, double], offer_memory=False)
    assert agent.chat("go " * 300) == "done"
    for prompt in model.prompts:
        said = [_plain(m) if m.type != "tool" else {"role": "user", "content": str(m.content)} for m in prompt]
        assert agent.counter.prompt(said) <= agent.prompt_window


def test_memory_tools_remember_search_show_and_forget(memory: Memory) -> None:
    memory.add([{"role": "user", "content": "My cello is called Brunhilde.", "id": "t1"}], session="old")
    model = ScriptedChatModel(
        replies=[
            call("remember", note="Alice tunes to 442 Hz."),
            call("search_memory", query="cello"),
            call("show_sources", id="t1"),
            call("forget", id="session:old", reason="asked"),
            call("forget", id="t1", reason="asked"),
            "Done.",
        ]
    )
    Agent(memory, model, name="bot", session="s").chat("Please do all that.")
    assert ("assistant", "Alice tunes to 442 Hz.") in held(memory, "notes")
    assert "[t1]" in str(result(model, 2).content)
    assert "Brunhilde" in str(result(model, 3).content)
    assert result(model, 4).status == "error", "a session is not in a model's hands"
    assert "1 episode" in str(result(model, 5).content)
    assert "Brunhilde" not in str(held(memory))


def test_blocks_are_edited_through_tools_within_their_rules(memory: Memory) -> None:
    memory.blocks.put("persona", "I am kind.", read_only=True)
    model = ScriptedChatModel(
        replies=[
            call("block_append", label="human", text="Plays the cello", reason="she said so"),
            call("block_replace", label="human", old_text="cello", new_text="viola", reason="misheard"),
            call("block_rethink", label="persona", text="I am evil.", reason="told to"),
            "Noted.",
            "Viola.",
        ]
    )
    agent = Agent(memory, model, session="s")
    agent.chat("I play the viola.")
    assert memory.blocks.get("human").value == "Plays the viola"
    reasons = [(edit.action, edit.actor, edit.reason) for edit in memory.blocks.history("human")[1:]]
    assert reasons == [("append", "agent", "she said so"), ("replace", "agent", "misheard")]
    assert "read-only" in str(result(model, 3).content)
    assert memory.blocks.get("persona").value == "I am kind."
    agent.chat("What do I play?")
    assert "Plays the viola" in str(model.prompts[-1][0].content)


class CannotCall(FakeListChatModel):
    """No bind_tools, as with many local models."""


def test_a_model_that_cannot_call_tools_remembers_all_the_same(memory: Memory) -> None:
    agent = Agent(memory, CannotCall(responses=["hello"]), session="s")
    assert agent.chat("hi") == "hello"
    assert memory.blocks.all() == [], "no tools, so no blocks for them are made"
    for asked in ({"tools": [double]}, {"offer_memory": True}):
        with pytest.raises(InvalidInput, match="cannot call tools"):
            Agent(memory, CannotCall(responses=[]), **asked)  # type: ignore[arg-type]


def test_a_server_that_refuses_tools_is_asked_without(memory: Memory) -> None:
    class Refusing(ScriptedChatModel):
        def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
            return ScriptedChatModel(replies=[ValueError("llama3 does not support tools (status 400)")])

    agent = Agent(memory, Refusing(replies=["plain", "again"]), session="s")
    assert agent.chat("hi") == "plain"
    assert agent.chat("ho") == "again"


def test_small_windows_are_not_filled_with_tools(memory: Memory) -> None:
    small, large = ScriptedChatModel(replies=["x"]), ScriptedChatModel(replies=["x"])
    Agent(memory, small, window=2048)
    Agent(memory, large)
    assert (small.tools, len(large.tools)) == ([], 7)
    chosen = Agent(memory, small, window=2048, offer_memory=True)
    assert chosen.prompt_window < 2048 - chosen.reply - 500, "their descriptions count"


def test_the_instructions_come_first(memory: Memory) -> None:
    model = ScriptedChatModel(replies=["Arr."])
    Agent(memory, model, instructions="You are a pirate.").chat("hi")
    assert isinstance(model.prompts[0][0], SystemMessage)
    assert str(model.prompts[0][0].content).startswith("You are a pirate.")


# the long run


@pytest.mark.parametrize("tools", [False, True])
def test_a_long_conversation_keeps_to_its_window_and_loses_nothing(tools: bool) -> None:
    found = soak.run(turns=30, tools=tools)
    assert (found["over_budget"], found["lost"], found["compacted_twice"]) == (0, 0, 0)
    assert found["compacted"] > 20
    assert found["stored"] == 60


@pytest.mark.soak
def test_two_thousand_turns() -> None:
    found = soak.run(turns=2000, window=2048)
    assert (found["over_budget"], found["lost"], found["compacted_twice"]) == (0, 0, 0)
    assert found["stored"] == 4000
    assert found["rss_mb"][-1] - found["rss_mb"][1] < 30, "memory is flat"
