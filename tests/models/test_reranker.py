"""A real CrossEncoder, as small as they come."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_agent.config import Settings
from memory_agent.errors import ModelError
from memory_agent.models.reranker import CrossEncoderReranker, load_reranker


def tiny(folder: Path, labels: int) -> Path:
    """A random BERT of 8 dimensions that tells `labels` numbers of a pair."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "boat", "ink"]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = BertConfig(vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=8, num_labels=labels)  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_a_cross_encoder_scores_each_text(tmp_path: Path) -> None:
    reranker = load_reranker(Settings(reranker=str(tiny(tmp_path / "m", 1))))
    assert reranker is not None
    scores = reranker.scores("red boat", ["red boat", "ink", "red boat"])
    assert len(scores) == 3
    assert scores[0] == pytest.approx(scores[2], abs=1e-5)


def test_one_that_classifies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gives 3 numbers"):
        CrossEncoderReranker(str(tiny(tmp_path / "m", 3))).scores("red", ["ink"])


def test_none_is_named_by_default() -> None:
    assert load_reranker(Settings()) is None
