"""The gate between a trained adapter and its use: thresholds from a file, a verdict with reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Self

from pydantic import ValidationError, model_validator

from memory_agent.distillation.scorecard import Scorecard
from memory_agent.errors import InvalidInput
from memory_agent.records import Record


class Threshold(Record):
    """The least or the most a figure may be, both inclusive; a required one must have been probed."""

    min: float | None = None
    max: float | None = None
    required: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a threshold needs min or max")
        return self

    def objection(self, name: str, figure: float) -> str | None:
        """What is wrong with the figure, or None."""
        if self.min is not None and not figure >= self.min:
            return f"{name} {figure:.3f} is below {self.min:g}"
        if self.max is not None and not figure <= self.max:
            return f"{name} {figure:.3f} is above {self.max:g}"
        return None


class Gate(Record):
    """Thresholds by figure."""

    thresholds: Mapping[str, Threshold]

    @classmethod
    def load(cls, path: Path | None = None) -> Gate:
        """The thresholds of a JSON file, `{"<figure>": {"min": ..., "max": ...}}`; by default the built-in gate.json.

        Raises InvalidInput, naming the file, when it cannot be read as such.
        """
        file = path if path is not None else resources.files("memory_agent.distillation").joinpath("gate.json")
        try:
            data = json.loads(file.read_text("utf-8"))
            return cls(thresholds={name: value for name, value in data.items() if name != "about"})
        except (OSError, ValueError, AttributeError, ValidationError) as error:
            raise InvalidInput(f"{file} is no gate: {error}") from error

    def objections(self, card: Scorecard) -> tuple[str, ...]:
        """Why what `card` shows may not be promoted; empty when it may. What was not probed is judged only if required.

        A figure that is not a number (a diverged model's perplexity) is an objection.
        """
        found = []
        for name, threshold in self.thresholds.items():
            figure = card.figure(name)
            if figure is None:
                objection = f"{name} was not probed" if threshold.required else None
            else:
                objection = threshold.objection(name, figure)
            if objection:
                found.append(objection)
        return tuple(found)
