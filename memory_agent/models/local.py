"""The student: a small causal language model in this process, with adapters that are swapped while it stays loaded.

`LocalModel` answers batches of questions greedily. An answer depends on its own prompt and the
adapter alone, to the last byte, and not on what else was asked in the same call: every prompt is
laid out on a canvas whose shape (rows, columns) follows from its own length, and short batches are
filled up. Matrix kernels round differently for different shapes, so this is what makes one
question asked twice in different company give one answer (measured: 34 of 72 batches of free shape
differed in some bit, 0 of 400 canvases did).

`LocalChatModel` is the same model as langchain's `BaseChatModel`, one conversation at a time, streaming.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, MissingExtra, ModelError
from memory_agent.models.decoding import Generation as Generation
from memory_agent.models.decoding import Loaded, greedy, laid_out, rows_of, scored, steps
from memory_agent.models.device import best_device, best_dtype, cpu_threads, cpu_workers
from memory_agent.models.prefix import Prefix, is_prefix, load_prefix
from memory_agent.models.template import ChatFormat, Message
from memory_agent.models.weights import Weights, find_student

Prompt = str | Sequence[Message]
"""A question, or a conversation that ends with the user's message."""

_ADAPTERS_KEPT = 8


class LocalModel:
    """A causal language model of transformers. Loaded at first use; safe to share between threads.

    Questions are asked without the system line that a template may slip in: adapters are trained so.
    """

    def __init__(self, weights: Weights, *, threads: int = 0) -> None:
        """`threads`: CPU threads to compute on; 0 leaves it to torch."""
        self.weights = weights
        self._threads = threads
        self._lock = threading.RLock()
        self._loaded: Loaded | None = None
        self._peft: Any = None
        self._adapters: dict[Path, str | Prefix] = {}
        """Folder -> the name of a LoRA in `_peft`, or a KV prefix."""
        self._named = 0

    @classmethod
    def load(cls, settings: Settings) -> LocalModel:
        """The student of the settings; one object a process for one folder of weights.

        Raises ModelNotFound when it is not on this machine, with the way out.
        """
        weights = find_student(settings)
        with _sharing:
            return _shared.setdefault((weights.folder, settings.threads), cls(weights, threads=settings.threads))

    @property
    def name(self) -> str:
        return self.weights.name

    @property
    def revision(self) -> str:
        """Hash of the weights and the chat template: what an adapter is bound to."""
        return self.weights.revision

    @property
    def chat(self) -> ChatFormat:
        """The chat template and tokenizer."""
        return self._ready().chat

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` in this model's tokenizer."""
        return len(self.chat.ids(text))

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: Path | None = None,
        max_new_tokens: int = 32,
        progress: Callable[[float], None] | None = None,
    ) -> list[Generation]:
        """Greedy answers, in the order of the prompts; each is a function of its prompt and adapter alone.

        `adapter` is a PEFT adapter folder, None the untouched base; one that stands for a model elsewhere is asked
        there. Raises ModelError when it does not load, fit or answer, InvalidInput for a prompt longer than the window.
        """
        if adapter is not None and (adapter / "remote.json").is_file():
            from memory_agent.models import remote

            return remote.generate(adapter, prompts, max_new_tokens=max_new_tokens, progress=progress)
        with self._lock, self._using(adapter) as loaded:
            rows = [loaded.chat.prompt_ids(prompt) for prompt in prompts]
            for row in rows:
                self._check_length(row, max_new_tokens + loaded.ahead)
            order = sorted(range(len(rows)), key=lambda i: (len(rows[i]), i))
            answers: dict[int, Generation] = {}
            canvases = list(laid_out([(i, len(rows[i])) for i in order]))

            def answered(canvas: tuple[int, list[int]]) -> list[Generation]:
                width, part = canvas
                return greedy(loaded, [rows[i] for i in part], width, rows_of(width), max_new_tokens)

            with self._mapping(len(canvases)) as each:
                for (_, part), found in zip(canvases, each(answered, canvases), strict=True):
                    answers.update(zip(part, found, strict=True))
                    if progress is not None:
                        progress(len(answers) / len(rows))
            return [answers[i] for i in range(len(rows))]

    def stream(
        self, prompt: Prompt, *, adapter: Path | None = None, max_new_tokens: int = 256
    ) -> Iterator[tuple[str, Generation | None]]:
        """Pieces of one greedy answer as they come; the last one is empty and has the whole. Raises as `generate`.

        May be read from several threads, as asyncio does, and as slowly as one likes: the model works in a thread of
        its own and waits for nobody. Closed early, it stops at the next piece.
        """
        pieces: SimpleQueue[tuple[str, Generation | None] | BaseException | None] = SimpleQueue()
        closed = threading.Event()

        def work() -> None:
            try:
                for piece in self._stream(prompt, adapter, max_new_tokens):
                    pieces.put(piece)
                    if closed.is_set():
                        return
                pieces.put(None)
            except BaseException as error:  # noqa: BLE001 - it is raised where the stream is read
                pieces.put(error)

        threading.Thread(target=work, name="local-model-stream", daemon=True).start()
        try:
            while (piece := pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            closed.set()

    def _stream(
        self, prompt: Prompt, adapter: Path | None, max_new_tokens: int
    ) -> Iterator[tuple[str, Generation | None]]:
        with self._lock, self._using(adapter) as loaded:
            row = loaded.chat.prompt_ids(prompt)
            self._check_length(row, max_new_tokens + loaded.ahead)
            with self._computing():
                said, ids, least = "", [], 1.0
                for chosen, sure in steps(loaded, [row], len(row), max_new_tokens):
                    least = min(least, sure[0])
                    if chosen[0] in loaded.chat.stops:
                        break
                    ids.append(chosen[0])
                    text = loaded.chat.text(ids)
                    if len(text) > len(said) and not text.endswith("�"):  # half a character is not shown
                        yield text[len(said) :], None
                        said = text
                text = loaded.chat.text(ids)
                if len(text) > len(said):
                    yield text[len(said) :], None
                yield "", Generation(text, len(ids), len(row), least)

    def log_probs(self, pairs: Sequence[tuple[Prompt, str]], *, adapter: Path | None = None) -> list[list[float]]:
        """Log-probability of every token of each given answer to its prompt, the end of the answer included."""
        with self._lock:
            chat = self._ready().chat
            rows = [(chat.prompt_ids(prompt), chat.answer_ids(answer)) for prompt, answer in pairs]
            with self._using(adapter) as loaded, self._mapping(len(rows)) as each:
                return list(each(lambda row: scored(loaded, [*row[0], *row[1]], len(row[0])), rows))

    def perplexity(self, text: str, *, adapter: Path | None = None, window: int = 512) -> float:
        """Perplexity of running text, in windows of that many tokens that do not overlap."""
        import math

        with self._lock:
            ids = self._ready().chat.ids(text)
            if len(ids) < 2:
                raise InvalidInput("perplexity needs a text of at least two tokens")
            windows = [ids[i : i + window] for i in range(0, len(ids), window)]
            with self._using(adapter) as loaded, self._mapping(len(windows)) as each:
                scores = [s for found in each(lambda part: scored(loaded, part, 1), windows) for s in found]
        return math.exp(-sum(scores) / len(scores))

    @contextmanager
    def opened(self, adapter: Path | None) -> Iterator[Loaded]:
        """The network itself with that adapter, or with none, for one caller at a time."""
        with self._lock, self._using(adapter) as loaded, self._computing():
            yield loaded

    def _ready(self) -> Loaded:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.weights)
            return self._loaded

    def _check_length(self, row: Sequence[int], new: int) -> None:
        longest = self._ready().longest
        if len(row) + new > longest:
            raise InvalidInput(
                f"a prompt of {len(row)} tokens and an answer of up to {new} do not fit into the "
                f"{longest} tokens of {self.name}"
            )

    @contextmanager
    def _computing(self) -> Iterator[None]:
        import torch

        loaded = self._ready()
        # In float32 the split of rows over threads changes the last bits; in bfloat16 it does not.
        exact = loaded.device.type == "cpu" and loaded.dtype == torch.float32
        with cpu_threads(1 if exact else self._threads):
            yield

    @contextmanager
    def _mapping(self, tasks: int) -> Iterator[Callable[..., Iterator[Any]]]:
        """A `map` for that many tasks: on a CPU several go side by side, on a thread each."""
        if self._ready().device.type == "cpu" and tasks > 1:
            with cpu_workers(self._threads) as pool:
                yield pool.map
        else:
            with self._computing():
                yield map

    @contextmanager
    def _using(self, adapter: Path | None) -> Iterator[Loaded]:
        """The model with that adapter, or with none, inside the block."""
        loaded = self._ready()
        held = None if adapter is None else self._adapters.get(adapter.resolve()) or self._load_adapter(adapter)
        if isinstance(held, str):
            self._peft.set_adapter(held)
            yield loaded
            return
        with nullcontext() if self._peft is None else self._peft.disable_adapter():
            yield replace(loaded, prefix=held)

    def _load_adapter(self, adapter: Path) -> str | Prefix:
        """Load and remember; the one loaded first goes when there are too many."""
        folder = adapter.resolve()
        if not (folder / "adapter_model.safetensors").is_file():
            raise ModelError(f"{folder} is no adapter folder: it has no adapter_model.safetensors")
        try:
            prefix = is_prefix(folder)
            held = load_prefix(folder, self._ready().model) if prefix else self._load_lora(folder)
        except ImportError as error:
            raise MissingExtra("answering from an adapter", "distill") from error
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"the adapter at {folder} does not load onto {self.name}: {error}") from error
        self._adapters[folder] = held
        if len(self._adapters) > _ADAPTERS_KEPT:
            self.unload(next(iter(self._adapters)))
        return held

    def _load_lora(self, folder: Path) -> str:
        """Put a LoRA into the model; its name there."""
        from peft import PeftModel

        name = f"adapter{self._named}"
        self._named += 1
        if self._peft is None:
            model = self._ready().model
            self._peft = PeftModel.from_pretrained(model, folder, adapter_name=name, autocast_adapter_dtype=False)
        else:
            self._peft.load_adapter(folder, adapter_name=name, autocast_adapter_dtype=False)
        self._peft.eval()
        return name

    def unload(self, adapter: Path) -> None:
        """Forget an adapter's weights, for when its folder was deleted or replaced; nothing if it is not loaded."""
        with self._lock:
            held = self._adapters.pop(adapter.resolve(), None)
            if isinstance(held, str):
                self._peft.delete_adapter(held)


_shared: dict[tuple[Path, int], LocalModel] = {}
_sharing = threading.Lock()


def _load(weights: Weights) -> Loaded:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtra("the local model", "distill") from error
    logging.disable_progress_bar()
    device = best_device()
    dtype = best_dtype(device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(weights.folder)
        model = AutoModelForCausalLM.from_pretrained(weights.folder, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"the model at {weights.folder} does not load: {error}") from error
    model.eval().requires_grad_(False).to(device)
    ends = getattr(model.generation_config, "eos_token_id", None)
    stops = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
    longest = getattr(model.config, "max_position_embeddings", None) or 1_000_000
    takes = frozenset(inspect.signature(model.forward).parameters)
    return Loaded(model, ChatFormat(tokenizer, stops), device, dtype, takes, longest)


class LocalChatModel(BaseChatModel):
    """The local model as a langchain chat model: greedy, one conversation at a time, streaming."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    local: Any
    """The LocalModel."""
    adapter: Path | None = None
    max_new_tokens: int = 256

    @classmethod
    def load(cls, settings: Settings) -> Self:
        """The student of the settings. Raises ModelNotFound when it is not on this machine."""
        return cls(local=LocalModel.load(settings))

    @property
    def _llm_type(self) -> str:
        return "memory-agent-local"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.local.name, "adapter": None if self.adapter is None else str(self.adapter)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_model_name"] = kwargs.get("model") or self.local.name
        return params

    def get_num_tokens(self, text: str) -> int:
        count: int = self.local.count_tokens(text)
        return count

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        pieces = list(self._stream(messages, stop, None, **kwargs))
        usage = next(
            (
                p.message.usage_metadata
                for p in pieces
                if isinstance(p.message, AIMessageChunk) and p.message.usage_metadata
            ),
            None,
        )
        text = "".join(piece.text for piece in pieces)
        message = AIMessage(content=text, usage_metadata=usage, response_metadata=pieces[-1].message.response_metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        said = ""
        held = _Held(stop or [])
        turns = [_turn(message) for message in messages]
        for piece, whole in self.local.stream(
            turns, adapter=self.adapter, max_new_tokens=kwargs.get("max_tokens", self.max_new_tokens)
        ):
            text = held.release(piece, end=whole is not None)
            said += text
            if text:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
                if run_manager is not None:
                    run_manager.on_llm_new_token(text, chunk=chunk)
                yield chunk
            if whole is not None:
                usage = UsageMetadata(
                    input_tokens=whole.prompt_tokens,
                    output_tokens=whole.tokens,
                    total_tokens=whole.prompt_tokens + whole.tokens,
                )
                about = {"model_name": self.local.name, "min_probability": whole.min_probability}
                yield ChatGenerationChunk(
                    message=AIMessageChunk(content="", usage_metadata=usage, response_metadata=about)
                )


class _Held:
    """Holds back text that could be the start of a stop string, and all that follows one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._kept = ""
        self._over = False

    def release(self, piece: str, end: bool) -> str:
        if self._over:
            return ""
        text = self._kept + piece
        found = [text.index(stop) for stop in self._stops if stop in text]
        if found:
            self._over, self._kept = True, ""
            return text[: min(found)]
        keep = 0
        if not end:
            keep = max((n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)
        self._kept = text[len(text) - keep :]
        return text[: len(text) - keep]


_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "user", "function": "user"}


def _turn(message: BaseMessage) -> dict[str, str]:
    return {"role": _ROLES.get(message.type, "user"), "content": str(message.text)}
