"""Learning: consolidations, distillations and the adapters that come of them.

A distillation takes minutes: it is begun (202) and watched as a job. A job is of this process; what a run did stays in
the ledger, under `runs`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from memory_agent.distillation import registry
from memory_agent.errors import MemoryAgentError, NotFound, StoreBusy
from memory_agent.memory import Memory
from memory_agent.records import Adapter, ConsolidationReport, Run
from memory_agent.server.idempotency import IdempotentRoute
from memory_agent.server.paging import Cursor, Limit, Page, listed
from memory_agent.server.serving import AdminMemory, ReadMemory, WriteMemory

router = APIRouter(prefix="/v1/spaces/{user}", tags=["learning"])
beginning = APIRouter(prefix="/v1/spaces/{user}", tags=["learning"], route_class=IdempotentRoute)
_JOBS_KEPT = 1000


class Job(BaseModel):
    """A distillation that was begun: how far it is, and what came of it."""

    id: str
    state: Literal["running", "done", "failed"]
    share: float = 0.0
    """How much of it is done, 0 to 1."""
    doing: str = ""
    report: dict[str, Any] | None = None
    error: str | None = None


class DistillIn(BaseModel, extra="forbid"):
    """How to distil."""

    seed: int = Field(default=0, ge=0, le=2**31 - 1)


@dataclass
class _Jobs:
    """The jobs of this process, by space; one distillation of a space at a time."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    jobs: OrderedDict[tuple[str, str], Job] = field(default_factory=OrderedDict)

    def begin(self, memory: Memory, seed: int) -> Job:
        space = memory.space.key
        with self.lock:
            if any(key[0] == space and job.state == "running" for key, job in self.jobs.items()):
                raise StoreBusy(f"a distillation of {memory.space.user!r} is running; watch that one")
            job = Job(id=uuid4().hex, state="running")
            self.jobs[space, job.id] = job
            while len(self.jobs) > _JOBS_KEPT:
                self.jobs.popitem(last=False)
        threading.Thread(target=self._run, args=(memory, job, seed), name=f"distill-{job.id}", daemon=True).start()
        return job

    def _run(self, memory: Memory, job: Job, seed: int) -> None:
        def progress(share: float, word: str) -> None:
            job.share, job.doing = share, word

        try:
            # The scorecard quotes facts, which may be forgotten while this process still stands; it is in the ledger.
            job.report = memory.distill(seed=seed, progress=progress).model_dump(mode="json", exclude={"scorecard"})
            job.state = "done"
        except MemoryAgentError as error:
            job.error, job.state = str(error), "failed"
        except Exception:
            job.error, job.state = "something went wrong here; the server's log has it", "failed"
            raise

    def get(self, memory: Memory, id: str) -> Job:
        with self.lock:
            job = self.jobs.get((memory.space.key, id))
        if job is None:
            raise NotFound(f"no job {id!r} was begun since this server started")
        return job


_jobs = _Jobs()


@beginning.post("/consolidations", status_code=201)
def consolidate(memory: WriteMemory) -> ConsolidationReport:
    """Read what was added since the last time into the graph."""
    return memory.consolidate()


@router.get("/runs")
def runs(
    memory: ReadMemory,
    job: Annotated[Literal["consolidate", "distill"] | None, Query()] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Run]:
    """Consolidations and distillations, in the order they began."""
    found = [run for run in memory.space.ledger.select(Run) if job in (None, run.job)]
    items, following = listed(found, lambda run: f"{run.started_at.isoformat()} {run.id}", limit, cursor)
    return Page(items=items, next=following)


@beginning.post("/distillations", status_code=202)
def distill(memory: AdminMemory, body: DistillIn, response: Response) -> Job:
    """Begin to put the stable facts into weights; `Location` is where to watch it."""
    job = _jobs.begin(memory, body.seed)
    from urllib.parse import quote

    response.headers["Location"] = f"/v1/spaces/{quote(memory.space.user, safe='')}/distillations/{job.id}"
    return job.model_copy()


@router.get("/distillations/{job}")
def watch(memory: ReadMemory, job: Annotated[str, PathParameter(min_length=1, max_length=64)]) -> Job:
    """How far a distillation is, and what came of it."""
    return _jobs.get(memory, job).model_copy()


@router.get("/adapters")
def adapters(memory: ReadMemory, limit: Limit = 100, cursor: Cursor = None) -> Page[Adapter]:
    """Trained weights: what they know, and whether they may answer."""
    items, following = listed(memory.space.ledger.select(Adapter), lambda adapter: adapter.id, limit, cursor)
    return Page(items=items, next=following)


@router.post("/adapters/rollback")
def rollback(memory: AdminMemory) -> list[Adapter]:
    """Let the adapters before the present ones answer again."""
    return registry.rollback(memory.space)
