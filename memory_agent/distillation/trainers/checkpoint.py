"""Where a training run stands after a pass, kept in a folder, so that a killed one goes on from there.

Weights and the optimizer's moments are kept as they are (safetensors, float32), so the run that goes on ends
in the same bytes as one that was never killed. What it was trained on is named in the folder; a run of
another job, torch or device does not take it up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_agent.folders import whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TENSORS = "state.safetensors"
_ABOUT = "state.json"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def keep(
    folder: Path, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer, of: Mapping[str, str], state: Any
) -> None:
    """Write the state to `folder`, which appears whole and replaces what was there.

    `of` names what the state belongs to, `state` is kept as JSON. `optimizer` is an AdamW over `weights`.
    """
    from safetensors.torch import save_file

    tensors = {f"weight.{n}": weight.detach() for n, weight in enumerate(weights)}
    for n, weight in enumerate(weights):
        tensors.update({f"{name}.{n}": moment for name, moment in _moments(optimizer, weight).items()})
    with whole(folder) as partial:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, partial / _TENSORS)
        (partial / _ABOUT).write_text(json.dumps({"of": dict(of), "state": state}), "utf-8")


def take_up(folder: Path, weights: Sequence[Tensor], optimizer: torch.optim.Optimizer, of: Mapping[str, str]) -> Any:
    """Put the kept state into `weights` and `optimizer`; what `keep` was given as `state`.

    None, and nothing changed, where the folder holds no whole state of just this.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        about = json.loads((folder / _ABOUT).read_text("utf-8"))
        tensors = load_file(folder / _TENSORS)
    except (OSError, ValueError, SafetensorError):
        return None
    if about.get("of") != dict(of) or any(f"weight.{n}" not in tensors for n in range(len(weights))):
        return None
    with torch.no_grad():
        for n, weight in enumerate(weights):
            weight.copy_(tensors[f"weight.{n}"])
            moments = {name: tensors[f"{name}.{n}"] for name in _MOMENTS if f"{name}.{n}" in tensors}
            if moments:
                optimizer.state[weight] = {name: moment.to(weight.device) for name, moment in moments.items()}
    return about["state"]


def _moments(optimizer: torch.optim.Optimizer, weight: Tensor) -> dict[str, Tensor]:
    return {name: moment for name, moment in optimizer.state.get(weight, {}).items() if name in _MOMENTS}
