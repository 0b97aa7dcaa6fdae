"""The embedder: found on this machine, loaded late, and in bfloat16 still the same ranking."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from memory_agent.config import Settings
from memory_agent.errors import ModelNotFound
from memory_agent.models import embedders
from memory_agent.models.embedders import Embedder, find_embedder, load_embedder
from memory_agent.protocols import Vectors
from memory_agent.testing.models import HashEmbedder

SENTENCES = [
    f"{who} {what} {where}."
    for who in ("Maya", "My brother", "The new nurse", "Our old neighbour")
    for what in ("repairs bicycles", "moved away from the noisy flat", "is allergic to peanuts", "sold a red kayak")
    for where in ("in Porto", "last spring", "because of the rain")
]
QUESTIONS = ["Who fixes bikes?", "Who cannot eat nuts?", "Who left the apartment?", "What happened to the boat?"]


def test_nothing_heavy_is_loaded_before_the_first_text() -> None:
    code = (
        "import sys; from memory_agent.config import Settings; from memory_agent.models.embedders import load_embedder;"
        "load_embedder(Settings()); sys.exit('torch' in sys.modules or 'sentence_transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_default_has_one_name_wherever_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "all-MiniLM-L6-v2"
    folder.mkdir()
    for setting in ("", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", str(folder)):
        assert load_embedder(Settings(embedder=setting)).name == "all-MiniLM-L6-v2"


def test_a_path_in_the_settings_comes_first(tmp_path: Path) -> None:
    assert find_embedder(Settings(embedder=str(tmp_path))) == str(tmp_path)


def test_weights_that_are_not_here_name_the_way_out() -> None:
    with pytest.raises(ModelNotFound, match="MEMORY_AGENT_EMBEDDER"):
        find_embedder(Settings(embedder="nobody/no-such-model"))
    assert find_embedder(Settings(embedder="nobody/no-such-model", allow_downloads=True)) == "nobody/no-such-model"


def test_vectors_are_of_unit_length_and_queries_are_remembered() -> None:
    given = HashEmbedder()
    embedder = Embedder(given, "hash")
    assert np.allclose(np.linalg.norm(embedder.embed(["one two", "", "three"]), axis=1), 1)
    assert embedder.embed([]).shape == (0, 0)
    before = given.texts_embedded
    assert np.array_equal(embedder.embed_query("a question"), embedder.embed_query("a question"))
    assert given.texts_embedded == before + 1


def cosines(rows: Vectors, questions: Vectors) -> Vectors:
    product: Vectors = questions @ rows.T
    return product


@pytest.mark.model
def test_the_model_loads_without_a_network_and_ranks_as_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlap of the first ten and Kendall's tau-b against the same weights in float32."""
    from scipy.stats import kendalltau
    from sentence_transformers import SentenceTransformer

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    embedder = load_embedder(Settings())
    found = cosines(embedder.embed(SENTENCES), np.stack([embedder.embed_query(q) for q in QUESTIONS]))
    exact = SentenceTransformer(find_embedder(Settings()), device="cpu", local_files_only=True)
    wanted = cosines(
        exact.encode(SENTENCES, normalize_embeddings=True), exact.encode(QUESTIONS, normalize_embeddings=True)
    )
    assert np.abs(found - wanted).max() < 0.02
    for row, reference in zip(found, wanted, strict=True):
        overlap = set(np.argsort(-row)[:10].tolist()) & set(np.argsort(-reference)[:10].tolist())
        assert len(overlap) >= 9
        assert kendalltau(row, reference).statistic > 0.95
    assert "bicycles" in SENTENCES[int(np.argmax(found[0]))]


def test_a_text_is_embedded_once_whatever_it_is_part_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedders, "_TEXTS_KEPT", 3)
    given = HashEmbedder()
    embedder = Embedder(given, "hash")
    alone = {text: Embedder(HashEmbedder(), "hash").embed([text])[0] for text in ("ok", "thanks", "one", "two")}
    found = embedder.embed(["ok", "thanks", "ok"])
    assert np.allclose(found, [alone["ok"], alone["thanks"], alone["ok"]])
    assert given.texts_embedded == 2
    assert np.allclose(embedder.embed(["thanks", "one"]), [alone["thanks"], alone["one"]])
    assert given.texts_embedded == 3
    embedder.embed(["one", "two", "ok"])  # only three are kept
    assert given.texts_embedded == 4
    embedder.embed(["thanks", "ok"])
    assert given.texts_embedded <= 6
    embedder.clear()
    embedder.embed(["ok"])
    assert given.texts_embedded >= 6
