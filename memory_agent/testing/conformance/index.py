"""What every vector index has to do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from memory_agent.errors import EmbedderChanged
from memory_agent.protocols import IndexState, SpaceIndex, VectorIndex, Vectors


def _unit(*numbers: float) -> Vectors:
    vector = np.asarray(numbers, dtype=np.float32)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class IndexConformance:
    """What every vector index has to do."""

    def opened(self, folder: Path) -> AbstractContextManager[VectorIndex]:
        """The index in `folder`, open until the block ends; opening again gives the same one."""
        raise NotImplementedError

    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[VectorIndex]:
        with self.opened(tmp_path / "store") as index:
            yield index

    @pytest.fixture
    def space(self, index: VectorIndex) -> SpaceIndex:
        return index.space("default/alice")

    def fill(self, space: SpaceIndex, position: int = 1) -> None:
        """Three episodes along the axes and one fact, true to `position`."""
        state = IndexState("m", 3, position)
        space.apply("episode", ["x", "y", "z"], np.eye(3, dtype=np.float32), [], state=state)
        space.apply("fact", ["f"], _unit(1, 1, 0)[None], [], state=state)

    def nearest_is(self, space: SpaceIndex, id: str, vector: Vectors) -> None:
        """The episode `id` has this very vector, and nothing is nearer."""
        [(nearest, similarity)] = space.query("episode", vector, 1)
        assert nearest == id
        assert similarity == pytest.approx(1, abs=1e-4)

    def test_an_index_nobody_filled_is_empty(self, space: SpaceIndex) -> None:
        assert (space.state(), space.ids("episode"), space.count("fact")) == (None, set(), 0)
        assert space.query("episode", _unit(1, 0, 0), 5) == []
        assert space.vectors("episode", ["x"]) == {}
        space.clear()

    def test_the_nearest_come_first_with_their_cosine(self, space: SpaceIndex) -> None:
        self.fill(space)
        found = space.query("episode", _unit(3, 2, 1), 2)
        assert [id for id, _ in found] == ["x", "y"]
        assert [score for _, score in found] == pytest.approx([3 / 14**0.5, 2 / 14**0.5], abs=1e-4)
        assert len(space.query("episode", _unit(1, 0, 0), 50)) == 3
        assert [id for id, _ in space.query("fact", _unit(1, 0, 0), 5)] == ["f"]
        assert space.query("episode", _unit(1, 0, 0), 0) == []

    def test_upserting_replaces_and_deleting_removes(self, space: SpaceIndex) -> None:
        self.fill(space)
        state = IndexState("m", 3, 2)
        space.apply("episode", ["x", "new"], np.stack([_unit(0, 0, 1), _unit(1, 1, 1)]), ["y", "unknown"], state=state)
        assert space.ids("episode") == {"x", "z", "new"}
        assert space.count("episode") == 3
        assert {id for id, _ in space.query("episode", _unit(0, 0, 1), 2)} == {"x", "z"}
        held = space.vectors("episode", ["x", "y", "new"])
        assert set(held) == {"x", "new"}
        assert held["new"] == pytest.approx(_unit(1, 1, 1), abs=1e-5)
        assert space.ids("fact") == {"f"}

    def test_the_state_is_what_was_last_applied(self, space: SpaceIndex) -> None:
        self.fill(space, position=7)
        assert space.state() == IndexState("m", 3, 7)
        nothing = np.zeros((0, 3), dtype=np.float32)
        space.apply("episode", [], nothing, [], state=IndexState("m", 3, 9))
        assert (space.state("episode"), space.state("fact")) == (IndexState("m", 3, 9), IndexState("m", 3, 7))
        assert space.state() == IndexState("m", 3, 7), "both kinds are only true to the lower position"

    def test_vectors_of_two_embedders_are_never_mixed(self, space: SpaceIndex) -> None:
        self.fill(space)
        for state, vector in ((IndexState("other", 3, 2), _unit(1, 0, 0)), (IndexState("m", 2, 2), _unit(1, 0))):
            with pytest.raises(EmbedderChanged, match="memory-agent rebuild"):
                space.apply("episode", ["w"], vector[None], ["x"], state=state)
        assert (space.ids("episode"), space.state()) == ({"x", "y", "z"}, IndexState("m", 3, 1))

    def test_clearing_drops_everything_and_another_embedder_may_follow(self, space: SpaceIndex) -> None:
        self.fill(space)
        space.clear()
        assert (space.state(), space.ids("episode"), space.ids("fact")) == (None, set(), set())
        space.apply("episode", ["x"], _unit(1, 0)[None], [], state=IndexState("other", 2, 1))
        assert [id for id, _ in space.query("episode", _unit(1, 0), 3)] == ["x"]

    def test_spaces_never_see_each_other(self, index: VectorIndex, space: SpaceIndex) -> None:
        other = index.space("default/bob")
        self.fill(space)
        assert (other.state(), other.query("episode", _unit(1, 0, 0), 5)) == (None, [])
        other.apply("episode", ["x"], _unit(0, 0, 1)[None], ["y"], state=IndexState("m", 3, 1))
        assert space.ids("episode") == {"x", "y", "z"}
        self.nearest_is(space, "x", _unit(1, 0, 0))
        other.clear()
        assert space.count("episode") == 3

    def test_many_vectors_are_found_exactly_enough(self, space: SpaceIndex) -> None:
        vectors = np.random.default_rng(7).normal(size=(600, 16)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = [f"v{n}" for n in range(600)]
        space.apply("episode", ids, vectors, [], state=IndexState("m", 16, 1))
        space.apply("fact", [], vectors[:0], [], state=IndexState("m", 16, 1))
        hits = 0
        for n in range(0, 600, 40):
            found = [id for id, _ in space.query("episode", vectors[n], 10)]
            hits += len(set(found) & {ids[k] for k in np.argsort(-(vectors @ vectors[n]))[:10]})
            assert found[0] == ids[n]
        assert hits >= 0.95 * 150

    def test_threads_may_read_while_one_writes(self, space: SpaceIndex) -> None:
        self.fill(space)

        def look(_: int) -> bool:
            return "x" in [id for id, _ in space.query("episode", _unit(1, 0, 0), 3)]

        with ThreadPoolExecutor(4) as pool:
            seen = pool.map(look, range(40))
            for n in range(10):
                space.apply("episode", [f"w{n}"], _unit(0, 1, n)[None], [], state=IndexState("m", 3, n + 2))
            assert all(seen)
        assert space.count("episode") == 13

    def test_compacting_changes_nothing_that_stands(self, index: VectorIndex, space: SpaceIndex) -> None:
        self.fill(space)
        nothing = np.zeros((0, 3), dtype=np.float32)
        space.apply("episode", [], nothing, ["y"], state=IndexState("m", 3, 2))
        index.compact()
        assert (space.ids("episode"), space.ids("fact")) == ({"x", "z"}, {"f"})
        assert (space.state("episode"), space.state("fact")) == (IndexState("m", 3, 2), IndexState("m", 3, 1))
        self.nearest_is(space, "x", _unit(1, 0, 0))


class DurableIndexConformance(IndexConformance):
    """What a vector index has to do that outlives `close`."""

    def test_everything_is_there_after_reopening(self, tmp_path: Path) -> None:
        with self.opened(tmp_path / "store") as index:
            self.fill(index.space("default/alice"), position=4)
        with self.opened(tmp_path / "store") as index:
            space = index.space("default/alice")
            assert (space.state(), space.ids("episode")) == (IndexState("m", 3, 4), {"x", "y", "z"})
            self.nearest_is(space, "y", _unit(0, 1, 0))
