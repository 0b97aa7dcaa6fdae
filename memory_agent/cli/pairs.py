"""Options that are given as NAME=VALUE, again for more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput

if TYPE_CHECKING:
    from memory_agent.distillation.recipe import Recipe

RecipeOptions = Annotated[
    list[str] | None,
    typer.Option("--recipe", help="Of the training, as NAME=VALUE; again for more [MEMORY_AGENT_RECIPE]."),
]


def pairs(option: str, given: Sequence[str] | None) -> dict[str, Any]:
    """The values by name; one that is JSON is read as such. Raises InvalidInput for what has no equals sign."""
    found: dict[str, Any] = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not equals:
            raise InvalidInput(f"{option} {each!r}: write it as NAME=VALUE")
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def recipe(given: Sequence[str] | None) -> Recipe | None:
    """The settings' recipe with these values set; None where none is given. Raises InvalidInput as `Recipe.of`."""
    if not given:
        return None
    from memory_agent.distillation.recipe import Recipe

    return Recipe.of(Settings.load(), **pairs("--recipe", given))
