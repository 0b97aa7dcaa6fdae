"""The cross-encoder's say: it is heard within its time, and left out with a note when it would take longer."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.records import Fact, Hit, Why
from memory_agent.retrieval.rerank import rerank
from memory_agent.testing import HashEmbedder, ScriptedReranker
from memory_agent.testing.conformance import a_fact


def hits(*scores: float) -> list[Hit]:
    facts: list[Fact] = [a_fact(f"f{n}", f"text {n}") for n in range(len(scores))]
    return [Hit(record=fact, score=score, why=Why()) for fact, score in zip(facts, scores, strict=True)]


def ids(found: list[Hit]) -> list[str]:
    return [hit.record.id for hit in found]


def test_both_judgements_count_and_scores_stay_in_order() -> None:
    liked = ScriptedReranker(lambda _, text: 5.0 if text == "text 2" else 0.0)
    found, note = rerank(liked, "q", hits(0.5, 0.49, 0.48, 0.01), top=3, milliseconds=10_000)
    assert note == ""
    assert ids(found) == ["f2", "f0", "f1", "f3"], found[0].why
    assert [hit.score for hit in found] == [0.5, 0.49, 0.48, 0.01]
    assert found[0].why.ranks["cross"] == 1
    assert found[0].why.scores["cross"] == 5.0
    assert len(liked.pairs) == 3
    sure, _ = rerank(liked, "q", hits(0.999, 0.01, 0.01), top=3, milliseconds=10_000)
    assert ids(sure)[:2] in (["f0", "f2"], ["f2", "f0"])


def test_what_would_take_too_long_is_left_out_with_a_note() -> None:
    slow = ScriptedReranker(lambda *_: 1.0, seconds=0.01)
    before = hits(*(1 - n / 50 for n in range(40)))
    found, note = rerank(slow, "q", before, top=40, milliseconds=200)
    assert ids(found) == ids(before)
    assert "would take" in note
    assert len(slow.pairs) == 8


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12), st.integers(2, 12), st.randoms(use_true_random=False))
def test_nothing_is_lost_or_doubled(scores: list[float], top: int, drawn: object) -> None:
    before = hits(*sorted(scores, reverse=True))
    judged = ScriptedReranker(lambda _, text: float(hash((text, str(drawn))) % 7))
    found, _ = rerank(judged, "q", before, top=top, milliseconds=10_000)
    assert sorted(ids(found)) == sorted(ids(before))
    assert [hit.score for hit in found] == [hit.score for hit in before]
    assert ids(found[top:]) == ids(before[top:])


def test_a_search_is_reranked_and_says_so(tmp_path: Path) -> None:
    liked = ScriptedReranker(lambda _, text: 1.0 if "boat" in text else 0.0)
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder(), reranker=liked) as memory:
        memory.add(
            [{"role": "user", "content": text} for text in ("A red kayak", "A red boat", "Red paint", "Red ink")]
        )
        result = memory.search("red", limit=4)
        [boat] = [hit for hit in result.hits if "boat" in hit.record.content]
        assert boat.why.ranks["cross"] == 1
        assert "rerank" in result.trace.milliseconds
        assert len(liked.pairs) == 4


def test_a_reranker_that_is_not_there_costs_a_note_and_no_search(tmp_path: Path) -> None:
    settings = Settings(reranker=str(tmp_path / "nowhere"))
    with Memory.open(tmp_path / "m", user="u", embedder=HashEmbedder(), settings=settings) as memory:
        memory.add([{"role": "user", "content": text} for text in ("A red kayak", "A red boat", "A red hat")])
        result = memory.search("red boat", limit=1)
        assert "boat" in result.hits[0].record.content
        assert "MEMORY_AGENT_RERANKER" in result.trace.notes[0]
