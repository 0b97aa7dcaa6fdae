"""Records to fill a store with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from memory_agent.records import (
    Adapter,
    Block,
    BlockVersion,
    Claim,
    Entity,
    Episode,
    Fact,
    Item,
    PartialDate,
    Rejection,
    Run,
    Source,
    Stored,
    Summary,
    Tombstone,
)

DAWN = datetime(2024, 3, 14, 6, 0, tzinfo=UTC)


def an_episode(id: str = "e1", content: str = "I moved to Porto", **fields: Any) -> Episode:
    """An episode of Alice's, at dawn, unless told otherwise."""
    told = {"session": "s1", "role": "user", "speaker": "Alice", "at": DAWN, "recorded_at": DAWN, "digest": id}
    return Episode(id=id, content=content, **{**told, **fields})


def a_fact(id: str = "f1", text: str = "Alice lives in Porto.", **fields: Any) -> Fact:
    """A current fact about Alice, unless told otherwise."""
    told = {"subject": "Alice", "subject_id": "alice", "predicate": "lives_in", "object": "Porto", "recorded_at": DAWN}
    return Fact(id=id, text=text, **{**told, **fields})


def one_of_each() -> list[Stored]:
    """A record of every kind, with its optional fields filled."""
    source = Source(episode_id="e1", start=2, end=5, quote="mov", speaker="Alice", at=DAWN)
    return [
        an_episode(flags=("secret:pin",), metadata={"n": [1, {"ü": None}]}, zone="-03:30", run="r1"),
        Claim(
            id="c1", episode_id="e1", start=0, end=1, quote="I", speaker="Alice", said_at=DAWN,
            subject="Alice", subject_id="alice", predicate="lives_in", object="Porto",
            valid_from=PartialDate("2024-03"), extractor="x/1",
        ),
        Rejection(id="j1", episode_id="e1", reason="ungrounded", proposed="Alice flies"),
        Entity(id="alice", name="Alice", type="person", aliases=("Al",)),
        a_fact(valid_from=PartialDate("2024-W11"), sources=(source,), polarity="-", modality="planned", confidence=0.5),
        Block(id="b1", label="human", value="Likes tea", updated_at=DAWN),
        BlockVersion(
            id="b1@1", block_id="b1", version=1, value="Likes tea", action="put", actor="owner", reason="told", at=DAWN
        ),
        Item(
            id="i1", collection="langgraph", namespace=("docs", "1.2"), key="k", value={"a": [1, None]},
            created_at=DAWN, updated_at=DAWN, ttl=1.5, expires_at=DAWN, texts={"$": "a"}, vectors={"$": "AACAPw=="},
            embedder="x",
        ),
        Summary(id="m1", about="s1", text="A move.", of=("e1",), at=DAWN),
        Run(id="r1", job="consolidate", state="done", started_at=DAWN, report={"claims": 1}),
        Adapter(id="a1", shard="alice", state="off", base="b", facts=("f1@1",), sha256="0", created_at=DAWN),
        Tombstone(id="t1", of_kind="episode", of_id="e0", at=DAWN, reason="asked"),
    ]  # fmt: skip
