"""A store moved between SQLite and PostgreSQL is the same store."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from memory_agent.cli.main import app
from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.memory import Memory
from memory_agent.moving import move
from memory_agent.protocols import Backend, IndexState, Portable
from memory_agent.records import STORED, Episode, Fact, Stored
from memory_agent.space import open_backend
from memory_agent.testing import HashEmbedder
from memory_agent.testing.conformance import a_fact, an_episode, one_of_each
from memory_agent.testing.conformance.samples import DAWN

KEYS = ["acme/ann", "default/al%2Fice"]


def fill(url: str) -> None:
    """Two users with every kind of record, a past, vectors, and a file."""
    backend = open_backend(url)
    for key in KEYS:
        space = backend.ledger.space(key)
        with space.transaction() as transaction:
            transaction.put(*one_of_each(), *(an_episode(f"x{n}", f"said {n} ü\u2028") for n in range(30)))
            transaction.audit("add", ["e1"], detail="ü")
        with space.transaction() as transaction:
            transaction.put(an_episode("x1", run="r1"), a_fact("f1", "Alice lived.", version=2), a_fact("f2"))
            transaction.delete(Episode, ["x2"])
            transaction.audit("consolidate", ["f1", "f2"])
        vectors = np.random.default_rng(1).normal(size=(31, 8)).astype(np.float32)
        backend.index.space(key).apply(
            "episode", [e.id for e in space.select(Episode)][:31], vectors[:30], [], state=IndexState("m", 8, 2)
        )
        home = backend.folder / "spaces" / key.replace("/", "@") / "adapters" / "a1"
        home.mkdir(parents=True)
        (home / "adapter_model.safetensors").write_bytes(bytes(range(256)))
    close(backend)


def close(backend: Backend) -> None:
    backend.index.close()
    backend.ledger.close()


def everything(url: str) -> dict[str, Any]:
    """All that a store holds, row for row and byte for byte."""
    backend = open_backend(url)
    held: dict[str, Any] = {}
    for key in backend.ledger.spaces():
        space, index = backend.ledger.space(key), backend.index.space(key)
        assert isinstance(space, Portable)
        held[key] = {
            "rows": [space.rows(kind) for kind in STORED],
            "records": [space.select(kind) for kind in STORED],
            "audit": (space.audit_chain(), space.position()),
            "states": [index.state(kind) for kind in ("episode", "fact")],
            "vectors": {id: v.tobytes() for id, v in index.vectors("episode", sorted(index.ids("episode"))).items()},
            "found": {id: round(score, 9) for id, score in space.match(["said", "lived", "porto"], limit=50)},
        }
    held["files"] = {
        str(path.relative_to(backend.folder)): path.read_bytes()
        for path in (backend.folder / "spaces").rglob("*")
        if path.is_file()
    }
    assert backend.ledger.check() == []
    close(backend)
    return held


def test_there_and_back_again_is_byte_for_byte_the_same(tmp_path: Path, postgres_url: str) -> None:
    first, last = str(tmp_path / "first"), str(tmp_path / "last")
    fill(first)
    before = everything(first)
    report = move(first, postgres_url)
    assert report.spaces == tuple(KEYS)
    assert report.rows["episode"] == 2 * 30
    assert report.vectors == 2 * 30
    assert everything(postgres_url) == before
    move(postgres_url, last)
    after = everything(last)
    for key in KEYS:
        old, new = before[key].pop("vectors"), after[key].pop("vectors")
        assert set(old) == set(new)
        for id in old:  # Chroma scales vectors to length 1 once more, which may turn their last bit
            assert np.allclose(np.frombuffer(old[id], np.float32), np.frombuffer(new[id], np.float32), atol=1e-6)
    assert after == before
    again = everything(first)
    assert [again[key].pop("vectors") is not None and again[key] for key in KEYS] == [before[key] for key in KEYS]


WORDS = st.text(st.characters(codec="utf-8"), max_size=30)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=8)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[Stored], list[str]]]:
    """What a user's transactions wrote and deleted: (records, ids of episodes) each."""
    said = st.builds(
        an_episode, NAMES, WORDS, speaker=NAMES, run=st.none() | NAMES, metadata=st.dictionaries(WORDS, WORDS)
    )
    held = st.builds(a_fact, NAMES, WORDS, version=st.integers(1, 3), retired_at=st.none() | st.just(DAWN))
    other = st.sampled_from(one_of_each()[5:])
    written = st.lists(said | held | other, min_size=1, max_size=8)
    return draw(st.lists(st.tuples(written, st.lists(NAMES, max_size=2)), min_size=1, max_size=4))


def test_whatever_a_user_holds_comes_back_row_for_row(tmp_path: Path, postgres_url: str) -> None:
    """SQLite to PostgreSQL and back, for histories of any records with any characters in them."""
    numbers = itertools.count()
    first, last = str(tmp_path / "first"), str(tmp_path / "last")

    def rows(url: str, key: str) -> tuple[object, ...]:
        backend = open_backend(url)
        space = backend.ledger.space(key)
        assert isinstance(space, Portable)
        found = ([space.rows(kind) for kind in STORED], space.audit_chain(), space.position(), backend.ledger.check())
        close(backend)
        return found

    @given(histories())
    @settings(max_examples=5)
    def there_and_back(history: list[tuple[list[Stored], list[str]]]) -> None:
        key = f"acme/user{next(numbers)}"
        backend = open_backend(first)
        for records, gone in history:
            with backend.ledger.space(key).transaction() as transaction:
                transaction.put(*records)
                transaction.delete(Episode, gone)
                transaction.audit("add", [record.id for record in records])
        close(backend)
        before = rows(first, key)
        move(first, postgres_url, space=key)
        move(postgres_url, last, space=key)
        assert (rows(postgres_url, key), rows(last, key)) == (before, before)

    there_and_back()


def test_a_moved_store_goes_on_where_it_was(tmp_path: Path, postgres_url: str) -> None:
    first = str(tmp_path / "first")
    fill(first)
    move(first, postgres_url)
    backend = open_backend(postgres_url)
    space = backend.ledger.space(KEYS[0])
    before = space.position()
    with space.transaction() as transaction:
        assert transaction.position > before
        transaction.put(an_episode("next", "and so on"))
        transaction.audit("add", ["next"])
    assert [e.id for e in space.select(Episode)][-1] == "next"
    assert backend.ledger.check() == []
    close(backend)


def test_repeating_a_move_writes_nothing_and_a_foreign_target_is_refused(tmp_path: Path, postgres_url: str) -> None:
    first = str(tmp_path / "first")
    fill(first)
    move(first, postgres_url, space=KEYS[0])
    again = move(first, postgres_url)
    assert (again.already_there, again.spaces) == ((KEYS[0],), (KEYS[1],))
    backend = open_backend(postgres_url)
    with backend.ledger.space(KEYS[1]).transaction() as transaction:
        transaction.delete(Fact, ["f1"])
    close(backend)
    before = everything(postgres_url)
    with pytest.raises(InvalidInput, match="other memories of default/al%2Fice"):
        move(first, postgres_url)
    assert everything(postgres_url) == before
    with pytest.raises(InvalidInput, match="one folder"):
        move(first, first)
    with pytest.raises(InvalidInput, match="cannot be moved"):
        move(str(tmp_path / "first"), "memory://")


def test_a_moved_memory_is_searched_without_embedding_it_again(tmp_path: Path, postgres_url: str) -> None:
    class Counting(HashEmbedder):
        texts = 0

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            Counting.texts += len(texts)
            return super().embed_documents(texts)

    first = str(tmp_path / "first")
    with Memory.open(first, user="Alice", embedder=Counting(64), settings=Settings()) as memory:
        memory.add([{"role": "user", "content": f"I saw bird {n}", "id": f"b{n}"} for n in range(20)])
        hits = [hit.record.id for hit in memory.search("bird 7").hits]
    result = CliRunner().invoke(app, ["move", first, postgres_url, "--json", "--user", "Alice"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"]["episode"] == 20
    Counting.texts = 0
    with Memory.open(postgres_url, user="Alice", embedder=Counting(64), settings=Settings()) as memory:
        assert Counting.texts == 0
        assert [hit.record.id for hit in memory.search("bird 7").hits] == hits
