"""Dates and spans in words: as precise as they were said, and never more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.records import Fact, PartialDate, Rejection, Source
from memory_agent.semantic import ontology
from memory_agent.views import record, times

TERMS = ontology.load()
SAID = datetime(2025, 2, 9, 10, 30, tzinfo=UTC)


def fact(predicate: str = "lives_in", **more: Any) -> Fact:
    source = Source(episode_id="e", start=0, end=1, quote="x", speaker="Ana", at=SAID)
    given = {"subject": "Ana", "subject_id": "a", "object": "Ghent", "text": "x", "recorded_at": SAID}
    return Fact.model_validate({"id": "f", "predicate": predicate, "sources": (source,), **given, **more})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("2024", "2024"),
        ("2024-03", "March 2024"),
        ("2024-W11", "the week of 11 Mar 2024"),
        ("2024-03-04", "4 Mar 2024"),
        ("2024-03-04T09:05:00+00:00", "4 Mar 2024, 09:05 UTC"),
    ],
)
def test_a_date_is_as_precise_as_it_was_said(said: str, words: str) -> None:
    assert times.date(PartialDate(said)) == words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "since 9 Feb 2025 or before"),
        ({"valid_from": "2024"}, "since 2024"),
        ({"valid_from": "2024", "valid_to": "2025-08", "status": "ended"}, "2024 to August 2025"),
        ({"valid_to": "2025-08", "status": "superseded"}, "until August 2025"),
        ({"status": "superseded"}, "no more, dates not said"),
        ({"valid_from": "2024", "status": "superseded"}, "from 2024, end not said"),
        ({"valid_from": "2024-03-04", "valid_to": "2024-03-04"}, "on 4 Mar 2024"),
        ({"valid_from": "2025-08", "modality": "planned", "predicate": "plans"}, "August 2025"),
        ({"modality": "planned", "predicate": "plans"}, "day not said"),
    ],
)
def test_a_span_says_what_was_said_of_it(given: dict[str, Any], words: str) -> None:
    assert times.period(fact(**given), TERMS) == words


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_day_in_words_is_that_day(moment: datetime) -> None:
    assert datetime.strptime(times.day(moment), "%d %b %Y").date() == moment.date()


def test_a_refused_proposal_reads_as_a_line() -> None:
    told = Rejection(id="r", episode_id="e", reason="object", proposed="Ana | -works_at | Alder House")
    assert record.proposed(told) == "Ana not works at Alder House"
    assert record.why_refused(told.reason) == "its value is named nowhere"
    assert record.proposed(told.model_copy(update={"proposed": "a | b"})) == "a | b"
    assert record.why_refused("of my own") == "of my own"
