"""A long conversation through an Agent, watched from outside: is a prompt ever too long, is a turn ever lost?

    python -m memory_agent.testing.soak --turns 2000 --window 2048

The model is scripted; what is real is the store on disk, the window, compaction, retrieval and the tokenizer of the
student, with whose chat template every prompt is counted again here. Messages are of every kind that has broken
windows: one word, a page, more than the window holds, code, other scripts, the same words twice, recalled context
that comes back.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from memory_agent.agent import Agent
from memory_agent.config import Settings
from memory_agent.memory import Memory
from memory_agent.models.template import ChatFormat
from memory_agent.models.weights import find_student
from memory_agent.protocols import Query
from memory_agent.records import Episode, Summary
from memory_agent.testing.models import HashEmbedder, ScriptedChatModel

_PEOPLE = ("Maren", "Tobias", "Ines", "Jonas", "Priya", "Olek")
_PLACES = ("Porto", "Bergen", "Lyon", "Graz", "Turku", "Leiden")
_THINGS = ("a lute", "the old bicycle", "a pear tree", "two kittens", "a sourdough starter", "the blue boat")
_ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "user"}


class _Watch:
    """The scripted model's other half: counts every prompt with the template, and compares it with the one before."""

    def __init__(self, seed: int, calls_tools: bool) -> None:
        import transformers

        self.chat = ChatFormat(transformers.AutoTokenizer.from_pretrained(find_student(Settings()).folder))
        self.limit = 0
        self.tokens: list[int] = []
        self.over = 0
        self.kept_prefix: list[float] = []
        self._before: list[int] = []
        self._random = random.Random(seed)
        self._calls_tools = calls_tools
        self._called = 0

    def reply(self, messages: list[BaseMessage]) -> AIMessage:
        """What the model says; now and then a call of a tool."""
        text = [{"role": _ROLES[message.type], "content": _told(message)} for message in messages]
        ids = self.chat.prompt_ids(text)
        self.tokens.append(len(ids))
        self.over += len(ids) > self.limit
        same = next((n for n, (a, b) in enumerate(zip(self._before, ids, strict=False)) if a != b), len(self._before))
        if self._before:
            self.kept_prefix.append(same / len(self._before))
        self._before = ids
        if self._calls_tools and not isinstance(messages[-1], ToolMessage) and self._random.random() < 0.2:
            self._called += 1
            call = {"name": "search_memory", "args": {"query": self._random.choice(_PEOPLE)}, "id": f"c{self._called}"}
            return AIMessage(content="", tool_calls=[{**call, "type": "tool_call"}])
        words = self._random.choice((4, 12, 12, 40, 120))
        return AIMessage(content=f"Reply {len(self.tokens)}. " + "That sounds good to me. " * (words // 4))


def _told(message: BaseMessage) -> str:
    calls = json.dumps(message.tool_calls) if isinstance(message, AIMessage) and message.tool_calls else ""
    return f"{message.text}{calls}"


def messages(turns: int, seed: int) -> list[str]:
    """What the user says, in order; the same for the same seed."""
    chance = random.Random(seed)
    said = []
    for n in range(turns):
        who, where, what = chance.choice(_PEOPLE), chance.choice(_PLACES), chance.choice(_THINGS)
        said.append(
            chance.choices(
                (
                    f"{who} moved to {where} on day {n} and took {what} along. It was raining, and I helped.",
                    f"Where does {who} live now, and what became of {what}?",
                    "ok",
                    f"Note {n}: " + f"{who} said that {what} would go to {where} before the winter. " * 12,
                    f"{who}は{where}に引っ越しました。{n} 🎻🚲 " * 6,
                    f"```python\ndef f{n}(x):\n    return {{'{who}': x ** {n}}}\n```\nWhy does this fail?",
                    f'<memory-context id="x">\n- {who} lives in {where}.\n</memory-context>\nIs that right, {n}?',
                    f"Minutes {n}. " + f"{who} asked about {what}; {where} was decided. " * 400,
                ),
                (40, 25, 8, 10, 5, 6, 5, 1),
            )[0]
        )
    return said


def run(*, turns: int = 2000, window: int = 2048, seed: int = 7, tools: bool = False) -> dict[str, Any]:
    """Chat for that many turns of the user; the figures of the conversation.

    `over_budget` counts prompts of more tokens than the window leaves beside the reply; `lost` turns that are not in
    the ledger word for word; `rss_mb` is the process's size after each tenth; `prefix_kept` the share of a prompt
    that the next one begins with.
    """
    said = messages(turns, seed)
    milliseconds: list[float] = []
    rss: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "store", user="alice", embedder=HashEmbedder(64)) as memory,
    ):
        memory.blocks.put("persona", "I am terse and kind.", read_only=True)
        memory.blocks.put("human", "Alice has many friends.", shared=True)
        watch = _Watch(seed, tools)
        model = ScriptedChatModel(replies=watch.reply)
        agent = Agent(memory, model, session="soak", window=window, offer_memory=tools, summarise="extract")
        watch.limit = agent.prompt_window
        expected: list[str] = []
        for n, text in enumerate(said):
            began = time.perf_counter()
            reply = agent.chat(text)
            milliseconds.append((time.perf_counter() - began) * 1000)
            expected += [text, reply.strip()]
            model.prompts.clear()
            if (n + 1) % max(turns // 10, 1) == 0:
                rss.append(round(_resident_mb(), 1))
        found = _kept(memory, expected)
    typical = statistics.quantiles(milliseconds, n=20)
    return {
        "turns": turns,
        "window": window,
        "prompt_window": watch.limit,
        "prompts": len(watch.tokens),
        "longest_prompt": max(watch.tokens),
        "over_budget": watch.over,
        **found,
        "prefix_kept": round(statistics.mean(watch.kept_prefix), 3),
        "p50_ms": round(typical[9], 1),
        "p95_ms": round(typical[18], 1),
        "rss_mb": rss,
    }


def _kept(memory: Memory, expected: list[str]) -> dict[str, Any]:
    """What the ledger holds of what was said, and what stands for it in the window."""
    from memory_agent.fence import strip_fenced

    ledger = memory.space.ledger
    turns = ledger.select(Episode, Query(where={"session": "soak"}))
    held = [turn.content for turn in sorted(turns, key=lambda turn: turn.at)]
    wanted = [strip_fenced(text)[0] for text in expected]
    summaries = ledger.select(Summary)
    covered = [id for summary in summaries for id in summary.of if not id.startswith("summary:")]
    return {
        "lost": sum(a != b for a, b in zip(held, wanted, strict=False)) + abs(len(held) - len(wanted)),
        "stored": len(held),
        "compacted": len(covered),
        "compacted_twice": len(covered) - len(set(covered)),
        "summaries": len(summaries),
    }


def _resident_mb() -> float:
    """Memory of this process now, in MB; where the system does not tell, the most it ever was."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A long conversation through an Agent.")
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tools", action="store_true", help="Offer the memory's tools, and have the model call them.")
    print(json.dumps(run(**vars(parser.parse_args())), indent=2))  # noqa: T201
