"""What only the Chroma index promises: it heals, it is shared by processes, it holds no text, it calls nobody."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from memory_agent.protocols import IndexState, SpaceIndex, Vectors
from memory_agent_stores.chroma import ChromaIndex
from memory_agent_stores.exact import Recent


def vectors(count: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def fill(space: SpaceIndex, count: int = 30, prefix: str = "v", position: int = 1) -> None:
    state = IndexState("m", 8, position)
    space.apply("episode", [f"{prefix}{n}" for n in range(count)], vectors(count), [], state=state)
    space.apply("fact", [], vectors(0), [], state=state)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[ChromaIndex]:
    index = ChromaIndex(tmp_path, sync_threshold=10)
    yield index
    index.close()


def test_a_folder_that_vanished_is_an_empty_index(index: ChromaIndex) -> None:
    space = index.space("default/alice")
    fill(space)
    shutil.rmtree(index.folder)
    assert space.state() is None
    assert space.query("episode", vectors(1)[0], 3) == []
    fill(space, count=5)
    assert space.count("episode") == 5


def test_a_damaged_database_is_dropped_and_filled_anew(index: ChromaIndex, caplog: pytest.LogCaptureFixture) -> None:
    fill(index.space("default/alice"))
    index.close()
    end = time.monotonic() + 5
    while (index.folder / "chroma.sqlite3-wal").exists() and time.monotonic() < end:
        time.sleep(0.05)
    for log in index.folder.glob("chroma.sqlite3-*"):  # left where two connections close at once; it holds all pages
        log.unlink()
    (index.folder / "chroma.sqlite3").write_bytes(b"nonsense" * 4000)
    space = index.space("default/alice")
    assert space.state() is None
    assert "filled anew" in caplog.text
    fill(space)
    assert len(space.query("episode", vectors(1)[0], 3)) == 3


@pytest.mark.parametrize("file", ["header.bin", "index_metadata.pickle"])
@pytest.mark.parametrize("first", ["query", "apply"])
def test_a_damaged_graph_file_is_dropped_and_filled_anew(index: ChromaIndex, file: str, first: str) -> None:
    index.exact = 0
    fill(index.space("default/alice"))
    index.close()
    torn = list(index.folder.glob(f"*/{file}"))
    assert torn, "no graph file was written"
    for path in torn:
        path.write_bytes(b"")
    space = index.space("default/alice")
    if first == "query":
        assert space.query("episode", vectors(1)[0], 3) == []
        assert space.state("episode") is None
    fill(space)
    assert len(space.query("episode", vectors(1)[0], 3)) == 3


def test_a_writer_killed_while_graph_files_were_written_costs_that_collection(index: ChromaIndex) -> None:
    alice, bob = index.space("default/alice"), index.space("default/bob")
    fill(bob)
    with index.write(f"{alice._name}-episode"):
        left = (index._mark.read_bytes(), index._mark)
        fill(alice)
    index.close()
    left[1].write_bytes(left[0])
    for path in index.folder.glob("*/header.bin"):
        path.touch()
    assert alice.state("episode") is None
    assert alice.state("fact") is not None
    assert bob.count("episode") == 30
    assert not left[1].exists()


def test_a_writer_killed_before_any_graph_file_costs_nothing(index: ChromaIndex) -> None:
    alice = index.space("default/alice")
    fill(alice)
    index.close()
    index._mark.write_text(f"{alice._name}-episode")
    assert alice.state() == IndexState("m", 8, 1)
    assert alice.count("episode") == 30


def test_two_handles_in_one_process_see_each_others_writes(index: ChromaIndex, tmp_path: Path) -> None:
    other = ChromaIndex(tmp_path, sync_threshold=10)
    for n in range(5):
        fill(index.space("default/alice"), 12, f"a{n}-", 2 * n + 1)
        fill(other.space("default/alice"), 12, f"b{n}-", 2 * n + 2)
        for each in (index, other):
            assert each.space("default/alice").count("episode") == 24 * (n + 1)
    other.close()


def test_what_another_process_wrote_during_a_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    index = ChromaIndex(tmp_path, sync_threshold=10, exact=0)
    space = index.space("default/alice")
    fill(space)
    assert len(space.query("episode", vectors(1)[0], 3)) == 3
    other = ChromaIndex(tmp_path, sync_threshold=10)
    other.space("default/alice").apply("episode", [], vectors(0), ["v0"], state=IndexState("m", 8, 2))
    other.compact()  # the collection is another one now
    other.close()
    now, seen = index._generation, [index._seen]
    monkeypatch.setattr(index, "_generation", lambda: seen.pop() if seen else now())
    assert len(space.query("episode", vectors(1)[0], 30)) == 29
    assert not seen
    assert "filled anew" not in caplog.text
    index.close()


def test_places_without_a_vector_are_clear_after_compacting(tmp_path: Path) -> None:
    index = ChromaIndex(tmp_path, sync_threshold=10)
    space = index.space("default/alice")
    fill(space)
    (graph,) = {path.parent for path in index.folder.glob("*/header.bin")}
    level = graph / "data_level0.bin"
    places, used, size = 100, 30, len(level.read_bytes()) // 100
    assert struct.unpack("<12xQQQ", (graph / "header.bin").read_bytes()[:36]) == (places, used, size)
    level.write_bytes(level.read_bytes()[: used * size] + b"forgotten".ljust((places - used) * size, b"x"))
    other = index.space("default/bob")
    fill(other)
    other.apply("episode", [], vectors(0), ["v0"], state=IndexState("m", 8, 2))
    index.compact()
    assert not any(level.read_bytes()[used * size :])
    for path in index.folder.glob("*/length.bin"):
        held = struct.unpack("<12xQQQ", (path.parent / "header.bin").read_bytes()[:36])[1]
        assert not any(path.read_bytes()[held * 4 :])
    assert space.count("episode") == 30
    assert len(space.query("episode", vectors(1)[0], 3)) == 3
    index.close()


_USED_MEMORY = """
import sys
from pathlib import Path
import numpy as np
from memory_agent.protocols import IndexState
from memory_agent_stores.chroma import ChromaIndex

def use_memory():
    for size in (400, 17_200, 50_000):
        del [bytearray(b"FORGOTTEN" * (size // 9)) for _ in range(60)][:]

folder, vectors = Path(sys.argv[1]), np.eye(8, dtype=np.float32)
def look(what):
    use_memory()
    what()
    assert not [path for path in folder.rglob("*.bin") if b"FORGOTTEN" in path.read_bytes()]

for _ in range(2):
    index = ChromaIndex(folder)
    space = index.space("default/alice")
    look(lambda: space.apply("episode", ["a", "b"], vectors[:2], [], state=IndexState("m", 8, 1)))
    look(lambda: space.query("episode", vectors[0], 1))
    look(lambda: space.apply("episode", ["a"], vectors[:1], ["b"], state=IndexState("m", 8, 2)))
    look(index.compact)
    look(lambda: space.query("episode", vectors[0], 1))
    look(index.close)
assert list(folder.rglob("data_level0.bin"))
"""


def test_used_memory_does_not_reach_the_files(tmp_path: Path) -> None:
    # With one arena Chroma's threads are given what this one has used.
    environ = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    subprocess.run([sys.executable, "-c", _USED_MEMORY, tmp_path], env=environ, check=True, timeout=120)


def near(numbers: Vectors, form: Vectors) -> Vectors:
    """The windows of `numbers`, as long as `form`, that are nearly it."""
    windows = np.lib.stride_tricks.sliding_window_view(numbers, len(form))
    return windows[np.isclose(windows, form, atol=1e-5).all(axis=1)]


@pytest.mark.parametrize("sync_threshold", [10, 1000])
def test_compacting_leaves_no_byte_of_a_deleted_vector(tmp_path: Path, sync_threshold: int) -> None:
    index = ChromaIndex(tmp_path, sync_threshold=sync_threshold)
    space = index.space("default/alice")
    fill(space)

    def held(n: int) -> bool:
        """Whether any file has vector n, as it was given or as cosine graphs keep it."""
        given = vectors(30)[n]
        for path in index.folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            for shift in range(4):
                numbers = np.frombuffer(content[shift : shift + (len(content) - shift) // 4 * 4], dtype=np.float32)
                for form in (given[:4], given[:4] / np.linalg.norm(given)):
                    if len(numbers) > 4 and len(near(numbers, form)):
                        return True
        return False

    assert held(0)
    space.apply("episode", [], vectors(0), ["v0"], state=IndexState("m", 8, 2))
    index.compact()
    assert not held(0)
    assert held(7)
    assert space.count("episode") == 29
    assert space.state("episode") == IndexState("m", 8, 2)
    space.clear()
    index.compact()
    assert not held(7)
    index.close()


def test_compacting_clears_each_graph_once(index: ChromaIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = index.space("default/alice"), index.space("default/bob")
    fill(alice)
    fill(bob)
    alice.apply("episode", [], vectors(0), ["v3"], state=IndexState("m", 8, 2))
    cleared: list[str] = []
    monkeypatch.setattr("memory_agent_stores.chroma.clear_unused", lambda graph: cleared.append(graph.name))
    index.compact()
    graphs = sorted(header.parent.name for header in index.folder.glob("*/header.bin"))
    assert graphs
    assert sorted(cleared) == graphs


def test_telemetry_is_off_and_no_text_is_kept(index: ChromaIndex) -> None:
    fill(index.space("default/alice"))
    assert index._client.get_settings().anonymized_telemetry is False
    [held] = [c for c in index._client.list_collections() if c.name.endswith("-episode")]
    found = held.get(include=["documents", "metadatas"])
    assert set(found["documents"]) == {None}
    assert set(found["metadatas"]) == {None}


def test_opening_touches_nothing_until_it_is_used(tmp_path: Path) -> None:
    index = ChromaIndex(tmp_path)
    assert index.space("default/alice").state() is None
    assert not index.folder.exists()
    index.close()


def test_among_near_equal_texts_the_very_one_is_found_and_stays_found(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1)
    near = (drawn.normal(size=8) + 2e-2 * drawn.normal(size=(6000, 8))).astype(np.float32)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    index = ChromaIndex(tmp_path)
    space = index.space("default/alice")
    state = IndexState("m", 8, 1)

    def put(start: int, stop: int) -> None:
        space.apply("episode", [f"v{n}" for n in range(start, stop)], near[start:stop], [], state=state)

    def exact(numbers: range) -> list[str]:
        return [space.query("episode", near[n], 1)[0][0] for n in numbers]

    put(0, 5000)
    assert exact(range(0, 5000, 500)) == [f"v{n}" for n in range(0, 5000, 500)]
    put(5000, 6000)
    space.apply("episode", [], near[:0], ["v500", "v5999"], state=state)
    assert exact(range(5001, 5999, 200)) == [f"v{n}" for n in range(5001, 5999, 200)]
    assert "v500" not in [id for id, _ in space.query("episode", near[500], 6000)]
    assert len(space.query("episode", near[500], 6000)) == 5998
    other = ChromaIndex(tmp_path)
    other.space("default/alice").apply("episode", ["w"], near[500:501], [], state=state)
    assert space.query("episode", near[500], 1)[0][0] == "w"
    other.close()
    index.close()


def test_what_was_just_written_is_read_from_memory_and_never_after_another_changed_it(
    index: ChromaIndex, tmp_path: Path
) -> None:
    space, other = index.space("default/alice"), ChromaIndex(tmp_path, sync_threshold=10)
    fill(space)
    first = space.vectors("episode", ["v0", "v1"])
    assert np.allclose(first["v0"], vectors(30)[0])
    assert set(space.vectors("episode", ["v0", "none"])) == {"v0"}
    theirs = other.space("default/alice")
    theirs.apply("episode", ["v0"], vectors(1, seed=7), ["v1"], state=IndexState("m", 8, 5))
    other.close()
    assert np.allclose(space.vectors("episode", ["v0"])["v0"], vectors(1, seed=7)[0])
    assert space.vectors("episode", ["v1"]) == {}
    assert (space.state("episode"), space.count("episode")) == (IndexState("m", 8, 5), 29)
    space.apply("episode", [], vectors(0), ["v0"], state=IndexState("m", 8, 6))
    assert (space.vectors("episode", ["v0"]), space.count("episode")) == ({}, 28)
    space.clear()
    assert (space.state(), space.vectors("episode", ["v2"]), space.count("episode")) == (None, {}, 0)


def test_vectors_that_were_just_written_are_kept_up_to_a_number() -> None:
    recent, made = Recent(keep=3), vectors(4)
    recent.put("a", ["1", "2", "3", "4"], made)
    assert recent.get("a", ["1"]) is None
    assert {id: vector.tolist() for id, vector in (recent.get("a", ["2", "4"]) or {}).items()} == {
        "2": made[1].tolist(),
        "4": made[3].tolist(),
    }
    recent.put("b", ["2"], vectors(1, seed=5))
    assert recent.get("a", ["2"]) is None, "the oldest went"
    recent.drop("a")
    assert (recent.get("a", ["4"]), list(recent.get("b", ["2"]) or ())) == (None, ["2"])
