"""A sentence-transformers CrossEncoder as a `Reranker`: whichever the user names; none is shipped."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_agent.errors import ModelError, ModelNotFound
from memory_agent.models.safety import refuse_code

if TYPE_CHECKING:
    from memory_agent.config import Settings
    from memory_agent.protocols import Reranker

LONGEST = 256
"""Tokens of question and text together that are read."""


class CrossEncoderReranker:
    """The CrossEncoder at a path, or of a name in the local hub cache. Safe to share between threads."""

    def __init__(self, name: str, *, allow_downloads: bool = False, threads: int = 0) -> None:
        self.name = name
        self._allow_downloads = allow_downloads
        self._threads = threads
        self._lock = threading.Lock()
        self._model: Any = None

    def prepare(self) -> None:
        """Load the weights, once. Raises ModelNotFound when they are not on this machine, ModelError otherwise."""
        with self._lock:
            if self._model is None:
                self._model = self._load()

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """One number a text, higher is better, as the model gives it. Raises as `prepare`."""
        self.prepare()
        with self._lock:
            pairs = [(question, text) for text in texts]
            found = self._model.predict(pairs, batch_size=len(pairs) or 1, show_progress_bar=False)
        if getattr(found, "ndim", 1) != 1:
            raise ModelError(f"{self.name} gives {found.shape[1]} numbers a pair; a reranker gives one")
        return [float(score) for score in found]

    def _load(self) -> Any:
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        import torch
        from sentence_transformers import CrossEncoder

        if self._threads:
            torch.set_num_threads(self._threads)
        wanted = Path(self.name).expanduser()
        there = str(wanted) if wanted.is_dir() else self.name
        if wanted.is_dir():
            refuse_code(wanted)
        try:
            return CrossEncoder(
                there,
                max_length=LONGEST,
                local_files_only=not self._allow_downloads,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError) as error:
            if wanted.is_dir() or self._allow_downloads:
                raise ModelError(f"the reranker {self.name} does not load: {error}") from error
            raise ModelNotFound(
                f"no weights of the reranker {self.name} on this machine: set MEMORY_AGENT_RERANKER to a folder that "
                "holds them, or MEMORY_AGENT_ALLOW_DOWNLOADS=1 to fetch them, or leave it empty"
            ) from error


def load_reranker(settings: Settings) -> Reranker | None:
    """The reranker the settings name, or None. Returns at once; weights load at the first search, once a process."""
    return _shared(settings.reranker, settings.allow_downloads, settings.threads) if settings.reranker else None


@functools.cache
def _shared(name: str, allow_downloads: bool, threads: int) -> CrossEncoderReranker:
    return CrossEncoderReranker(name, allow_downloads=allow_downloads, threads=threads)
