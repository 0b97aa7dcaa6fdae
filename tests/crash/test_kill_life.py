"""kill -9 at random instants while everything is done by turns, on SQLite with Chroma and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import harness
import life
import pytest
from harness import kill_repeatedly
from students import tiny_student

harness.PRELOAD += life.PRELOAD


LONG = [pytest.param(50, marks=pytest.mark.soak, id=f"soak{n}") for n in range(20)]
"""A thousand kills, each fifty on a store that begins empty: lives get slow as they get long."""


@pytest.mark.parametrize("kills", [8, *LONG])
def test_kill_during_a_life_on_sqlite_and_chroma(tmp_path: Path, kills: int) -> None:
    killed(tmp_path, kills)


@pytest.mark.parametrize("kills", [6, *LONG])
def test_kill_during_a_life_on_postgres(tmp_path: Path, postgres_url: str, kills: int) -> None:
    (tmp_path / "url").write_text(postgres_url)
    killed(tmp_path, kills)


def killed(tmp_path: Path, kills: int) -> None:
    """The long ones distil as well; what is killed in the middle of that is in test_kill_distill, too."""
    if kills >= 50:
        harness.PRELOAD += life.TRAINING
        tiny_student(tmp_path / "student")
    kill_repeatedly(life.live, life.whole, tmp_path / "store", kills=kills, longest=1.5, after=4)
    life.tell(tmp_path / "store")
