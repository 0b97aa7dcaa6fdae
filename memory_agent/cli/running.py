"""What the long-running verbs are put together from: one store for many users, signals, log lines, metrics."""

from __future__ import annotations

import getpass
import logging
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from memory_agent import observing
from memory_agent.cli.place import Place
from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, MissingExtra
from memory_agent.protocols import Backend, JobQueue, Progress, Task
from memory_agent.scheduling import Conditions, Job, Outcome, Stopper, run_if_due

if TYPE_CHECKING:
    from memory_agent.memories import Memories
    from memory_agent.scheduling.daemon import Plan
    from memory_agent.scheduling.units import Wanted
    from memory_agent.scheduling.worker import Terms
    from memory_agent.space import Space

_log = logging.getLogger(__name__)


def queue_of(backend: Backend) -> JobQueue:
    """The store's queue. Raises InvalidInput when it has none."""
    if backend.queue is None:
        raise InvalidInput(
            "this store has no queue, as one machine works on it: use `daemon`, or a postgresql:// store"
        )
    return backend.queue


@contextmanager
def _running(place: Place, grace: float, metrics_port: int) -> Iterator[tuple[Memories, Stopper]]:
    """The store, open for all its users, with logs, metrics and signals set up."""
    from memory_agent.memories import Memories

    settings = Settings.load(store=place.store, tenant=place.tenant)
    observing.set_up_logs(settings.log, content=settings.log_content)
    stopper = Stopper(grace)
    before = {name: signal.signal(name, lambda *_: stopper.stop()) for name in (signal.SIGTERM, signal.SIGINT)}
    try:
        with _metrics_served(metrics_port), Memories(settings=settings) as memories:
            yield memories, stopper
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def _metrics_served(port: int) -> Iterator[None]:
    """Metrics for Prometheus on that port of this machine within the block; 0 for none."""
    if not port:
        yield
        return
    found = observing.metrics()
    if found is None:
        raise MissingExtra("--metrics-port", "server")
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=found.registry)
    except OSError as error:
        raise InvalidInput(f"port {port} cannot be had ({error.strerror}): give --metrics-port another") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def looked() -> None:
    """Note that the loop is alive and came round."""
    kept = observing.metrics()
    if kept is not None:
        kept.looked.set(time.time())


def space_of(memories: Memories, key: str) -> Space:
    """The space of a key, bound but not caught up: looking whether something is due embeds nothing."""
    from memory_agent.opening import bind

    tenant, _, user = key.partition("/")
    return bind(
        memories.backend, user=unquote(user), tenant=unquote(tenant), agent=None, embedder=memories.embedder,
        settings=memories.settings,
    )  # fmt: skip


def keys_of(memories: Memories, place: Place) -> list[str]:
    """The spaces a verb is about: the one user's, the tenant's, or all of the store."""
    from memory_agent.space import space_key

    if place.user:
        return [space_key(memories.settings.tenant, place.user)]
    keys = memories.backend.ledger.spaces()
    return keys if place.tenant is None else [key for key in keys if unquote(key.partition("/")[0]) == place.tenant]


def told(space: str, outcome: Outcome) -> None:
    """Count an outcome, and write a line on it: counts, no content."""
    kept = observing.metrics()
    if kept is not None:
        kept.jobs.labels(outcome.job, outcome.ending).inc()
        if outcome.ending == "done":
            kept.last.labels(outcome.job).set(time.time())
    if outcome.ending == "not_due":
        return
    fields: dict[str, Any] = {"job": outcome.job, "ending": outcome.ending, "space": space, **outcome.counts()}
    if outcome.error:
        fields["error"] = outcome.error
    level = logging.WARNING if outcome.ending in ("failed", "refused") else logging.INFO
    _log.log(level, "%s %s", outcome.job, outcome.ending, extra={"fields": fields})


def run_daemon(
    place: Place,
    when: Mapping[Job, str],
    timezone: str,
    due: Conditions,
    *,
    queue: bool,
    grace: float,
    metrics_port: int,
) -> None:
    """Run the daemon until a signal ends it."""
    from memory_agent.scheduling.daemon import Daemon, Plan
    from memory_agent.scheduling.triggers import trigger_of
    from memory_agent.space import SystemClock

    conditions: Mapping[Job, Conditions] = {"consolidate": Conditions(), "distill": due}
    plans = [Plan(job, trigger_of(text, timezone), conditions[job]) for job, text in when.items() if text]
    if not plans:
        raise InvalidInput("nothing to do: give --consolidate or --distill a time")
    with _running(place, grace, metrics_port) as (memories, stopper):
        handed_on = queue_of(memories.backend) if queue else None

        def run(space: Space, plan: Plan) -> Outcome:
            if handed_on is not None:
                handed_on.put(plan.job, [space.key])
                return Outcome(plan.job, "not_due", "handed to the workers")
            progress = stopper.progress(plan.job)
            return run_if_due(space, plan.job, plan.conditions, progress=progress)

        def wait(seconds: float) -> bool:
            looked()
            return stopper.wait(seconds)

        said = [f"{job} {text}" for job, text in when.items() if text]
        _log.info("started", extra={"fields": {"plans": said, "timezone": timezone}})
        Daemon(
            lambda: [space_of(memories, key) for key in keys_of(memories, place)],
            plans,
            run,
            clock=SystemClock(),
            wait=wait,
            told=lambda space, outcome: told(space.key, outcome),
        ).run()
        _log.info("stopped")


def run_worker(place: Place, terms: Terms, *, drain: bool, grace: float, metrics_port: int) -> int:
    """Run a worker until a signal ends it, or with `drain` until nothing is ready; how many tasks it carried out."""
    from memory_agent.scheduling.worker import Worker

    with _running(place, grace, metrics_port) as (memories, stopper):
        queue = queue_of(memories.backend)

        def run(space: Space, job: Job, progress: Progress) -> Outcome:
            return run_if_due(space, job, progress=progress)

        def hear(task: Task, outcome: Outcome) -> None:
            told(task.space, outcome)
            kept = observing.metrics()
            if kept is not None and metrics_port:
                for state, count in queue.counts().items():
                    kept.queue.labels(state).set(count)

        _log.info("started", extra={"fields": {"lease": terms.lease, "attempts": terms.most}})
        worker = Worker(
            queue, lambda key: space_of(memories, key), run, terms=terms, stopper=stopper, told=hear, looked=looked
        )
        done = worker.run(drain=drain)
        _log.info("stopped", extra={"fields": {"tasks": done}})
        return done


def wanted_unit(
    place: Place, consolidate: str, distill: str, timezone: str, conditions: Sequence[str], *, image: str, memory: str
) -> Wanted:
    """What a unit is printed for, with this program's own path."""
    from memory_agent.scheduling.units import Wanted

    beside = Path(sys.executable).with_name("memory-agent")
    executable = str(beside) if beside.is_file() else shutil.which("memory-agent") or "memory-agent"
    settings = Settings.load(store=place.store)
    return Wanted(
        executable=executable,
        store=settings.store,
        user=place.user or "",
        tenant=place.tenant or "",
        consolidate=consolidate,
        distill=distill,
        timezone=timezone,
        conditions=conditions,
        account=getpass.getuser(),
        image=image,
        memory=memory,
    )
