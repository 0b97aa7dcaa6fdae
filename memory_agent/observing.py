"""What an operator sees of the library at work: log lines, metrics and spans.

Of memories they hold ids, counts, durations and words of ours, never what somebody said: a message
of an error may quote it, so log lines carry an error's kind and place, and its message only when asked for.

Metrics are kept when prometheus-client is installed, spans when opentelemetry-api is; both stay in this
process until the application exports them. Nothing is imported before the first operation.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Literal, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class JsonLines(logging.Formatter):
    """One JSON object a line: at, level, logger, event, what was passed as `extra={"fields": {...}}`, and an error."""

    def __init__(self, *, content: bool = False) -> None:
        """`content`: whether messages of errors, which may quote memories, are written too."""
        super().__init__()
        self._content = content

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            told["error"] = self._error(record.exc_info[1])
        return json.dumps(told, default=str, ensure_ascii=False)

    def _error(self, error: BaseException) -> dict[str, Any]:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return {"kind": type(error).__name__, "where": where} | ({"message": str(error)} if self._content else {})


def set_up_logs(form: Literal["json", "text"], *, content: bool = False, level: int = logging.INFO) -> None:
    """Write the library's log lines to stderr. For programs of ours; a library leaves it to its application."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines(content=content) if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logger = logging.getLogger("memory_agent")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


class Metrics:
    """The library's metrics, in a registry of their own. Labels are words of ours, never a tenant, user or memory."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "memory_agent_operation_seconds", "Seconds of an operation of the library.", ("operation", "ending"),
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.jobs = Counter(
            "memory_agent_jobs", "Looks at jobs, by how each ended.", ("job", "ending"), registry=self.registry
        )
        self.last = Gauge(
            "memory_agent_job_last_done_timestamp_seconds",
            "When a job was last done.",
            ("job",),
            registry=self.registry,
        )
        self.looked = Gauge(
            "memory_agent_last_look_timestamp_seconds",
            "When the daemon or worker last looked for something to do.",
            registry=self.registry,
        )
        self.queue = Gauge("memory_agent_queue_tasks", "Tasks in the queue.", ("state",), registry=self.registry)


@functools.cache
def metrics() -> Metrics | None:
    """The process's metrics, or None without prometheus-client."""
    try:
        return Metrics()
    except ModuleNotFoundError:
        return None


@functools.cache
def _tracer() -> Any:
    try:
        from opentelemetry import trace
    except ModuleNotFoundError:
        return None
    return trace.get_tracer("memory_agent")


@contextmanager
def observed(operation: str, attributes: Mapping[str, str | int | float] | None = None) -> Iterator[None]:
    """Count and time the block as `operation`, within a span `memory_agent.<operation>`."""
    tracer, kept = _tracer(), metrics()
    # An exception's message may quote a memory, so the span is told its kind only.
    span = (
        nullcontext()
        if tracer is None
        else tracer.start_as_current_span(
            f"memory_agent.{operation}",
            attributes=dict(attributes or {}),
            record_exception=False,
            set_status_on_exception=False,
        )
    )
    began, ending = time.perf_counter(), "done"
    with span as current:
        try:
            yield
        except BaseException as error:
            ending = type(error).__name__
            if current is not None:
                from opentelemetry.trace import StatusCode

                current.set_attribute("error.type", ending)
                current.set_status(StatusCode.ERROR)
            raise
        finally:
            if kept is not None:
                kept.seconds.labels(operation, ending).observe(time.perf_counter() - began)


def operation(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Observe every call of a function as the operation `name`."""

    def wrap(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with observed(name):
                return function(*args, **kwargs)

        return call

    return wrap
