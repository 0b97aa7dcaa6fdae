"""KV prefixes: adapters that are keys and values before the first token, and leave every weight as it is."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KIND = "PREFIX_TUNING"
"""What PEFT calls them in adapter_config.json."""


@dataclass(frozen=True)
class Prefix:
    """A loaded one; `tokens`: how many positions it takes."""

    tokens: int
    _peft: Any

    def cache(self, rows: int) -> Any:
        """A fresh cache that so many sequences can go on from."""
        import torch

        with torch.inference_mode():
            return self._peft.get_prompt(rows)


def is_prefix(adapter: Path) -> bool:
    """Whether an adapter's folder holds a prefix, and no LoRA. Raises OSError, ValueError without a configuration."""
    return bool(json.loads((adapter / "adapter_config.json").read_text("utf-8")).get("peft_type") == KIND)


def load_prefix(adapter: Path, model: Any) -> Prefix:
    """The prefix in the folder, for that model, which is not changed. Raises what peft raises when it does not fit."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model with LoRA layers beside it is no second base
        peft: Any = PeftModel.from_pretrained(model, adapter, autocast_adapter_dtype=False)
    peft.eval()
    return Prefix(int(peft.active_peft_config.num_virtual_tokens), peft)
