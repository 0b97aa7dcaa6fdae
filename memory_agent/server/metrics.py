"""Metrics for Prometheus. Labels are routes, methods and statuses: nothing names a tenant, a user or a memory."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_agent import observing

MEDIA = CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
_BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
REQUESTS = Counter("memory_agent_requests", "Requests answered.", ("method", "route", "status"), registry=REGISTRY)
SECONDS = Histogram(
    "memory_agent_request_seconds", "Seconds to the end of the answer.", ("method", "route"), buckets=_BUCKETS,
    registry=REGISTRY,
)  # fmt: skip
OVERHEAD = Histogram(
    "memory_agent_proxy_memory_seconds", "Seconds the proxy spent on memory before it asked upstream.",
    buckets=_BUCKETS, registry=REGISTRY,
)  # fmt: skip

LAG = Histogram(
    "memory_agent_loop_lag_seconds", "Seconds by which the event loop was late, since the models are loaded.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1), registry=REGISTRY,
)  # fmt: skip
LAG_MAX = Gauge("memory_agent_loop_lag_max_seconds", "The most it was late since then.", registry=REGISTRY)
_BEAT = 0.02


async def watch_loop() -> None:
    """Measure how late the event loop is, again and again, until cancelled."""
    latest = 0.0
    while True:
        due = time.perf_counter() + _BEAT
        await asyncio.sleep(_BEAT)
        late = max(time.perf_counter() - due, 0.0)
        LAG.observe(late)
        if late > latest:
            latest = late
            LAG_MAX.set(late)


def exposition() -> bytes:
    """All metrics in Prometheus' text format: the server's, and the library's operations and jobs."""
    library = observing.metrics()
    return generate_latest(REGISTRY) + (generate_latest(library.registry) if library is not None else b"")


class Measured:
    """Counts and times every request, as plain ASGI, so that streams pass through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if route != "none" else "none"
            REQUESTS.labels(method, route, str(status)).inc()
            SECONDS.labels(method, route).observe(time.perf_counter() - began)
