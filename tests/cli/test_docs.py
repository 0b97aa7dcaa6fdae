"""The reference page names every verb, option and exit code there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from memory_agent.cli import exits, main

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text("utf-8")


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


ALL = dict(commands(typer.main.get_command(main.app)))


@pytest.mark.parametrize("name", ALL)
def test_every_verb_stands_in_the_reference_with_its_options(name: str) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}") and " | " in line), None)
    assert row is not None, f"{name} is not documented"
    for parameter in ALL[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert option in PAGE, f"{name} {option} is not documented"
                if option not in ("--store", "--user", "--tenant", "--json"):
                    assert option in row, f"{option} is not documented with {name}"


@pytest.mark.parametrize("name", ALL)
def test_every_verb_has_help_and_speaks_json(name: str) -> None:
    assert ALL[name].help
    assert "--json" in {option for parameter in ALL[name].params for option in parameter.opts}


def test_no_verb_is_listed_by_half_a_sentence() -> None:
    def groups(group: Any) -> Iterator[Any]:
        yield group
        for command in group.commands.values():
            if hasattr(command, "commands"):
                yield from groups(command)

    for group in groups(typer.main.get_command(main.app)):
        room = 80 - 6 - max(map(len, group.commands))
        briefs = {name: command.get_short_help_str(room) for name, command in group.commands.items()}
        assert {name: brief for name, brief in briefs.items() if not brief or brief.endswith("...")} == {}


def test_exit_codes_are_documented() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)}
    assert documented == {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}


def test_the_reference_names_no_verb_that_is_gone() -> None:
    named = re.findall(r"^\| `([a-z ]+[a-z])", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(ALL)
