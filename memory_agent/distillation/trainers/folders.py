"""What a trainer that is not ours leaves behind: finding the adapter in it, and taking just that."""

from __future__ import annotations

import shutil
from pathlib import Path

from memory_agent.errors import TrainerFailed
from memory_agent.folders import whole

ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
_DEPTH = 2


def find_adapter(folder: Path) -> Path | None:
    """The PEFT adapter in `folder`: the folder itself, else the only one below it that is no checkpoint; None without.

    Raises TrainerFailed when there are several, since nothing says which is meant.
    """
    if _is_adapter(folder):
        return folder
    found: list[Path] = []
    level = [folder]
    for _ in range(_DEPTH):
        level = sorted(child for parent in level if parent.is_dir() for child in parent.iterdir() if child.is_dir())
        level = [child for child in level if not child.name.startswith("checkpoint-")]
        found += [child for child in level if _is_adapter(child)]
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise TrainerFailed(f"{folder} holds several adapters ({names}); leave one")
    return found[0] if found else None


def take_adapter(found: Path, out: Path) -> Path:
    """Copy the adapter at `found`, and `training.json` if there is one, to `out`, which appears whole."""
    with whole(out) as partial:
        for name in (*ADAPTER, "training.json"):
            if (found / name).is_file():
                shutil.copyfile(found / name, partial / name)
    return out


def _is_adapter(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ADAPTER)
