"""Models that were exported, answering: so that the probes can be put to what is really going to be served.

Each stands in for the student: `generate` and `perplexity` with an adapter ask the exported model, without one the
student itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memory_agent.errors import MissingExtra, ModelError
from memory_agent.models.local import Generation, LocalModel, Prompt


class Merged:
    """A merged checkpoint in place of the student with an adapter."""

    def __init__(self, student: LocalModel, merged: LocalModel) -> None:
        self._student, self._merged = student, merged

    def generate(
        self, prompts: Sequence[Prompt], *, adapter: Path | None = None, max_new_tokens: int = 32
    ) -> list[Generation]:
        """Greedy answers of the checkpoint, or of the student where no adapter is named."""
        model = self._student if adapter is None else self._merged
        return model.generate(prompts, max_new_tokens=max_new_tokens)

    def perplexity(self, text: str, *, adapter: Path | None = None) -> float:
        """Perplexity of the checkpoint, or of the student."""
        return (self._student if adapter is None else self._merged).perplexity(text)


class LlamaCpp:
    """A GGUF run by llama.cpp in this process, in place of the student with an adapter. Open it by `running`."""

    def __init__(self, student: LocalModel, server: Any) -> None:
        self._student, self._server = student, server

    def generate(
        self, prompts: Sequence[Prompt], *, adapter: Path | None = None, max_new_tokens: int = 32
    ) -> list[Generation]:
        """Greedy answers of the GGUF, or of the student where no adapter is named."""
        if adapter is None:
            return self._student.generate(prompts, max_new_tokens=max_new_tokens)
        return [self._one(self._student.chat.prompt(prompt), max_new_tokens) for prompt in prompts]

    def _one(self, text: str, most: int, **sampling: Any) -> Generation:
        said = self.complete(text, max_tokens=most, logprobs=1, **{"temperature": 0.0, **sampling})
        choice, usage = said["choices"][0], said["usage"]
        told = [token["logprob"] for token in (choice.get("logprobs") or {}).get("content") or ()]
        sure = math.exp(min(told)) if told else 0.0
        return Generation(choice["text"].strip(), usage["completion_tokens"], usage["prompt_tokens"], sure)

    def sample(
        self, prompt: Prompt, *, count: int, temperature: float, seed: int, max_new_tokens: int, begun: str = ""
    ) -> list[str]:
        """`count` answers that go on from `begun`, drawn at that temperature from the whole distribution."""
        text = self._student.chat.prompt(prompt) + begun
        drawn = {"temperature": temperature, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
        return [self._one(text, max_new_tokens, seed=seed * 1000 + n, **drawn).text for n in range(count)]

    def complete(self, text: str, **options: Any) -> dict[str, Any]:
        """llama.cpp's own answer to a completion request. Raises ModelError when it fails."""
        found: dict[str, Any] = self._server.handle_completions(
            {"prompt": text, "cache_prompt": False, "repeat_penalty": 1.0, **options}
        )
        if "choices" not in found:
            raise ModelError(f"llama.cpp did not answer: {found}")
        return found


@contextmanager
def running(student: LocalModel, gguf: Path, lora: Path | None = None) -> Iterator[LlamaCpp]:
    """llama.cpp with that file, and with a LoRA of its own where one is given, until the block ends.

    Raises MissingExtra without xllamacpp, ModelError when the file does not load.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtra("running a GGUF", "llamacpp") from error
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(gguf)
    wanted.n_ctx, wanted.n_parallel, wanted.n_gpu_layers = 1024, 1, 0
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    wanted.warmup, wanted.verbosity, wanted.ui = False, 0, False
    if lora is not None:
        wanted.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(lora), 1.0)]
    try:
        server = xllamacpp.Server(wanted)
    except RuntimeError as error:
        raise ModelError(f"llama.cpp does not load {gguf}: {error}") from error
    yield LlamaCpp(student, server)
    del server
