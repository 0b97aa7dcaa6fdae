"""The inspector: its page, and what the page reads. What it writes goes through the routes that everybody uses.

The page itself holds nothing of anybody's, so it asks for no key; each of its requests carries the reader's.
A key travels in a header that no other site can make a browser send, so there is no cookie to forge requests with.
"""

from __future__ import annotations

import threading
import time
from typing import Annotated, Any
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Response
from fastapi import Query as Parameter
from fastapi.responses import HTMLResponse

from memory_agent.errors import NotFound
from memory_agent.memory import Memory
from memory_agent.server.serving import AdminMemory, ReadMemory
from memory_agent.views import inspector

router = APIRouter(prefix="/v1/spaces/{user}/inspect", tags=["inspector"])
open_router = APIRouter(tags=["inspector"])
Of = Annotated[str, Parameter(min_length=1, max_length=600)]
FRESH = 30.0
"""Seconds for which a snapshot serves while nothing is written; what holds today can change without a write."""
_HEADERS = {
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _Snapshots:
    """The last snapshot of each open memory; it goes when the memory does."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Memory, tuple[int, float, Any]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, memory: Memory) -> Any:
        from memory_agent.views.snapshot import Snapshot

        position, now = memory.space.ledger.position(), time.monotonic()
        with self._lock:
            kept = self._kept.get(memory)
        if kept and kept[0] == position and now - kept[1] < FRESH:
            return kept[2]
        snapshot = Snapshot.of(memory.space)
        with self._lock:
            self._kept[memory] = (position, now, snapshot)
        return snapshot


_snapshots = _Snapshots()


def _json(found: Any) -> Response:
    """Plain values as they are: FastAPI's own encoder takes a second for thousands of facts."""
    from pydantic_core import to_json

    return Response(to_json(found), media_type="application/json", headers={"Cache-Control": "no-store"})


@open_router.get("/inspector", response_class=HTMLResponse)
def page() -> HTMLResponse:
    """The page. It loads nothing else but the data below."""
    policy = f"{inspector.policy()}; frame-ancestors 'none'"
    return HTMLResponse(inspector.served_page(), headers=_HEADERS | {"Content-Security-Policy": policy})


@router.get("/overview")
def overview(memory: ReadMemory) -> Any:
    """Whose memory it is, and how large."""
    from memory_agent.views import model

    return _json(model.overview(_snapshots.of(memory)))


@router.get("/graph")
def graph(memory: ReadMemory) -> Any:
    """Every version of every fact with both of its times, and the nodes they stand between."""
    from memory_agent.views import model

    return _json(model.graph(_snapshots.of(memory)))


@router.get("/weights")
def weights(memory: ReadMemory) -> Any:
    """Which facts weights were taught, and why the others would not be."""
    from memory_agent.views import model

    return _json(model.weights(_snapshots.of(memory)))


@router.get("/record")
def record(memory: ReadMemory, of: Of) -> Any:
    """One record's page."""
    from memory_agent.views.record import record_view

    return _json(record_view(_snapshots.of(memory), of))


@router.get("/sessions")
def sessions(memory: ReadMemory) -> Any:
    """The sessions, newest first."""
    from memory_agent.views import model

    return _json(model.sessions(_snapshots.of(memory)))


@router.get("/session")
def session(memory: ReadMemory, of: Of) -> Any:
    """A session's turns, what was read in each and what was refused."""
    from memory_agent.views import model

    found = model.session(_snapshots.of(memory), of)
    if not found["turns"]:
        raise NotFound(f"no turn of a session {of!r} stands in the memory of {memory.space.user!r}")
    return _json(found)


@router.get("/runs")
def runs(memory: ReadMemory) -> Any:
    """Consolidations, distillations and adapters, newest first."""
    from memory_agent.views import model

    return _json(model.runs(_snapshots.of(memory)))


@router.get("/run")
def run(memory: ReadMemory, of: Of) -> Any:
    """A consolidation as the difference it made, or a distillation with its scorecards."""
    from memory_agent.views import model

    return _json(model.run(_snapshots.of(memory), of))


@router.get("/audit")
def audit(memory: AdminMemory) -> Any:
    """The audit chain, newest first, and whether each link holds."""
    from memory_agent.views import model

    return _json(model.audit(_snapshots.of(memory)))


@router.get("/page")
def exported(memory: AdminMemory) -> Any:
    """All the pages as one file that stands alone."""
    return _json({"html": inspector.exported_page(_snapshots.of(memory))})


@router.get("/export")
def export(memory: AdminMemory) -> Any:
    """Every record, as lines that `memory-agent import` reads back."""
    from memory_agent.exchange import lines

    return _json({"lines": "".join(lines.write(memory.space))})
