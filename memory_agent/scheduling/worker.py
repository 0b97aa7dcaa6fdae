"""A worker: takes jobs from a store's queue and runs them, beside any number of others on any number of hosts.

A heartbeat renews the lease while a job runs. A worker that dies stops renewing, and another takes its job
over when the lease has run out; one that lost its lease (it was asleep, or cut off) breaks its job
off. A job that fails is tried again later, the later the more often; after the last attempt it is set
aside with its error, and the others go on.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from memory_agent.errors import MemoryAgentError
from memory_agent.protocols import JobQueue, Progress, Task
from memory_agent.scheduling.jobs import JOBS, Job, JobStopped, Outcome, Stopper
from memory_agent.space import Space

_LOCKED_AGAIN = 15.0
"""Seconds after which a job is tried again whose lock somebody holds."""
_FIRST_DELAY = 30.0
_LONGEST_DELAY = 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Terms:
    """On what terms a worker works."""

    lease: float = 60.0
    """Seconds for which a task is held; a dead worker's is taken over after that."""
    most: int = 3
    """Attempts after which a task is set aside."""
    find_every: float = 60.0
    """Seconds between two looks for users with turns to read; 0 for none, when somebody else fills the queue."""
    poll: float = 2.0
    """Seconds to sleep when there is nothing to do."""


class Worker:
    """Runs tasks until it is stopped. `name` tells it from every other worker."""

    def __init__(
        self,
        queue: JobQueue,
        open_space: Callable[[str], Space],
        run: Callable[[Space, Job, Progress], Outcome],
        *,
        terms: Terms = Terms(),
        stopper: Stopper | None = None,
        told: Callable[[Task, Outcome], None] | None = None,
        looked: Callable[[], None] | None = None,
        name: str | None = None,
    ) -> None:
        """`open_space` gives the space of a key, `run` carries a job out if it is due.

        `told` hears every outcome, `looked` is called after every look into the queue.
        """
        self._queue = queue
        self._open = open_space
        self._run = run
        self._terms = terms
        self._stopper = stopper or Stopper()
        self._told = told
        self._looked = looked
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"

    def run(self, *, drain: bool = False) -> int:
        """Work until stopped, or with `drain` until nothing is ready; the number of tasks carried out."""
        done, look_at = 0, time.monotonic()
        while not self._stopper.stopped:
            if self._terms.find_every and time.monotonic() >= look_at:
                self._queue.put("consolidate", self._queue.find())
                look_at = time.monotonic() + self._terms.find_every
            found = self.step() is not None
            done += found
            if self._looked is not None:
                self._looked()
            if not found and drain:
                break
            if not found:
                self._stopper.wait(self._terms.poll)
        return done

    def step(self) -> Outcome | None:
        """Take one task and carry it out; None when there was none."""
        task = self._queue.take(self.name, lease=self._terms.lease, most=self._terms.most)
        if task is None:
            return None
        outcome = self._carry_out(task)
        self._settle(task, outcome)
        if self._told is not None:
            self._told(task, outcome)
        return outcome

    def _carry_out(self, task: Task) -> Outcome:
        """Run the job under a heartbeat; whatever goes wrong is an outcome, as the next job must have its turn."""
        job = next((job for job in JOBS if job == task.job), None)
        if job is None:
            return Outcome("consolidate", "failed", f"this release knows no job {task.job!r}")
        with _Heartbeat(self._queue, task, self._terms.lease) as heart:
            stopping = self._stopper.progress(job)

            def progress(share: float, doing: str) -> None:
                if heart.lost:
                    raise JobStopped(f"the lease on {job} ran out and another worker took it over")
                stopping(share, doing)

            try:
                return self._run(self._open(task.space), job, progress)
            except MemoryAgentError as error:
                return Outcome.failed(job, error)
            except Exception as error:  # noqa: BLE001  the background loop: one broken job is set aside, the rest go on
                # A foreign message may quote what somebody said; where it happened is shown for debugging only.
                _log.error("%s of task %d: unexpected %s", job, task.id, type(error).__name__, exc_info=_verbose())
                return Outcome(job, "failed", f"unexpected {type(error).__name__}")

    def _settle(self, task: Task, outcome: Outcome) -> None:
        """Say in the queue how it ended. A task that another took over meanwhile is left to it."""
        if outcome.ending in ("done", "refused", "not_due"):
            kept = self._queue.finish(task, outcome.ending)
        elif outcome.ending in ("locked", "stopped"):
            delay = _LOCKED_AGAIN if outcome.ending == "locked" else 0.0
            kept = self._queue.give_back(task, outcome.reason, delay=delay, most=self._terms.most, counts=False)
        else:
            delay = min(_FIRST_DELAY * 2 ** (task.attempts - 1), _LONGEST_DELAY)
            kept = self._queue.give_back(task, outcome.reason, delay=delay, most=self._terms.most)
        if not kept:
            _log.warning("task %d was taken over by another worker before this one was done", task.id)


def _verbose() -> bool:
    return _log.isEnabledFor(logging.DEBUG)


class _Heartbeat:
    """Renews a lease in the background, at a third of its length; `lost` once it is another's."""

    def __init__(self, queue: JobQueue, task: Task, lease: float) -> None:
        self._queue = queue
        self._task = task
        self._lease = lease
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{task.id}", daemon=True)
        self.lost = False

    def __enter__(self) -> _Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._lease / 3):
            try:
                self.lost = not self._queue.renew(self._task, self._lease)
            except MemoryAgentError as error:  # the store may be back before the lease runs out
                _log.warning("the lease on task %d could not be renewed: %s", self._task.id, type(error).__name__)
            if self.lost:
                return
