"""Running a job if it is due, so that two runners never run it twice and a stopped one loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from memory_agent.errors import MemoryAgentError, NothingToDistill, StoreBusy
from memory_agent.observing import observed
from memory_agent.protocols import Extractor, Progress, Trainer
from memory_agent.scheduling.due import Conditions, State, Verdict, consolidation_state, distillation_state, judge
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.distillation.recipe import Recipe

Job = Literal["consolidate", "distill"]
Ending = Literal["done", "not_due", "refused", "locked", "failed", "stopped"]
JOBS: tuple[Job, ...] = ("consolidate", "distill")


class JobStopped(MemoryAgentError):
    """The job was asked to stop; what it had finished stands, and the next run does the rest."""


@dataclass(frozen=True)
class Outcome:
    """What came of looking whether a job is due, and of running it if so."""

    job: Job
    ending: Ending
    reason: str = ""
    """Why it was due or not, who holds the lock, or the error."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """The job's own report; empty when it did not run."""
    seconds: float = 0.0
    error: str = ""
    """The kind of error that a failed one ended with."""

    @classmethod
    def failed(cls, job: Job, error: Exception) -> Outcome:
        """The outcome of a job that raised an error."""
        return cls(job, "failed", str(error), error=type(error).__name__)

    def counts(self) -> dict[str, int | float | bool]:
        """The numbers of the report: what may be logged, as it names no memory."""
        told = {name: value for name, value in self.report.items() if isinstance(value, (int, float, bool))}
        lists = {name: len(value) for name, value in self.report.items() if isinstance(value, (list, tuple, dict))}
        return {**told, **lists, "seconds": self.seconds}


class Stopper:
    """Asks running jobs to stop: consolidations between two batches, distillations when the grace is over."""

    def __init__(self, grace: float = 25.0) -> None:
        """`grace`: seconds that a distillation may go on after `stop`, to come to its end."""
        self.grace = grace
        self._event = threading.Event()
        self._at = 0.0

    def stop(self) -> None:
        """Ask for the stop. May be called from a signal handler."""
        self._at = time.monotonic()
        self._event.set()

    @property
    def stopped(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, or wake early when the stop is asked for; whether it was."""
        return self._event.wait(seconds)

    def progress(self, job: Job, told: Progress | None = None) -> Progress:
        """Progress that breaks the job off when it has to stop: raises JobStopped."""

        def report(share: float, doing: str) -> None:
            if self.stopped and (job == "consolidate" or time.monotonic() - self._at > self.grace):
                raise JobStopped(f"{job} was asked to stop; the next run does the rest")
            if told is not None:
                told(share, doing)

        return report


@dataclass(frozen=True)
class Means:
    """What jobs run with; None is the default of each."""

    extractor: Extractor | None = None
    trainer: str | Trainer | None = None
    recipe: Recipe | None = None
    seed: int = 0


def verdict_on(space: Space, job: Job, conditions: Conditions) -> Verdict:
    """Whether the job is due for this user."""
    states: dict[Job, Callable[[Space, Conditions], State]] = {
        "consolidate": consolidation_state,
        "distill": distillation_state,
    }
    return judge(states[job](space, conditions), conditions)


def run_if_due(
    space: Space,
    job: Job,
    conditions: Conditions = Conditions(),
    *,
    means: Means = Means(),
    progress: Progress | None = None,
    begun: Callable[[str], None] | None = None,
) -> Outcome:
    """Look and run under one lock: another runner of the same job finds it locked, or looks after this one is done.

    `begun` is told why it is due. Raises what the job raises, but for what is an outcome: StoreBusy,
    NothingToDistill, JobStopped.
    """
    began = time.monotonic()
    try:
        with space.ledger.lock(f"schedule-{job}"):
            verdict = verdict_on(space, job, conditions)
            if not verdict.due:
                return Outcome(job, "not_due", verdict.text)
            if begun is not None:
                begun(verdict.text)
            with observed(f"job.{job}"):
                ending, report = _run(space, job, means, progress)
            return Outcome(job, ending, verdict.text, report, round(time.monotonic() - began, 3))
    except StoreBusy as error:
        return Outcome(job, "locked", str(error))
    except NothingToDistill as error:
        return Outcome(job, "not_due", str(error))
    except JobStopped as error:
        return Outcome(job, "stopped", str(error), seconds=round(time.monotonic() - began, 3))


def _run(space: Space, job: Job, means: Means, progress: Progress | None) -> tuple[Ending, Mapping[str, Any]]:
    """Carry the job out; how it ended and its report."""
    if job == "consolidate":
        from memory_agent import consolidation
        from memory_agent.retrieval import index

        read = consolidation.consolidate(space, means.extractor, progress)
        index.catch_up(space)
        return ("failed" if read.failed else "done"), read.model_dump(mode="json")
    from memory_agent import distillation

    taught = distillation.distill(space, recipe=means.recipe, trainer=means.trainer, progress=progress, seed=means.seed)
    return ("done" if taught.promoted else "refused"), taught.model_dump(mode="json")
