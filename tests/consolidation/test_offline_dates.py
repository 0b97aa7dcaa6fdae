"""Relative dates against the day they were said on."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.consolidation.offline.dates import find, weekday_near

SAID = date(2025, 3, 20)  # a Thursday
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
days = st.dates(min_value=date(1990, 1, 1), max_value=date(2080, 12, 31))


@pytest.mark.parametrize(
    ("text", "past"),
    [
        ("yesterday", "2025-03-19"),
        ("last night", "2025-03-19"),
        ("this morning", "2025-03-20"),
        ("the day before yesterday", "2025-03-18"),
        ("last Friday", "2025-03-14"),
        ("last Thursday", "2025-03-13"),
        ("last Tues", "2025-03-18"),
        ("last week", "2025-W11"),
        ("two weeks ago", "2025-W10"),
        ("3 days ago", "2025-03-17"),
        ("a couple of months ago", "2025-01"),
        ("last month", "2025-02"),
        ("last year", "2024"),
        ("ten years ago", "2015"),
        ("in January", "2025-01"),
        ("last March", "2024-03"),
        ("since 2019", "2019"),
        ("back in 2011", "2011"),
        ("in June 2022", "2022-06"),
        ("on 4 May 2021", "2021-05-04"),
        ("on June 25th", "2024-06-25"),
        ("over the summer", "2024"),
        ("for three years", "2022"),
        ("2024-11-02", "2024-11-02"),
    ],
)
def test_past(text, past):
    (found,) = find(f"it happened {text}")
    assert found.resolve(SAID, "past") == past


@pytest.mark.parametrize(
    ("text", "future"),
    [
        ("tomorrow", "2025-03-21"),
        ("next Friday", "2025-03-21"),
        ("on Monday", "2025-03-24"),
        ("next week", "2025-W13"),
        ("next month", "2025-04"),
        ("in three weeks", "2025-W15"),
        ("in January", "2026-01"),
        ("next year", "2026"),
        ("tuesday the 25th", "2025-03-25"),
        ("on 12 May", "2025-05-12"),
    ],
)
def test_future(text, future):
    (found,) = find(f"it will happen {text}")
    assert found.resolve(SAID, "future") == future


@pytest.mark.parametrize(
    "text", ["every Monday", "on Sundays", "recently", "the other day", "I may go", "a second time"]
)
def test_no_date(text):
    assert find(text) == []


@pytest.mark.parametrize("text", ["a few years ago", "a while ago", "on the 31st of June", "on 30 February"])
def test_what_cannot_be_dated_is_not_dated(text):
    assert [e.resolve(SAID) for e in find(text)] == [None]


@pytest.mark.parametrize(
    ("text", "role"), [("since May", "since"), ("until Friday", "until"), ("for two years", "for"), ("in May", "at")]
)
def test_roles(text, role):
    assert [e.role for e in find(text)] == [role]


@settings(deadline=None)
@given(days, st.integers(0, 6))
def test_the_last_weekday_is_within_the_week_before(said, weekday):
    (found,) = find(f"last {WEEKDAYS[weekday]}")
    day = found.resolve(said).earliest.date()
    assert day.weekday() == weekday
    assert timedelta(days=1) <= said - day <= timedelta(days=7)


@settings(deadline=None)
@given(days, st.integers(0, 6))
def test_the_next_weekday_mirrors_the_last(said, weekday):
    ahead, behind = weekday_near(said, weekday, "future"), weekday_near(said, weekday, "past")
    assert ahead.weekday() == behind.weekday() == weekday
    assert behind < said < ahead
    assert ahead - behind in (timedelta(days=7), timedelta(days=14))


@settings(deadline=None)
@given(days, st.integers(1, 40), st.sampled_from(["day", "week", "month", "year"]))
def test_ago_is_before_and_as_precise_as_its_unit(said, count, unit):
    (found,) = find(f"{count} {unit}s ago")
    resolved = found.resolve(said)
    assert resolved.precision == unit
    assert resolved.earliest.date() <= said


@settings(deadline=None)
@given(st.text(max_size=80), days, st.sampled_from(["past", "future"]))
def test_any_text_is_read_without_overlaps(text, said, direction):
    found = find(text)
    assert all(a.end <= b.start for a, b in pairwise(found))
    for each in found:
        assert text[each.start : each.end] == each.text
        each.resolve(said, direction)
