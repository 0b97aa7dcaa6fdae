"""Trainers: a job folder in, an adapter folder out. Found by entry point, or passed in."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, cast

from memory_agent.errors import InvalidInput
from memory_agent.protocols import Trainer

ENTRY_POINTS = "memory_agent.trainers"


def find_trainer(trainer: str | Trainer | None = None, **options: Any) -> Trainer:
    """The trainer of that name, from the entry points `memory_agent.trainers`; `lora` by default.

    `options` go to its constructor. A trainer object is passed through. Raises InvalidInput for an unknown name.
    """
    if trainer is not None and not isinstance(trainer, str):
        return trainer
    name = trainer or "lora"
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return cast(Trainer, entry.load()(**options))
    known = ", ".join(sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)}))
    raise InvalidInput(f"no trainer is called {name!r} (known: {known})")
