"""The scale benchmark at a small size: every contestant finds, every figure is there, talk is the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from memory_agent.errors import InvalidInput
from memory_agent.evaluation import scale
from memory_agent.evaluation.synthetic import SESSION, TOPICS, WordVectors, questions, turn


def test_talk_is_varied_and_the_same_each_time() -> None:
    turns = [turn(number) for number in range(400)]
    assert turns == [turn(number) for number in range(400)]
    assert len({one.content for one in turns}) == 400
    assert len({one.session for one in turns}) == 400 // SESSION
    assert len({word for one in turns for word in one.content.split()}) > 1500
    assert len({turn(number).metadata["topic"] for number in range(7 * TOPICS)}) == TOPICS


def test_questions_are_made_of_the_turn_they_ask_for() -> None:
    embeddings = WordVectors()
    turns = [turn(number) for number in range(300)]
    rows = embeddings.vectors([one.content for one in turns])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    asked = questions(300, 20)
    nearest = [int(np.argmax(rows @ embeddings.vectors([one.text])[0])) for one in asked]
    assert sum(turns[n].id == one.answer for n, one in zip(nearest, asked, strict=True)) >= 17


def test_every_contestant_is_measured_in_the_same_run() -> None:
    rows = scale.run([100, 400], count=10)
    assert [row["n"] for row in rows] == [100, 400]
    for row in rows:
        for figures in (row, *row["peers"].values()):
            assert figures["p95_ms"] >= figures["p50_ms"] > 0
            assert figures["adds_per_s"] > 0
            assert figures["rss_mb"] > 20
            assert figures["found"] >= 0.9
        assert row["own_writes_seen"] == 1.0
        assert row["disk_mb"] > 0
        assert set(row["ratios"]) == set(row["peers"]) == set(scale.PEERS)
    assert rows[1]["growth"]["sqrt_n"] == 2.0


@pytest.mark.parametrize("wrong", [{"sizes": []}, {"sizes": [0]}, {"sizes": [5], "peers": ["pinecone"]}])
def test_what_cannot_be_measured_is_refused(wrong: dict[str, list[int]]) -> None:
    with pytest.raises(InvalidInput):
        scale.run(**wrong)
