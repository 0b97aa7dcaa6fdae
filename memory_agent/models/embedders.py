"""The embedder a space works with: a langchain `Embeddings` under a name the index can hold on to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from langchain_core.embeddings import Embeddings

from memory_agent.protocols import Vectors


class Embedder:
    """Turns texts into unit vectors.

    `name` goes into the vector index; two embedders of one name must give the same vectors.
    """

    def __init__(self, embeddings: Embeddings, name: str) -> None:
        self.embeddings = embeddings
        self.name = name

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (len(texts), dimension), float32."""
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        vectors = np.asarray(self.embeddings.embed_documents(list(texts)), dtype=np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = vectors / np.where(norms == 0, 1, norms).astype(np.float32)
        return unit
