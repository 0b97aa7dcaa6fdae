"""A crash before writes: some of the boundaries that Python sees, and in the soak every call of libc."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("boundaries.py")


def crashes(*options: str) -> dict[str, int]:
    """Operation -> how many crashes were looked into; nothing may be amiss after any."""
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: int(n) for name, n in re.findall(r"^([\w-]+): \d+ boundaries, (\d+) crashes", done.stdout, re.M)}


def test_a_crash_at_some_boundaries_loses_nothing() -> None:
    found = crashes("--seen", "--sample", "3")
    operations = {"add", "consolidate", "forget", "supersede", "backup", "restore", "migrate", "move"}
    assert set(found) == operations | {"rekey", "sealed-backup"}
    assert min(found.values()) >= 3


@pytest.mark.soak
@pytest.mark.parametrize("torn", [(), ("--torn",)], ids=["before", "within"])
def test_a_crash_at_every_boundary_loses_nothing(torn: tuple[str, ...]) -> None:
    assert sum(crashes(*torn).values()) > 1000
