"""Settings, and the only code that reads the environment.

A setting is taken from the call, else from `MEMORY_AGENT_<NAME>` in the environment, else from
the default here. Keys of model providers are read by their own clients.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from memory_agent.errors import InvalidInput

PREFIX = "MEMORY_AGENT_"


class Settings(BaseModel):
    """Everything that can be set; each field is documented by its description in docs/reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = "./memory"
    """Path or URL of the store the command line works on."""
    user: str = ""
    """Whose memory it is, where none is named."""
    tenant: str = "default"
    """Whose users they are."""
    agent: str = ""
    """The agent whose own blocks stand beside the shared ones."""
    model: str = "local"
    """Chat model: "local", "openai:<name>", or any "<provider>:<name>" of langchain."""
    base_url: str = ""
    """OpenAI-compatible endpoint for `model` (vLLM, Ollama, llama.cpp); empty for the provider's own."""
    extractor: str = ""
    """What reads turns into facts: a chat model, named as `model` is; empty for the built-in rules, which need none."""
    extractor_tokens: int = Field(default=0, ge=0)
    """Most tokens that one consolidation may spend on it; 0 for no limit. What is not read then stays pending."""
    extractor_money: float = Field(default=0.0, ge=0)
    """Most money that one consolidation may spend on it, in the currency of the prices; 0 for no limit."""
    extractor_price_in: float = Field(default=0.0, ge=0)
    """What a million tokens that it reads cost."""
    extractor_price_out: float = Field(default=0.0, ge=0)
    """What a million tokens that it writes cost."""
    extractor_summaries: bool = False
    """Whether it also words the summaries that a consolidation changes, one call for each."""
    embedder: str = ""
    """Path or name of a sentence-transformers model; empty for all-MiniLM-L6-v2."""
    reranker: str = ""
    """Path or name of a sentence-transformers CrossEncoder that ranks the best hits anew; empty for none."""
    rerank_top: int = Field(default=30, ge=2, le=200)
    """How many of the best hits are ranked anew."""
    rerank_ms: float = Field(default=500.0, gt=0)
    """Milliseconds it may take; where it would take longer, the first ranking stands and the trace says so."""
    student: str = ""
    """Path or name of the causal language model that is distilled into; empty for SmolLM2-135M-Instruct."""
    allow_downloads: bool = False
    """Whether models may be fetched from a hub when they are not on this machine."""
    cache: str = ""
    """Folder for converted models, which can always be made again; empty for the user's cache folder."""
    threads: int = 0
    """CPU threads for models; 0 leaves it to the library."""
    trainer: str = ""
    """Which trainer makes adapters: "lora", "prefix", "command", "export", "openai" or a plugin's; empty for lora."""
    trainer_options: str = ""
    """Its options as a JSON object, such as {"command": "python train.py {job} {out}"} for "command"."""
    recipe: str = ""
    """What the training does otherwise than by default, as a JSON object: {"size": "thorough", "l2": 1e-4}."""
    paraphrases: int = Field(default=0, ge=0, le=50)
    """How many more ways to ask for each taught fact, and to say it, the chat model (`model`) writes; 0 for none."""
    teach: str = ""
    """Predicates to teach although the ontology keeps them out of weights ("allergic_to,diet"); never secret ones."""
    trust: str = ""
    """How far sources are believed ("crm=self, newsletter=low"); levels: owner, self, other, low (how-to/secure)."""
    redact: str = ""
    """What is put out of turns before they are stored: "secret", "personal", or classes of them ("secret:card")."""
    log: Literal["text", "json"] = "text"
    """Form of the log lines that `daemon`, `worker` and `serve` write to stderr."""
    log_content: bool = False
    """Whether log lines may hold messages of errors, which can quote what somebody said."""
    expire: str = ""
    """Rules of expiry ("episode=365d, fact:volatile=90d"), for `expire`; nothing expires without one."""
    decay: str = ""
    """Half-life of a memory's rank ("180d"); empty for none: age then counts only where the question asks for it."""
    backup_key: SecretStr = SecretStr("")
    """Secret that backups are encrypted with, of 16 characters or more; empty for none."""
    backup_key_file: str = ""
    """File that holds that secret, readable by its owner alone and apart from the backups; empty for none."""
    adapter_key: SecretStr = SecretStr("")
    """Secret that adapters are encrypted with, of 16 characters or more; empty for none."""
    adapter_key_file: str = ""
    """File that holds that secret, readable by its owner alone and outside the store; empty for none."""
    private_folder: str = ""
    """Folder in memory where encrypted adapters are decrypted; empty for /dev/shm, else XDG_RUNTIME_DIR."""
    lock_wait: float = 30.0
    """Seconds to wait for another writer before StoreBusy."""

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
        """Settings from the call's `given` (None means not given), the environment, the defaults.

        Raises InvalidInput, naming the setting, when a value does not fit or a name is unknown.
        """
        env = os.environ if environ is None else environ
        values: dict[str, Any] = {
            name: env[PREFIX + name.upper()] for name in cls.model_fields if env.get(PREFIX + name.upper())
        }
        values.update({name: value for name, value in given.items() if value is not None})
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"setting {name!r} ({PREFIX}{name.upper()}): {first['msg']}") from error

    def cache_folder(self, environ: Mapping[str, str] | None = None) -> Path:
        """Where converted models are kept; not made until something is put there."""
        if self.cache:
            return Path(self.cache).expanduser()
        env = os.environ if environ is None else environ
        if sys.platform == "win32":
            base = Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return base / "memory-agent"

    def memory_folder(self, environ: Mapping[str, str] | None = None) -> Path | None:
        """A folder whose files lie in memory and never on a disk; None when none is known."""
        if self.private_folder:
            return Path(self.private_folder).expanduser()
        env = os.environ if environ is None else environ
        known = (Path("/dev/shm"), *([Path(env["XDG_RUNTIME_DIR"])] if env.get("XDG_RUNTIME_DIR") else []))
        return next((path for path in known if path.is_dir() and os.access(path, os.W_OK)), None)

    def data_folder(self, environ: Mapping[str, str] | None = None) -> Path:
        """Where a store whose ledger is elsewhere keeps its adapters on this machine; not made until needed."""
        env = os.environ if environ is None else environ
        if sys.platform == "win32":
            base = Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
        return base / "memory-agent"


def ontology_file(environ: Mapping[str, str] | None = None) -> Path | None:
    """The user's own predicates, `MEMORY_AGENT_ONTOLOGY`; of the process, since what words mean is no user's alone."""
    env = os.environ if environ is None else environ
    named = env.get(f"{PREFIX}ONTOLOGY")
    return Path(named).expanduser() if named else None


def tiktoken_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where tiktoken keeps the vocabularies that it fetched, by its own variables; None when it keeps none."""
    env = os.environ if environ is None else environ
    folder = env.get("TIKTOKEN_CACHE_DIR", env.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        return Path(tempfile.gettempdir()) / "data-gym-cache"
    return Path(folder) if folder else None


def launched_as(environ: Mapping[str, str] | None = None) -> tuple[int, int]:
    """This process's number and how many there are, as torchrun and accelerate say it; (0, 1) when launched alone."""
    env = os.environ if environ is None else environ
    try:
        rank, of = int(env.get("RANK", "0")), int(env.get("WORLD_SIZE", "1"))
    except ValueError as error:
        raise InvalidInput("RANK and WORLD_SIZE are whole numbers; leave them to torchrun") from error
    if not 0 <= rank < of:
        raise InvalidInput(f"RANK {rank} is none of {of} processes (WORLD_SIZE)")
    return rank, of
