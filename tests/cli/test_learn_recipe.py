"""`--recipe NAME=VALUE` and the setting of the same name: what they say, and what is refused."""

from __future__ import annotations

import pytest

from memory_agent.cli import pairs
from memory_agent.config import Settings
from memory_agent.distillation.recipe import Recipe
from memory_agent.errors import InvalidInput


def test_what_is_given_goes_before_the_settings_and_those_before_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_AGENT_RECIPE", '{"l2": 0.5, "rank": 4}')
    found = pairs.recipe(["rank=8", "size=quick"])
    assert found is not None
    assert (found.l2, found.rank, found.size) == (0.5, 8, "quick")
    assert found.settled(100).epochs == Recipe(size="quick").settled(100).epochs, "what is not said follows the size"
    assert pairs.recipe(None) is None
    assert Recipe.of(Settings()) == Recipe()


@pytest.mark.parametrize(
    ("given", "says"),
    [(["rank"], "NAME=VALUE"), (["rnak=8"], "a recipe has no 'rnak'"), (["rank=none"], "recipe rank")],
)
def test_what_fits_no_recipe_is_refused(given: list[str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        pairs.recipe(given)


def test_a_setting_that_is_no_object_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no JSON object"):
        Recipe.of(Settings(recipe="rank"))
