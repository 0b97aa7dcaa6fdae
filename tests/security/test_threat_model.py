"""Every threat names tests that attack it, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [line for line in (ROOT / "docs" / "threat-model.md").read_text("utf-8").splitlines() if line.startswith("| **")]


def test_every_threat_has_tests_and_they_exist() -> None:
    assert len(ROWS) >= 8
    for row in ROWS:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
        assert named, row
        for file, test in named:
            assert re.search(rf"def {test}\(", (ROOT / file).read_text("utf-8")), f"{file} has no {test}"
