"""Counting tokens as the model in use does. Nothing here estimates, and nothing is downloaded unasked.

The tokenizer is, in this order:

    1. the local model's own, with its chat template, so that a whole prompt is counted exactly;
    2. what the model brings: `custom_get_token_ids`, or a `get_token_ids` or `get_num_tokens` of its own
       (but for classes whose `get_num_tokens` is a request over the network);
    3. tiktoken's for OpenAI's models, where its vocabulary is on this machine, or may be fetched by the settings;
    4. the local student's (SmolLM2: a byte-level BPE of 49,152 entries). The vocabularies of today's hosted
       models are two to five times as large, so that on ordinary text it gives as many tokens as theirs or more;
    5. without that, the bytes of the text in UTF-8: no byte-level BPE gives more tokens than bytes.

Where no template is known, a message costs MESSAGE tokens and its role beside its content, and a reply PRIMING
(OpenAI cookbook, "How to count tokens with tiktoken").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_agent.config import tiktoken_folder
from memory_agent.errors import MissingExtra, ModelNotFound

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from memory_agent.config import Settings

Message = Mapping[str, str]
"""`role` ("system", "user" or "assistant") and `content`."""

MESSAGE = 4
PRIMING = 3
_ASKS_THE_NETWORK = ("langchain_google_genai", "langchain_google_vertexai", "langchain_anthropic")
"""Packages whose models count by asking their server."""
_OPENAI = "langchain_openai"
_ENCODINGS = "https://openaipublic.blob.core.windows.net/encodings/"
_KEPT = 4096
_LONGEST_KEPT = 4000


class TokenCounter:
    """Counts tokens as one tokenizer does; `name` says which. Safe to share between threads."""

    def __init__(
        self, name: str, count: Callable[[str], int], prompt: Callable[[Sequence[Message]], int | None] | None = None
    ) -> None:
        """`count` gives the tokens of a text, `prompt` those of a conversation, or None where no template takes it."""
        self.name = name
        self._count = count
        self._prompt = prompt
        self._kept = lru_cache(maxsize=_KEPT)(count)

    def __call__(self, text: str) -> int:
        """Tokens of `text`. Counts of short texts are kept."""
        if not text:
            return 0
        return self._kept(text) if len(text) <= _LONGEST_KEPT else self._count(text)

    def message(self, message: Message) -> int:
        """What one message adds to a prompt, its frame included; the sum over messages may miss a prompt's by a few."""
        return MESSAGE + self(message["role"]) + self(message["content"])

    def prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of a whole prompt, up to where the reply begins."""
        exact = self._prompt(messages) if self._prompt is not None and messages else None
        if exact is not None:
            return exact
        return PRIMING + sum(self.message(message) for message in messages)


def counter_for(model: str | BaseChatModel, settings: Settings) -> TokenCounter:
    """The counter for a chat model or for what names one ("local", "openai:gpt-4.1-mini"); see the module."""
    if isinstance(model, str):
        provider, _, name = model.partition(":")
        return (_tiktoken(name, settings) if provider == "openai" else None) or student_counter(settings)
    folder = _folder(model)
    if folder is not None:
        return _of_folder(folder)
    return _own(model) or _of_openai(model, settings) or student_counter(settings)


def is_local(model: object) -> bool:
    """Whether the model runs in this process, from weights on this machine."""
    return _folder(model) is not None


def _folder(model: object) -> Path | None:
    """Where the weights of a local model lie."""
    weights = getattr(getattr(model, "local", None), "weights", None)
    return None if weights is None else Path(weights.folder)


def student_counter(settings: Settings) -> TokenCounter:
    """The student's tokenizer, without its weights; bytes where it is not on this machine."""
    try:
        return _of_folder(_student_folder(settings))
    except (ModelNotFound, MissingExtra):
        return TokenCounter("utf-8 bytes", lambda text: len(text.encode("utf-8", "surrogatepass")))


@lru_cache(maxsize=8)
def _student_folder(settings: Settings) -> Path:
    # Finding it can mean hashing its file, which is too slow for every question.
    from memory_agent.models.weights import find_student

    return find_student(settings).folder


@lru_cache(maxsize=4)
def _of_folder(folder: Path) -> TokenCounter:
    from memory_agent.models.template import ChatFormat

    try:
        from jinja2.exceptions import TemplateError
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra("counting tokens as the local model does", "distill") from error
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    chat = ChatFormat(tokenizer)

    def prompt(messages: Sequence[Message]) -> int | None:
        try:
            return len(chat.prompt_ids(messages))
        except TemplateError:  # a template that takes no system line, or no two turns of one speaker
            return None

    return TokenCounter(folder.name, lambda text: len(chat.ids(text)), prompt)


def _comes_from(model: object, packages: Sequence[str]) -> bool:
    return any(kind.__module__.partition(".")[0] in packages for kind in type(model).__mro__)


def _own(model: BaseChatModel) -> TokenCounter | None:
    """What the model counts by itself, without the network."""
    from langchain_core.language_models.base import BaseLanguageModel

    name = type(model).__name__
    if model.custom_get_token_ids is not None:
        ids = model.custom_get_token_ids
        return TokenCounter(f"{name}.custom_get_token_ids", lambda text: len(ids(text)))
    if _comes_from(model, (*_ASKS_THE_NETWORK, _OPENAI)):
        return None
    kind = type(model)
    if kind.get_num_tokens is not BaseLanguageModel.get_num_tokens:
        return TokenCounter(f"{name}.get_num_tokens", model.get_num_tokens)
    if kind.get_token_ids is not BaseLanguageModel.get_token_ids:
        return TokenCounter(f"{name}.get_token_ids", lambda text: len(model.get_token_ids(text)))
    return None


def _of_openai(model: BaseChatModel, settings: Settings) -> TokenCounter | None:
    if not _comes_from(model, (_OPENAI,)):
        return None
    return _tiktoken(str(getattr(model, "tiktoken_model_name", None) or getattr(model, "model_name", "")), settings)


def _tiktoken(name: str, settings: Settings) -> TokenCounter | None:
    """tiktoken's count for a model of OpenAI's; None where its vocabulary would have to be fetched and may not be."""
    try:
        import tiktoken
    except ImportError:
        return None
    try:
        encoding = tiktoken.encoding_name_for_model(name)
    except KeyError:
        return None
    # The place and the name in it are tiktoken's own.
    key = hashlib.sha1(f"{_ENCODINGS}{encoding}.tiktoken".encode(), usedforsecurity=False).hexdigest()
    folder = tiktoken_folder()
    if not settings.allow_downloads and (folder is None or not (folder / key).is_file()):
        return None
    try:
        found = tiktoken.get_encoding(encoding)
    except OSError:  # no network
        return None
    return TokenCounter(f"tiktoken {encoding}", lambda text: len(found.encode(text, disallowed_special=())))


@dataclass(frozen=True)
class Reach:
    """How many tokens a model takes: in all, and of them for its reply."""

    window: int
    reply: int


WINDOW = 8192
LOCAL_WINDOW = 2048
"""A small model is confused by more, and a long prompt is slow without a GPU."""


def reach_of(model: BaseChatModel, window: int | None = None) -> Reach:
    """A window that suits the model, or `window` but no more than the model's own, and room for a reply."""
    folder = _folder(model)
    if folder is not None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        longest = int(config.get("max_position_embeddings") or LOCAL_WINDOW)
        usual, most = LOCAL_WINDOW, getattr(model, "max_new_tokens", None)
    else:
        profile: Mapping[str, Any] = getattr(model, "profile", None) or {}
        longest = int(profile.get("max_input_tokens") or 0) or max(WINDOW, window or 0)
        usual, most = WINDOW, getattr(model, "max_tokens", None)
    size = min(window or usual, longest)
    return Reach(size, min(most if isinstance(most, int) and most > 0 else size // 8, size // 4))
