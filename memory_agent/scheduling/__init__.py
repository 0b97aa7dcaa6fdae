"""When a job is due, and running it then: the rule, the runner, the daemon, the worker."""

from memory_agent.scheduling.due import Conditions, State, Verdict, duration, judge
from memory_agent.scheduling.jobs import JOBS, Job, Means, Outcome, Stopper, run_if_due, verdict_on

__all__ = [
    "JOBS",
    "Conditions",
    "Job",
    "Means",
    "Outcome",
    "State",
    "Stopper",
    "Verdict",
    "duration",
    "judge",
    "run_if_due",
    "verdict_on",
]
