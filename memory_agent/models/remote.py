"""A model that was fine-tuned elsewhere, kept as one file: `remote.json` in place of weights.

It answers through an API that speaks OpenAI's format, to which the questions asked of it go. The key is read by
the `openai` client from its own environment. Not reproducible, so never proven to be without a fact; it is
deleted at its provider when its folder is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from memory_agent.errors import ModelError
from memory_agent.models.local import Generation, Prompt
from memory_agent.records import Record

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

FILE = "remote.json"
_AT_ONCE = 8
"""Questions asked side by side."""


class Remote(Record):
    """What remote.json holds: where a model is, and what it came from."""

    model: str
    base: str
    base_url: str
    job: str
    file: str
    """Id of the uploaded rows; they are deleted after training."""
    digest: str
    """Of the job's rows, the base and the hyperparameters."""

    @classmethod
    def load(cls, folder: Path) -> Remote:
        """The model that `folder` stands for. Raises ModelError when it is none."""
        try:
            return cls.model_validate_json((folder / FILE).read_text("utf-8"))
        except (OSError, ValidationError) as error:
            raise ModelError(f"{folder} holds no {FILE} that can be read: {error}") from error


def is_remote(folder: Path) -> bool:
    """Whether an adapter folder stands for a model elsewhere."""
    return (folder / FILE).is_file()


def client_of(base_url: str | None, *, timeout: float = 60.0, retries: int = 2) -> OpenAI:
    """A client of that endpoint. Raises ModelError without a key."""
    from openai import OpenAI, OpenAIError

    try:
        return OpenAI(base_url=base_url, timeout=timeout, max_retries=retries)
    except OpenAIError as error:
        raise ModelError(f"the API at {base_url or 'api.openai.com'} cannot be used: {error}") from error


def ask(
    client: OpenAI,
    model: str,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    progress: Callable[[float], None] | None = None,
) -> list[tuple[Generation, bool]]:
    """Answers at temperature 0 in the order of the prompts, each with whether it came to its own end.

    `min_probability` is 0 where the API tells no log-probabilities: such answers are never taken for sure.
    Raises ModelError when the API fails.
    """
    from openai import OpenAIError

    def answered(prompt: Prompt) -> tuple[Generation, bool]:
        return _read(_complete(client, model, prompt, max_new_tokens))

    found = []
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for one in pool.map(answered, prompts):
                found.append(one)
                if progress is not None:
                    progress(len(found) / len(prompts))
    except OpenAIError as error:
        raise ModelError(f"{model} at {client.base_url} did not answer: {type(error).__name__}") from error
    return found


def generate(
    folder: Path,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int,
    progress: Callable[[float], None] | None = None,
) -> list[Generation]:
    """The answers of the model that `folder` stands for; see `ask`."""
    remote = Remote.load(folder)
    asked = ask(client_of(remote.base_url), remote.model, prompts, max_new_tokens=max_new_tokens, progress=progress)
    return [one for one, _ in asked]


def delete(folder: Path) -> bool:
    """Delete the model, and the rows if they are still there, at the provider; whether both are known to be gone."""
    from openai import NotFoundError, OpenAIError

    remote = Remote.load(folder)
    try:
        client = client_of(remote.base_url, timeout=10.0, retries=0)
        for gone in (lambda: client.models.delete(remote.model), lambda: client.files.delete(remote.file)):
            try:
                gone()
            except NotFoundError:
                continue
    except (OpenAIError, ModelError):
        return False
    return True


def _complete(client: OpenAI, model: str, prompt: Prompt, most: int) -> ChatCompletion:
    from openai import BadRequestError

    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(turn) for turn in prompt]
    wanted: dict[str, Any] = {"model": model, "messages": turns, "max_tokens": most, "temperature": 0, "seed": 0}
    try:
        return cast("ChatCompletion", client.chat.completions.create(**wanted, logprobs=True))
    except BadRequestError:  # not every server knows log-probabilities
        return cast("ChatCompletion", client.chat.completions.create(**wanted))


def _read(made: ChatCompletion) -> tuple[Generation, bool]:
    choice = made.choices[0]
    told = choice.logprobs.content if choice.logprobs else None
    usage = made.usage
    return Generation(
        text=(choice.message.content or "").strip(),
        tokens=usage.completion_tokens if usage else 0,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        min_probability=math.exp(min(token.logprob for token in told)) if told else 0.0,
    ), choice.finish_reason == "stop"
