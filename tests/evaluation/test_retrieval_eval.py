"""Data sets in, figures out: readers of both formats, and the metrics against figures worked by hand."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path
from typing import Any

import pytest

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.evaluation import boosting, fitting, retrieval
from memory_agent.evaluation.datasets import Question, load
from memory_agent.evaluation.fitting import examples, fit, left_out
from memory_agent.evaluation.ranking import Ranked, scores, summary
from memory_agent.models.embedders import Embedder
from memory_agent.retrieval.features import NAMES
from memory_agent.testing.models import HashEmbedder

LOCOMO = {
    "sample_id": "c1",
    "conversation": {
        "speaker_a": "Maya",
        "speaker_b": "Ben",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Maya", "dia_id": "D1:1", "text": "I bought a kayak.", "blip_caption": "a red kayak"},
            {"speaker": "Ben", "dia_id": "D1:2", "text": "I adopted a beagle called Biscuit."},
        ],
        "session_2_date_time": "9:00 am on 1 June, 2023",
        "session_2": [{"speaker": "Maya", "dia_id": "D2:1", "text": "I sold it and took up pottery."}],
        "session_3_date_time": "9:00 am on 2 June, 2023",
    },
    "qa": [
        {"question": "What did Maya buy?", "answer": "a kayak", "evidence": ["D1:1"], "category": 1},
        {"question": "What hobby came next?", "answer": "pottery", "evidence": ["D2:01; D1:1"], "category": 4},
        {"question": "Who has no dog?", "adversarial_answer": "x", "evidence": ["D1:2"], "category": 5},
        {"question": "No evidence?", "answer": "x", "evidence": [], "category": 1},
    ],
}  # fmt: skip


def locomo(folder: Path, *samples: dict[str, Any]) -> str:
    path = folder / "locomo.json"
    path.write_text(json.dumps(list(samples) or [LOCOMO]), encoding="utf-8")
    return f"locomo:{path}"


def beam(folder: Path) -> str:
    inner = folder / "beam"
    inner.mkdir()
    turns = [
        {"id": 0, "role": "user", "content": "My sprint ends on Friday. ->-> 1,1", "time_anchor": "March-15-2024"},
        {"id": 1, "role": "assistant", "content": "Noted."},
    ]
    chat = [{"batch_number": 1, "time_anchor": "March-15-2024", "turns": [turns]}]
    probes = {
        "information_extraction": [{"question": "When does my sprint end?", "source_chat_ids": [0]}],
        "knowledge_update": [{"question": "And now?", "source_chat_ids": {"original_info": [0], "updated_info": [1]}}],
        "summarization": [{"question": "Summarise.", "source_chat_ids": [0, 1]}],
        "abstention": [{"question": "What colour?"}],
    }
    (inner / "chat.json").write_text(json.dumps(chat), encoding="utf-8")
    (inner / "probing_questions.json").write_text(json.dumps(probes), encoding="utf-8")
    return f"beam:{inner}"


def test_locomo_is_read_with_dates_captions_and_crooked_evidence(tmp_path: Path) -> None:
    (conversation,) = load(locomo(tmp_path))
    first = conversation.sessions["session_1"][0]
    assert (first.id, first.speaker, first.role) == ("D1:1", "Maya", "user")
    assert first.content == "I bought a kayak. [image: a red kayak]"
    assert first.at is not None
    assert first.at.isoformat() == "2023-05-08T13:56:00+00:00"
    assert list(conversation.sessions) == ["session_1", "session_2"]
    assert [q.evidence for q in conversation.questions] == [("D1:1",), ("D2:1", "D1:1"), ("D1:2",)]
    assert [q.headline for q in conversation.questions] == [True, True, False]


def test_beam_is_read_from_its_folder_or_the_one_around_it(tmp_path: Path) -> None:
    (conversation,) = load(beam(tmp_path))
    assert load(f"beam:{tmp_path}") == [conversation]
    (turns,) = conversation.sessions.values()
    assert [(turn.id, turn.role, turn.content) for turn in turns] == [
        ("0", "user", "My sprint ends on Friday."),
        ("1", "assistant", "Noted."),
    ]
    assert [(q.evidence, q.headline) for q in conversation.questions] == [
        (("0",), True), (("0", "1"), True), (("0", "1"), False),
    ]  # fmt: skip


def test_conversations_are_chosen_by_name(tmp_path: Path) -> None:
    data = locomo(tmp_path, LOCOMO, {**LOCOMO, "sample_id": "c2"})
    assert [c.id for c in load(data, ["c2"])] == ["c2"]
    with pytest.raises(InvalidInput, match="c1, c2"):
        load(data, ["c3"])


@pytest.mark.parametrize(
    ("content", "said"), [("[{]", "line 1"), ('[{"qa": []}]', "conversation 1"), ('["x"]', "conversation 1")]
)
def test_a_broken_file_is_refused_with_the_place(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInput, match=said):
        load(f"locomo:{path}")


@pytest.mark.parametrize("name", ["locomo", "csv:x", "locomo:/no/such/file", "beam:/no/such/folder"])
def test_an_unknown_data_set_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        load(name)


def test_the_figures_of_one_ranking() -> None:
    ids = [f"t{i}" for i in range(60)]
    session_of = {id: f"s{i // 10}" for i, id in enumerate(ids)}
    row = Ranked(Question("q", "c", ("t0", "t6", "t15", "t55")), ids, session_of)
    figures = scores(row)
    assert [figures[f"recall@{k}"] for k in (5, 10, 20, 50)] == [0.25, 0.5, 0.75, 0.75]
    ideal = sum(1 / log2(place + 2) for place in range(4))
    assert figures["ndcg@10"] == pytest.approx((1 + 1 / log2(8)) / ideal)
    assert figures["session_recall@5"] == pytest.approx(2 / 3)
    assert figures["session_hit@5"] == figures["hit@10"] == 1


def test_adversarial_questions_stay_out_of_the_headline() -> None:
    rows = [
        Ranked(Question("q", "single-hop", ("a",)), ["a"], {"a": "s"}),
        Ranked(Question("q", "adversarial", ("a",), headline=False), [], {"a": "s"}),
    ]
    found = summary(rows)
    assert (found["questions"], found["recall@5"]) == (1, 1.0)
    assert set(found["by_category"]) == {"single-hop", "adversarial"}  # type: ignore[call-overload]


def test_a_fit_finds_the_feature_that_tells(tmp_path: Path) -> None:
    embedder = Embedder(HashEmbedder(), "hash")
    folds = [examples(conversation, embedder) for conversation in load(locomo(tmp_path, LOCOMO, LOCOMO))]
    assert folds[0][0].features.shape[1] == len(NAMES)
    weights = fit(folds[0])
    row = folds[0][0]
    best = row.ids[int(weights.logits(row.features).argmax())]
    assert best == "D1:1"
    assert len(left_out(folds)) == len(left_out(folds, trees=True)) == 4
    assert fit(folds[0], without=NAMES).values.any() == False  # noqa: E712


def test_the_fit_is_one_command_that_writes_weights_trees_and_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitting, "load_embedder", lambda settings: Embedder(HashEmbedder(), "hash"))
    data = locomo(tmp_path, LOCOMO, {**LOCOMO, "sample_id": "c2"})
    words = [data, "--ablate", "--check", beam(tmp_path), "--out", str(tmp_path), "--page", str(tmp_path)]
    assert fitting.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"leave_one_conversation_out", "linear", "alone", "without", "checks"}
    assert set(json.loads((tmp_path / "weights.json").read_text())["weights"]) == set(NAMES)
    assert len(json.loads((tmp_path / "trees.json").read_text())["trees"]) == boosting.ROUNDS
    page = (tmp_path / "recall.md").read_text()
    assert "python -m memory_agent.evaluation.fitting locomo:locomo.json --ablate --check beam:beam" in page
    assert str(tmp_path) not in page


@pytest.mark.model
def test_the_public_path_finds_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", classmethod(lambda cls, **_: Settings()))
    found = retrieval.run(locomo(tmp_path), ["c1"])
    assert found["turns"] == 3
    assert found["scores"]["questions"] == 2
    assert found["scores"]["recall@5"] == 1.0
    assert found["turns_per_second"] > 0
    assert set(found["search_ms"]) == {"p50", "p95", "p50_without_embedder", "p95_without_embedder"}
    assert found["fitted_on"] == []
    json.dumps(found)


def test_peers_are_asked_the_same_in_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "memory_agent.models.embedders.load_embedder", lambda settings: Embedder(HashEmbedder(64), "hashes")
    )
    names = ["bm25", "dense", "chroma", "langgraph"]
    found = retrieval.run(locomo(tmp_path), peers=names)
    assert list(found["peers"]) == names
    for one in found["peers"].values():
        assert one["scores"]["questions"] == found["scores"]["questions"] == 2
        assert one["scores"]["recall@5"] >= 0.5
    assert found["peers"]["chroma"]["scores"]["recall@5"] == 1.0
    assert found["peers"]["dense"]["scores"] == found["peers"]["langgraph"]["scores"]
    shown = retrieval.report(found)
    assert [row[0] for row in shown.tables[0].rows] == ["memory-agent", *names]
    assert shown.plots[0].svg()
    with pytest.raises(InvalidInput, match="unknown peer 'zep'"):
        retrieval.run(locomo(tmp_path), peers=["zep"])
