"""The command, called as a shell would call it, in this process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from memory_agent.cli import main


@dataclass
class Said:
    """What a run of the command left: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> Said:
    """Run `memory-agent ARGUMENTS`; what was written before is not in what it said. -1 is an exit without a number."""
    capsys.readouterr()
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["memory-agent", *map(str, arguments)])
        try:
            main.main()
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 0 if left.code is None else -1
    said = capsys.readouterr()
    return Said(code, said.out, said.err)
