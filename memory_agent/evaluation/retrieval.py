"""How well search finds the turns that hold an answer: through the public face, on a real store in a temporary folder.

Figures are over evidence turns (see `ranking`); latencies are of `Memory.search` in this process, one
question at a time, with the question's embedding and without.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.datasets import Conversation, load
from memory_agent.evaluation.peers import PEERS, texts
from memory_agent.evaluation.ranking import DEPTHS, SHOWN, Ranked, summary
from memory_agent.evaluation.report import Plot, Report, Table, stamped
from memory_agent.memory import Memory
from memory_agent.models.embedders import Embedder
from memory_agent.records import Record
from memory_agent.retrieval.fusion import shipped


class Scorecard(Record):
    """What an evaluation of retrieval measured. Shares lie between 0 and 1."""

    dataset: str
    conversations: tuple[str, ...]
    turns: int
    scores: Mapping[str, Any]
    """Means over the headline questions, and `by_category`."""
    turns_per_second: float
    """Taken in durably and indexed, embedding included."""
    search_ms: Mapping[str, float]
    """p50 and p95 of a search, with the embedding of the question and without."""
    fitted_on: tuple[str, ...] = ()
    """Those of the conversations that the shipped weights were fitted on: `scores` flatters them."""
    peers: Mapping[str, Any] = Field(default_factory=dict)
    """What others find in the same turns, each with `scores` and `search_ms` as above (see `peers`)."""
    leave_one_conversation_out: Mapping[str, Any] = Field(default_factory=dict)
    """For those: the figures with each conversation ranked by weights fitted on the others."""


def run(
    dataset: str, conversations: list[str] | None = None, store: str | None = None, peers: Sequence[str] = ()
) -> dict[str, Any]:
    """`evaluate` as plain data, for the command line."""
    return evaluate(dataset, conversations, store, peers).model_dump(mode="json")


def evaluate(
    dataset: str, conversations: list[str] | None = None, store: str | None = None, peers: Sequence[str] = ()
) -> Scorecard:
    """Take each conversation in as a user of its own, ask its questions, and score what was found.

    `dataset` is `locomo:PATH` or `beam:DIR`; `store` an empty one, by default a folder that goes again; `peers`
    names what else is asked. Raises InvalidInput when the data set cannot be read or a peer is unknown, ModelNotFound
    without an embedder.
    """
    if unknown := [name for name in peers if name not in PEERS]:
        raise InvalidInput(f"unknown peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    chosen = load(dataset, conversations)
    rows: list[Ranked] = []
    with_embedder: list[float] = []
    without: list[float] = []
    turns, seconds = 0, 0.0
    others: dict[str, tuple[list[Ranked], list[float]]] = {name: ([], []) for name in peers}
    # A store of its own settings: what the environment says of stores and users is not measured here.
    environment = Settings.load()
    settings = Settings(embedder=environment.embedder, threads=environment.threads)
    with tempfile.TemporaryDirectory() as folder:
        for conversation in chosen:
            with Memory.open(store or folder, user=conversation.id, settings=settings) as memory:
                memory.space.embedder.embed(["warm"])
                took = _take_in(memory, conversation)
                turns, seconds = turns + took[0], seconds + took[1]
                asked, each, bare = _ask(memory, conversation)
                for name, (found, took_ms) in others.items():
                    theirs = _ask_peer(name, conversation, memory.space.embedder)
                    found += theirs[0]
                    took_ms += theirs[1]
            rows += asked
            with_embedder += each
            without += bare
    known = [name for name in shipped().fitted_on if name in {conversation.id for conversation in chosen}]
    return Scorecard(
        dataset=dataset,
        conversations=tuple(conversation.id for conversation in chosen),
        turns=turns,
        scores=summary(rows),
        turns_per_second=round(turns / seconds, 1) if seconds else 0.0,
        search_ms={**_percentiles("", with_embedder), **_percentiles("_without_embedder", without)},
        peers={
            name: {"scores": summary(found), "search_ms": _percentiles("", took)}
            for name, (found, took) in others.items()
        },
        fitted_on=tuple(known),
        leave_one_conversation_out=shipped().left_out if known else {},
    )


def _take_in(memory: Memory, conversation: Conversation) -> tuple[int, float]:
    """Add every session; the number of turns and the seconds it took."""
    began, count = time.perf_counter(), 0
    for name, turns in conversation.sessions.items():
        count += len(memory.add(list(turns), session=name).added)
    return count, time.perf_counter() - began


def _ask(memory: Memory, conversation: Conversation) -> tuple[list[Ranked], list[float], list[float]]:
    """Each question's ranking, and the milliseconds it took with and without its embedding."""
    session_of = {str(turn.id): name for name, turns in conversation.sessions.items() for turn in turns}
    rows, every, bare = [], [], []
    memory.search("warm", kinds=("episode",))
    for question in conversation.questions:
        began = time.perf_counter()
        found = memory.search(question.text, limit=max(DEPTHS), kinds=("episode",))
        took = (time.perf_counter() - began) * 1000
        every.append(took)
        bare.append(took - found.trace.milliseconds.get("embed", 0.0))
        rows.append(Ranked(question, [hit.record.id for hit in found.hits], session_of))
    return rows, every, bare


def _ask_peer(name: str, conversation: Conversation, embedder: Embedder) -> tuple[list[Ranked], list[float]]:
    """A peer's ranking for each question, and the milliseconds it took, the question's embedding apart."""
    session_of = {str(turn.id): where for where, turns in conversation.sessions.items() for turn in turns}
    peer = PEERS[name](texts([turn for turns in conversation.sessions.values() for turn in turns]), embedder)
    peer.ask("warm", max(DEPTHS))
    rows, took = [], []
    for question in conversation.questions:
        embedder.embed_query(question.text)
        began = time.perf_counter()
        ids = peer.ask(question.text, max(DEPTHS))
        took.append((time.perf_counter() - began) * 1000)
        rows.append(Ranked(question, ids, session_of))
    return rows, took


def report(found: Mapping[str, Any]) -> Report:
    """What `run` found, as a page shows it: ours beside the peers, and ours as each conversation was left out."""
    asked = {"memory-agent": {"scores": found["scores"], "search_ms": found["search_ms"]}, **found["peers"]}
    rows = [(name, *(one["scores"].get(f) for f in SHOWN), one["search_ms"].get("p50")) for name, one in asked.items()]
    if left_out := found["leave_one_conversation_out"]:
        rows.insert(1, ("memory-agent, fitted on the other conversations", *map(left_out.get, SHOWN), None))
    form = found["dataset"].partition(":")[0]
    counts = f"{len(found['conversations'])} conversations, {found['turns']} turns"
    table = Table(
        title=f"{form}, {counts}, {found['scores']['questions']} questions",
        columns=("", *SHOWN, "p50 ms"),
        rows=tuple(rows),
    )
    drawn = Plot(
        name="peers",
        title="Evidence turns among the first that are found",
        form="bars",
        groups=SHOWN[: len(DEPTHS)],
        series={str(row[0]): tuple(row[1 : 1 + len(DEPTHS)]) for row in rows},
        y="share",
    )
    return stamped(f"retrieval-{form}", f"Retrieval, {form}", tables=[table], plots=[drawn])


def _percentiles(name: str, values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {f"p{p}{name}": round(float(np.percentile(values, p)), 2) for p in (50, 95)}
