"""The corpus in a file: a warm start reads what is new, the ledger is believed, and what was forgotten is not in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_agent import Memory, Turn
from memory_agent.records import Episode, Tombstone
from memory_agent.retrieval import corpus as corpus_module
from memory_agent.retrieval import snapshot, view
from memory_agent.testing.models import HashEmbedder

START = datetime(2024, 1, 10, 9, tzinfo=UTC)
SAID = [
    "The kayak is red and lies in the boathouse.", "My sister Ana moved to Porto.", "The dentist is on Tuesday.",
    "Zwetschgen are in season.", "I sold the telescope to Ben.", "We walked along the river.",
]  # fmt: skip


def turns(texts: list[str], first: int = 0) -> list[Turn]:
    return [
        Turn(role="user", speaker="Maya", content=text, id=f"t{n}", session=f"s{n % 2}", at=START + timedelta(hours=n),
             metadata={"even": n % 2 == 0})
        for n, text in enumerate(texts, start=first)
    ]  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "SMALL", 4)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of turns that were cut into words since."""
    seen: list[str] = []
    real = corpus_module.terms
    monkeypatch.setattr(corpus_module, "terms", lambda text: seen.append(text) or real(text))
    return seen


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


def opened(store: Path | str) -> Memory:
    return Memory.open(store, user="maya", embedder=HashEmbedder())


def found(memory: Memory, query: str = "kayak Porto dentist river", **more: object) -> list[tuple[str, float]]:
    return [(hit.record.id, hit.score) for hit in memory.search(query, kinds=["episode"], **more).hits]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose corpus was saved."""
    with opened(tmp_path / "store") as memory:
        memory.add(turns(SAID))
        found(memory)
    return tmp_path / "store"


def saved(store: Path) -> Path:
    return store / "spaces" / "default@maya" / snapshot.FILE


def test_a_warm_start_cuts_only_what_is_new_and_finds_the_same(store: Path, cut: list[str]) -> None:
    with opened(store) as memory:
        memory.add(turns(["The kayak went down the river to Porto."], first=6))
        warm = found(memory), found(memory, metadata={"even": True}), found(memory, session="s1")
    assert cut == ["Maya The kayak went down the river to Porto. 10 January 2024"]
    saved(store).unlink()
    with opened(store) as memory:
        assert (found(memory), found(memory, metadata={"even": True}), found(memory, session="s1")) == warm
    assert len(cut) == 8
    assert saved(store).stat().st_mode & 0o077 == 0


def test_a_file_that_is_damaged_or_made_by_other_rules_is_as_good_as_none(
    store: Path, cut: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(store) as memory:
        before = found(memory)
    assert not cut
    whole = saved(store).read_bytes()
    middle = whole.index(b"kayak")
    for damaged in (whole[: len(whole) // 2], b"", b"PK", whole[:middle] + b"X" + whole[middle + 1 :]):
        saved(store).write_bytes(damaged)
        with opened(store) as memory:
            assert found(memory) == before
        assert len(cut) == len(SAID)
        cut.clear()
    monkeypatch.setattr(snapshot, "_made_by", lambda: "other rules")
    with opened(store) as memory:
        assert found(memory) == before
    assert len(cut) == len(SAID)


def test_the_ledger_is_believed_when_a_backup_was_put_back_and_written_on(tmp_path: Path, store: Path) -> None:
    mixed = tmp_path / "mixed"
    with opened(mixed) as memory:
        memory.add(turns(SAID[:3]))
        memory.add(turns(["Nobody has seen the otter.", "An otter, really.", "It rained."], first=3))
        memory.add(turns(["Still raining."], first=6))
    saved(mixed).parent.mkdir(parents=True, exist_ok=True)
    saved(mixed).write_bytes(saved(store).read_bytes())
    with opened(mixed) as memory:
        assert {id for id, _ in found(memory, "otter", limit=2)} == {"t3", "t4"}
        assert b"Zwetschgen" not in saved(mixed).read_bytes()


def test_a_position_the_ledger_has_not_reached_is_not_believed(store: Path, tmp_path: Path) -> None:
    young = tmp_path / "young"
    with opened(young) as memory:
        memory.add(turns(["Only this."]))
    saved(young).parent.mkdir(parents=True, exist_ok=True)
    saved(young).write_bytes(saved(store).read_bytes())
    with opened(young) as memory:
        memory.space.ledger.position()
        assert [id for id, _ in found(memory)] == ["t0"]


def forget(memory: Memory) -> None:
    memory.forget("t3", reason="asked to")


def correct(memory: Memory) -> None:
    memory.update("t3", content="Plums are in season.")


@pytest.mark.parametrize("gone", [forget, correct])
def test_no_word_of_what_was_forgotten_or_corrected_is_left(store: Path, gone: Callable[[Memory], None]) -> None:
    word = "zwetschgen"[:8].encode()
    assert word in saved(store).read_bytes()
    with opened(store) as other, opened(store) as memory:
        found(other)
        gone(memory)
        assert not saved(store).exists()
        for handle in (other, memory):
            assert "zwetsch" not in str(found(handle, "Zwetschgen season", limit=1)[0])
            assert word not in saved(store).read_bytes()
    with opened(store) as memory:
        assert len(found(memory)) == len(SAID) - (gone is forget)


def test_who_forgets_and_is_killed_before_the_file_goes_is_made_good_at_the_next_opening(store: Path) -> None:
    with opened(store) as memory, memory.space.ledger.transaction() as transaction:
        transaction.delete(Episode, ["t3"])
        transaction.put(Tombstone(id="stone", of_kind="episode", of_id="t3", at=START))
    assert saved(store).exists()
    with opened(store):
        assert not saved(store).exists()


def test_one_who_still_holds_the_forgotten_cannot_write_it_again(store: Path) -> None:
    with opened(store) as other, opened(store) as memory:
        found(other)
        with view.corpus_of(other.space) as corpus:
            held = snapshot.Snapshot(corpus, other.space.ledger.position(), [])
            memory.forget("t3", reason="asked to")
            assert not snapshot.save(other.space, held)
    assert not saved(store).exists()


def test_another_embedders_vectors_are_not_taken_from_the_file(store: Path) -> None:
    class Turned(HashEmbedder):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [[-x for x in row] for row in super().embed_documents(texts)]

    with Memory.open(store, user="maya", embedder=Turned(), rebuild=True) as memory:
        cosines = [hit.why.scores["dense"] for hit in memory.search("kayak", kinds=["episode"]).hits]
    assert min(cosines) < 0


def test_where_other_hosts_may_forget_nothing_is_kept(postgres_url: str, tmp_path: Path) -> None:
    with opened(postgres_url) as memory:
        memory.add(turns(SAID))
        assert len(found(memory)) == len(SAID)
    assert not list(tmp_path.rglob(snapshot.FILE))


def test_what_is_kept_or_read_is_not_forgotten_by_a_warm_start(url: str) -> None:
    with opened(url) as memory:
        memory.add(turns(SAID))
        assert found(memory, metadata={"keep": True}) == []
        memory.retention.keep("t1")
        assert [id for id, _ in found(memory, metadata={"keep": True})] == ["t1"]
    with opened(url) as memory:
        assert [id for id, _ in found(memory, metadata={"keep": True})] == ["t1"]
        memory.retention.keep("t1", False)
        assert found(memory, metadata={"keep": True}) == []
