"""The corpus: neighbours whatever the order turns come in, and the same candidates by every way to find them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.evaluation.synthetic import WordVectors, questions, turn
from memory_agent.records import Episode
from memory_agent.retrieval import features
from memory_agent.retrieval.corpus import TRAITS, Corpus, pairs, traits
from memory_agent.retrieval.question import read_question

START = datetime(2024, 1, 1, tzinfo=UTC)


def episode(number: int, session: str, minute: int) -> Episode:
    return Episode(id=f"e{number}", session=session, role="user", speaker="A", content=f"word{number}",
                   at=START + timedelta(minutes=minute), recorded_at=START, digest="")  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 30)), max_size=25), st.integers(1, 5))
def test_neighbours_are_those_in_time_whatever_the_order_of_arrival(turns: list[tuple[str, int]], step: int) -> None:
    corpus = Corpus()
    for start in range(0, len(turns), step):
        part = enumerate(turns[start : start + step], start=start)
        corpus.add([episode(number, session, minute) for number, (session, minute) in part])
        assert len(corpus.columns.following) == len(corpus)
    for session in {session for session, _ in turns}:
        order = [n for _, n in sorted((minute, n) for n, (name, minute) in enumerate(turns) if name == session)]
        assert [int(corpus.columns.following[n]) for n in order] == [*order[1:], -1]
        assert [int(corpus.columns.preceding[n]) for n in order] == [-1, *order[:-1]]


def words(corpus: Corpus) -> dict[str, list[tuple[str, int]]]:
    """Per term the ids and counts."""
    flat = corpus.postings.fold()
    lists = {term: corpus.postings.of(term) for term in flat.terms}
    return {
        term: [(corpus.ids[n], int(count)) for n, count in zip(*each, strict=True)]
        for term, each in lists.items()
        if each
    }


def described(corpus: Corpus) -> list[tuple[object, ...]]:
    """Per document what is known of it, in words."""
    columns, sessions, speakers = corpus.columns, list(corpus.sessions), list(corpus.speakers)
    near = [*corpus.ids, None]
    return [
        (id, sessions[columns.session[n]], speakers[columns.speaker[n]], float(columns.at[n]), int(columns.month[n]),
         float(columns.size[n]), columns.traits[n].tolist(), near[columns.following[n]], near[columns.preceding[n]],
         sorted(pair for pair, documents in corpus.metadata.items() if n in documents),
         float(corpus.vectors[n].sum()) if len(corpus.vectors) else 0.0)
        for n, id in enumerate(corpus.ids)
    ]  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), max_size=20), st.data())
def test_a_corpus_without_some_is_one_that_never_held_them(turns: list[tuple[str, int]], drawn: st.DataObject) -> None:
    episodes = [
        episode(n, session, minute).model_copy(
            update={"speaker": f"S{n % 3}", "metadata": {"n": n % 4}, "content": f"shared words word{n % 5} {session}"}
        )
        for n, (session, minute) in enumerate(turns)
    ]
    gone = drawn.draw(st.sets(st.sampled_from([one.id for one in episodes]))) if episodes else set()
    folded = drawn.draw(st.integers(0, len(episodes)))

    def made(among: list[Episode]) -> Corpus:
        corpus = Corpus()
        for part in (among[:folded], among[folded:]):
            corpus.add(part)
            corpus.postings.fold()
        corpus.set_vectors([one.id for one in among], np.array([[float(one.id[1:]), 1.0] for one in among]))
        return corpus

    left, never = made(episodes).without(gone), made([one for one in episodes if one.id not in gone])
    more = [episode(100 + n, session, 15) for n, session in enumerate("ad")]
    for corpus in (left, never):
        corpus.add(more)
    assert words(left) == words(never)
    assert described(left) == described(never)
    assert set(left.sessions) == set(never.sessions)
    assert set(left.speakers) == set(never.speakers)
    assert left.columns.session_size.sum() == never.columns.session_size.sum()


def test_metadata_becomes_pairs_and_lists_one_each() -> None:
    assert pairs({"a": 1, "b": ["x", 2], "c": {"k": None}}) == {
        ("a", "1"), ("b", '"x"'), ("b", "2"), ("c", '{"k": null}'),
    }  # fmt: skip
    assert pairs({"a": "1"}) != pairs({"a": 1})


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    corpus, embeddings = Corpus(), WordVectors(64)
    turns = [turn(number) for number in range(800)]
    corpus.add([
        Episode(id=str(one.id), session=str(one.session), role="user", speaker=str(one.speaker), content=one.content,
                at=one.at or START, recorded_at=START, digest="", metadata=one.metadata)
        for one in turns
    ])  # fmt: skip
    rows = embeddings.vectors([one.content for one in turns])
    corpus.set_vectors([str(one.id) for one in turns], rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return corpus


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 1.0])
def test_few_and_many_allowed_turns_are_compared_alike(
    corpus: Corpus, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = np.arange(len(corpus)) % 100 < share * 100
    for asked in questions(800, 5):
        question = read_question(asked.text, corpus.speakers)
        vectors = WordVectors(64).vectors([question.text, question.bare])
        found = []
        for few in (0.0, 1.1):
            monkeypatch.setattr(features, "_FEW", few)
            found.append(features.candidates(corpus, question, vectors, lambda vector, most: [], allowed))
        assert set(found[0].documents.tolist()) == set(found[1].documents.tolist())
        assert allowed[found[0].documents].all()


def test_a_large_space_asks_the_index_and_still_filters(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "EXACT", 100)
    question = read_question("nothing that anybody said", corpus.speakers)
    vectors = WordVectors(64).vectors([question.text, question.bare])
    allowed = np.arange(len(corpus)) != 7
    found = features.candidates(corpus, question, vectors, lambda vector, most: ["t7", "t9", "gone"], allowed)
    assert 9 in found.documents
    assert 7 not in found.documents


@pytest.mark.parametrize(
    ("content", "standing"),
    [
        ("Always include version numbers when I ask about libraries.", 1.0),
        ("From now on, if I mention a trip, give prices.", 1.0),
        ("I have always loved the sea.", 0.0),
    ],
)
def test_a_wish_for_all_times_is_told(content: str, standing: float) -> None:
    assert traits(content, 8)[TRAITS.index("standing")] == standing
