"""Cron expressions and intervals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.errors import InvalidInput
from memory_agent.scheduling.triggers import last_slot, trigger_of

SUNDAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 3 * * *", "2026-03-02T03:30"),
        ("*/15 * * * *", "2026-03-01T12:15"),
        ("0 4 * * 0", "2026-03-08T04:00"),
        ("0 4 * * 7", "2026-03-08T04:00"),
        ("0 4 * * 1", "2026-03-02T04:00"),
        ("0 4 * * 1-5", "2026-03-02T04:00"),
        ("0 4 * * 6,0", "2026-03-07T04:00"),
        ("0 4 * * fri-mon", "2026-03-02T04:00"),
        ("0 4 * * tue", "2026-03-03T04:00"),
        ("0 0 1 * *", "2026-04-01T00:00"),
        ("6h", "2026-03-01T18:00"),
        ("1d12h", "2026-03-03T00:00"),
    ],
)
def test_the_next_time_to_look(text: str, expected: str) -> None:
    assert trigger_of(text).after(SUNDAY) == datetime.fromisoformat(expected + "+00:00")


@pytest.mark.parametrize(
    "text", ["", "* * * *", "* * * * * *", "61 * * * *", "0 4 1 * 1", "0 4 * * 8", "0 4 * * x", "soon", "0 0 31 2 *"]
)
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        trigger_of(text).after(SUNDAY)
    with pytest.raises(InvalidInput, match="time zone"):
        trigger_of("0 4 * * *", "Nowhere/Land")


def test_daylight_saving_moves_the_instant_not_the_hour() -> None:
    trigger = trigger_of("30 3 * * *", "Europe/Lisbon")  # the clocks go forward on 29 March 2026 at 1:00
    before, after = (
        trigger.after(datetime(2026, 3, 28, 0, tzinfo=UTC)),
        trigger.after(datetime(2026, 3, 29, 0, tzinfo=UTC)),
    )
    assert (before.hour, after.hour) == (3, 2)
    twice = trigger_of("30 1 * * *", "Europe/Lisbon")  # and back on 25 October at 2:00, so 1:30 comes twice
    slots, moment = [], datetime(2026, 10, 24, 12, tzinfo=UTC)
    while moment < datetime(2026, 10, 27, tzinfo=UTC):
        moment = twice.after(moment)
        slots.append(moment)
    assert [slot.day for slot in slots] in ([25, 26, 27], [25, 25, 26, 27])


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(["*/7 * * * *", "30 3 * * *", "0 0 * * 1", "45m"]), st.integers(1, 60 * 24 * 20))
def test_missed_times_are_one_and_none_is_skipped(text: str, minutes: int) -> None:
    trigger = trigger_of(text)
    now = SUNDAY + timedelta(minutes=minutes)
    found = last_slot(trigger, SUNDAY, now)
    if found is None:
        assert trigger.after(SUNDAY) > now
    else:
        assert SUNDAY < found <= now < trigger.after(found)
