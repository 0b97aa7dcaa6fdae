"""Trainers: a job folder in, an adapter folder out. Found by entry point, or passed in.

lora      a LoRA on this machine (the default)
prefix    a KV prefix on this machine: keys and values before the question, no weight changed
command   a command of the user's
export    files that TRL, axolotl, LLaMA-Factory and Unsloth read, trained wherever
openai    a fine-tuning API that speaks OpenAI's format
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.protocols import Progress, Trainer

ENTRY_POINTS = "memory_agent.trainers"
DEFAULT = "lora"

Train = Callable[[Path, Path, Progress | None], Path]
"""`Trainer.train` as a plain function."""


class CallableTrainer:
    """A function as a trainer; named by its module and name, so that another function builds anew."""

    def __init__(self, function: Train) -> None:
        self._function = function
        self.name = f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """What the function makes of the job; see `Trainer`."""
        return self._function(job, out, progress)


def find_trainer(trainer: str | Trainer | Train | None = None, **options: Any) -> Trainer:
    """The trainer of that name, from the entry points `memory_agent.trainers`; `lora` by default.

    `options` go to its constructor. A trainer object is passed through, a function wrapped. Raises InvalidInput
    for an unknown name, or options that the trainer of that name does not take.
    """
    if trainer is not None and not isinstance(trainer, str):
        return trainer if isinstance(trainer, Trainer) else CallableTrainer(trainer)
    name = trainer or DEFAULT
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        factory = entry.load()
        try:
            inspect.signature(factory).bind(**options)
        except TypeError as error:
            raise InvalidInput(f"trainer {name!r}: {error}") from error
        return cast(Trainer, factory(**options))
    known = ", ".join(sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)}))
    raise InvalidInput(f"no trainer is called {name!r} (known: {known})")


def trainer_of(settings: Settings, trainer: str | Trainer | Train | None = None, **options: Any) -> Trainer:
    """`find_trainer`, by default the one that the settings name, with their options and number of threads.

    `options` go before those of the settings, which are the named trainer's alone. Raises InvalidInput.
    """
    if trainer is not None and not isinstance(trainer, str):
        return find_trainer(trainer)
    name = trainer or settings.trainer or DEFAULT
    given: dict[str, Any] = {}
    if settings.trainer_options and name == (settings.trainer or DEFAULT):
        try:
            given = dict(json.loads(settings.trainer_options))
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"setting 'trainer_options' is no JSON object: {error}") from error
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        if "threads" in inspect.signature(entry.load()).parameters:
            given.setdefault("threads", settings.threads)
    return find_trainer(name, **{**given, **options})


def method_of(trainer: Trainer) -> str:
    """What an adapter's digest and manifest call the trainer: its `name`, else its class."""
    return str(getattr(trainer, "name", type(trainer).__qualname__))
