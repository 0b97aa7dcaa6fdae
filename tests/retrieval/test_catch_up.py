"""The vector index is brought level with the ledger, whatever happened in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_agent import episodic
from memory_agent.config import Settings
from memory_agent.errors import EmbedderChanged
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import IndexState
from memory_agent.records import Episode, Fact, Tombstone
from memory_agent.retrieval import index
from memory_agent.space import Space, open_backend, space_key
from memory_agent.testing import HashEmbedder
from memory_agent.testing.conformance import a_fact

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def a_space(url: str) -> Space:
    backend, key = open_backend(url), space_key("default", "alice")
    return Space(
        key, "default", "alice", None, backend.ledger.space(key), backend.index.space(key),
        Embedder(HashEmbedder(), "hash"), backend.folder, Settings(),
    )  # fmt: skip


@pytest.fixture(params=["sqlite", "memory"])
def space(request: pytest.FixtureRequest, tmp_path: Path) -> Space:
    backend_url = "memory://" if request.param == "memory" else str(tmp_path / "store")
    return a_space(backend_url)


def add(space: Space, *texts: str) -> None:
    episodic.take_in(space, [{"role": "user", "content": text, "id": text.split()[0]} for text in texts])


def nearest(space: Space, text: str, kind: str = "episode") -> str:
    return space.index.query(kind, space.embedder.embed([text])[0], 1)[0][0]


def embedded(space: Space) -> int:
    assert isinstance(space.embedder.embeddings, HashEmbedder)
    return space.embedder.embeddings.texts_embedded


def test_an_empty_space_needs_nothing(space: Space) -> None:
    assert index.catch_up(space) == 0
    assert (space.index.state(), embedded(space)) == (None, 0)


def test_what_is_new_is_embedded_once(space: Space) -> None:
    add(space, "porto where I live", "lisbon where I was born")
    assert index.catch_up(space) == 2
    assert nearest(space, "alice: porto where I live") == "porto"
    before = embedded(space)
    assert index.catch_up(space) == 0
    add(space, "porto where I live")
    assert index.catch_up(space) == 0
    assert embedded(space) == before
    add(space, "faro where I swim")
    assert index.catch_up(space) == 1
    state = space.index.state()
    assert state == IndexState("hash", 256, space.ledger.position())


def test_a_row_written_again_with_the_same_text_is_not_embedded_again(space: Space) -> None:
    add(space, "a b c", "d e f")
    index.catch_up(space)
    with space.ledger.transaction() as transaction:
        transaction.put(*(episode.model_copy(update={"run": "r1"}) for episode in transaction.select(Episode)))
    assert index.catch_up(space) == 0
    with space.ledger.transaction() as transaction:
        [first] = [episode for episode in transaction.select(Episode) if episode.id == "a"]
        transaction.put(first.model_copy(update={"content": "[forgotten] c"}))
    assert index.catch_up(space) == 1
    assert nearest(space, "alice: [forgotten] c") == "a"


def test_facts_follow_their_current_version(space: Space) -> None:
    with space.ledger.transaction() as transaction:
        transaction.put(a_fact("f", "Alice lives in Porto."), a_fact("g", "Alice has a dog."))
    assert index.catch_up(space) == 2
    with space.ledger.transaction() as transaction:
        transaction.put(
            a_fact("f", "Alice lives in Porto.", retired_at=NOW), a_fact("f", "Alice lives in Faro.", version=2)
        )
        transaction.put(a_fact("g", "Alice has a dog.", retired_at=NOW))
    assert index.catch_up(space) == 1
    assert space.index.ids("fact") == {"f"}
    assert nearest(space, "Alice lives in Faro.", "fact") == "f"
    with space.ledger.transaction() as transaction:
        transaction.delete(Fact, ["f"])
    index.catch_up(space)
    assert space.index.ids("fact") == set()


def test_the_forgotten_leave_the_index(space: Space) -> None:
    add(space, "a b c", "d e f", "g h i")
    index.catch_up(space)
    with space.ledger.transaction() as transaction:
        transaction.delete(Episode, ["a", "d"])
        transaction.put(*(Tombstone(id=f"t{id}", of_kind="episode", of_id=id, at=NOW) for id in "ad"))
    add(space, "d comes back")
    index.catch_up(space)
    assert space.index.ids("episode") == {"d", "g"}
    assert nearest(space, "alice: d comes back") == "d"


def test_another_embedder_is_refused_until_everything_is_embedded_again(space: Space) -> None:
    add(space, "a b c")
    index.catch_up(space)
    other = replace(space, embedder=Embedder(HashEmbedder(64), "other"))
    with pytest.raises(EmbedderChanged, match=r"built with hash, not with other.*memory-agent rebuild"):
        index.catch_up(other)
    assert index.rebuild(other) == 1
    assert space.index.state() == IndexState("other", 64, space.ledger.position())
    assert nearest(other, "alice: a b c") == "a"


@pytest.mark.parametrize("kind", ["episode", "fact"])
def test_an_index_that_lost_or_kept_too_much_is_healed(space: Space, kind: str) -> None:
    add(space, "a b c", "d e f", "g h i")
    with space.ledger.transaction() as transaction:
        transaction.put(a_fact("f", "one"), a_fact("g", "two"))
    index.catch_up(space)
    whole = space.index.ids(kind)
    state = space.index.state()
    assert state is not None
    lost = sorted(whole)[0]
    stray = space.embedder.embed(["stray", "another"])
    space.index.apply(kind, ["stray", "another"], stray, [lost], state=state)
    assert index.catch_up(space) == 1
    assert space.index.ids(kind) == whole


def test_an_index_ahead_of_a_ledger_put_back_is_built_anew(space: Space) -> None:
    add(space, "a b c")
    index.catch_up(space)
    ahead = IndexState("hash", 256, 99)
    space.index.apply("episode", ["x"], space.embedder.embed(["x"]), [], state=ahead)
    assert index.catch_up(space) == 1
    assert space.index.ids("episode") == {"a"}


def test_a_long_way_is_gone_in_steps_that_are_kept(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "WINDOW", 10)
    monkeypatch.setattr(index, "BATCH", 4)
    for n in range(12):
        add(space, *(f"n{n}-{k} words of turn {n}" for k in range(3)))
    shares: list[float] = []

    def stop_half_way(share: float, _: str) -> None:
        shares.append(share)
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.catch_up(space, stop_half_way)
    half = space.index.state("episode")
    assert half is not None
    assert 0 < half.position < space.ledger.position()
    before = embedded(space)
    index.catch_up(space)
    assert embedded(space) - before < 36
    assert space.index.count("episode") == 36
    assert shares == sorted(shares)
