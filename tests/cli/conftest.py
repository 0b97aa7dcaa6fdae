"""The command, called as a shell would, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commanding import command as run

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """`memory-agent ARGUMENTS` on bo's memory in `store`: its exit code, and what it wrote (JSON if `machine`)."""

    def call(store: Path, *arguments: object, machine: bool = True) -> tuple[int, Any]:
        where = ("--store", str(store), "--user", "bo", *(["--json"] if machine else []))
        said = run(capsys, *arguments, *where)
        if not machine:
            return said.code, said.out
        return said.code, said.json if said.out.strip() else None

    return call
