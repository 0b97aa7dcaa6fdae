"""Model folders that could run code when they are loaded, refused before anything is.

Weights as pickles (`*.bin`, `*.pt`, `*.ckpt`, `*.pkl`) run code as they are read; a `modules.json` that names classes
of others makes sentence-transformers import Python files that lie in the folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from memory_agent.errors import MALFORMED, ModelError

PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"})
_OWN = "sentence_transformers."


def refuse_code(folder: Path) -> None:
    """Raise ModelError when weights in `folder` are to be had as pickles alone, or it brings modules of its own."""
    for part in _parts(folder):
        pickles = sorted(file for file in part.glob("*") if file.suffix in PICKLED)
        if pickles and not any(part.glob("*.safetensors")):
            raise ModelError(
                f"{pickles[0]} is a pickle, which can run code, and no *.safetensors lie beside it: convert it first"
            )


def _parts(folder: Path) -> list[Path]:
    """The folders that weights are read from."""
    listed = folder / "modules.json"
    if not listed.is_file():
        return [folder]
    try:
        modules = [(str(each["type"]), str(each["path"])) for each in json.loads(listed.read_text("utf-8"))]
    except MALFORMED as error:
        raise ModelError(f"{listed} is no list of modules: {error}") from error
    if foreign := [name for name, _ in modules if not name.startswith(_OWN)]:
        raise ModelError(f"{listed} names {foreign[0]}, which would be code of that folder's own; it is not run")
    return [folder, *(folder / path for _, path in modules)]
