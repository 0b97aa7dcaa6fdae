"""Every fault of the table in docs/benchmarks/faults.md."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_agent.scheduling.due import Conditions, State, judge
from memory_agent.testing.faults import FAULTS, NotTried


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_acknowledged_is_lost(fault: Callable[[Path], str], tmp_path: Path) -> None:
    try:
        assert fault(tmp_path)
    except NotTried as why:
        pytest.skip(str(why))


def test_a_job_is_not_put_off_until_a_time_that_a_wrong_clock_noted() -> None:
    now = datetime(2024, 6, 1, tzinfo=UTC)
    state = State(now, new=1, began=now + timedelta(days=2000), written=now + timedelta(days=2000))
    assert judge(state, Conditions(every=timedelta(hours=6), idle=timedelta(minutes=15))).due
    assert not judge(State(now, new=1, began=now - timedelta(hours=1)), Conditions(every=timedelta(hours=6))).due
