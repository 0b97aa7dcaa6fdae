"""The command, called as a shell would, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memory_agent.cli import main

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`memory-agent ARGUMENTS` on bo's memory in `store`: its exit code, and what it wrote (JSON if `machine`)."""

    def call(store: Path, *arguments: object, machine: bool = True) -> tuple[int, Any]:
        where = ("--store", str(store), "--user", "bo", *(["--json"] if machine else []))
        monkeypatch.setattr(sys, "argv", ["memory-agent", *map(str, arguments), *where])
        capsys.readouterr()
        code = 0
        try:
            main.main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        written = capsys.readouterr().out
        if not machine:
            return code, written
        return code, json.loads(written) if written.strip() else None

    return call
