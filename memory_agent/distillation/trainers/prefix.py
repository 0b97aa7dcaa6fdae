"""A second kind of adapter: keys and values that stand before every question, trained in place of weights.

The base stays as it is to the last bit; what is learnt are `prefix_tokens` positions of its cache. They begin as
what the base makes of reading the facts themselves and are then trained on the same rows, losses and passes as a LoRA
(Li and Liang's prefix tuning, 2021; beginning from a text is Eyuboglu et al.'s, "Cartridges", 2025). PEFT holds, saves
and loads it, as PREFIX_TUNING.
"""

from __future__ import annotations

import warnings
from typing import Any

from memory_agent.distillation.job import Job
from memory_agent.distillation.trainers.anchor import start_anchor
from memory_agent.distillation.trainers.lora import Files, LoraTrainer, Run
from memory_agent.errors import MissingExtra
from memory_agent.protocols import Progress


class PrefixTrainer(LoraTrainer):
    """Trains a KV prefix with PEFT. `threads`: CPU threads, 0 leaves it to torch."""

    name = "prefix"

    def _run(self, job: Job, rows: Files, progress: Progress | None) -> Run:
        return _PrefixRun(job, rows, progress)


class _PrefixRun(Run):
    def __init__(self, job: Job, files: Files, progress: Progress | None) -> None:
        self._read = _first_read(files)
        super().__init__(job, files, progress)

    @property
    def rate(self) -> float:
        return self.recipe.prefix_rate

    def frozen(self) -> int:
        return 0  # every layer reads the prefix

    def wrapped(self) -> Any:
        try:
            from peft import PrefixTuningConfig, get_peft_model
            from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values
        except ImportError as error:
            raise MissingExtra("training an adapter", "distill") from error
        import torch

        ids = self.chat.prompt_ids(self._read)[: self.recipe.prefix_tokens]
        with torch.inference_mode():
            read = self.model(input_ids=torch.tensor([ids], device=self.device), use_cache=True).past_key_values
        config = PrefixTuningConfig(num_virtual_tokens=len(ids), task_type="CAUSAL_LM")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an older name
            peft = get_peft_model(self.model, config)
        cache = [(keys.clone(), values.clone()) for keys, values, *_ in read]
        initialize_kv_prefix_from_past_key_values(peft, past_key_values=cache)
        return peft

    def begin(self) -> None:
        self.gradients.prefix = self.peft.get_prompt
        self.anchor = start_anchor(self.weights, self.recipe)


def _first_read(files: Files) -> str:
    """What the prefix begins with: every sentence that is taught, once, in the order of the job."""
    asked = [line for line in files["chat.jsonl"] if line["kind"] in ("forward", "past")]
    told = [line["messages"][-1]["content"] for line in asked]
    return " ".join(dict.fromkeys(told or [line["messages"][-1]["content"] for line in files["chat.jsonl"]]))
