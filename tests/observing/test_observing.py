"""What an operator sees holds ids and counts, never what was said."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from memory_agent import observing
from memory_agent.errors import NotFound
from memory_agent.memory import Memory
from memory_agent.observing import JsonLines, metrics, observed, set_up_logs
from memory_agent.testing import HashEmbedder

SECRET = "the heliotrope is under the stairs"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    observing._tracer.cache_clear()
    yield exporter
    observing._tracer.cache_clear()


def told(span: ReadableSpan) -> str:
    return span.to_json()


def test_each_operation_is_a_span_and_a_figure_without_content(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    with Memory.open(tmp_path / "m", user="ann", embedder=HashEmbedder(8)) as memory:
        memory.add([{"role": "user", "content": SECRET}])
        memory.search(SECRET)
        with pytest.raises(NotFound):
            memory.forget("no such id", reason=SECRET)
    names = [span.name for span in spans.get_finished_spans()]
    assert names == ["memory_agent.add", "memory_agent.search", "memory_agent.forget"]
    kept = metrics()
    assert kept is not None
    figures = generate_latest(kept.registry).decode()
    assert 'memory_agent_operation_seconds_count{ending="done",operation="add"}' in figures
    assert 'memory_agent_operation_seconds_count{ending="NotFound",operation="forget"}' in figures
    for text in (figures, *map(told, spans.get_finished_spans())):
        assert "heliotrope" not in text
        assert "ann" not in text.split()
    failed = spans.get_finished_spans()[-1]
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "NotFound"
    assert not failed.status.is_ok


def a_line(formatter: logging.Formatter) -> dict[str, object]:
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        record = logging.LogRecord(
            "memory_agent.x", 30, __file__, 1, "it %s", ("failed",), (ValueError, error, error.__traceback__)
        )
    record.fields = {"job": "distill", "facts": 3}
    found: dict[str, object] = json.loads(formatter.format(record))
    return found


def test_a_line_tells_an_errors_kind_and_place_and_its_words_only_when_asked() -> None:
    line = a_line(JsonLines())
    assert (line["event"], line["level"], line["job"], line["facts"]) == ("it failed", "warning", "distill", 3)
    assert SECRET not in json.dumps(line)
    error = line["error"]
    assert isinstance(error, dict)
    assert error["kind"] == "ValueError"
    assert "test_observing.py" in error["where"][0]
    assert SECRET in json.dumps(a_line(JsonLines(content=True)))


def test_logs_are_set_up_once_and_stay_ours(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("memory_agent")
    before = (list(logger.handlers), logger.level, logger.propagate)
    try:
        for _ in range(2):
            set_up_logs("json")
        logging.getLogger("memory_agent.x").info("said", extra={"fields": {"n": 1}})
        logging.getLogger("another").info("not ours")
        [line] = capsys.readouterr().err.splitlines()
        assert json.loads(line)["n"] == 1
    finally:
        logger.handlers, logger.level, logger.propagate = before


def test_what_goes_wrong_passes_through() -> None:
    with pytest.raises(KeyError), observed("search", {"hits": 3}):
        raise KeyError("x")
