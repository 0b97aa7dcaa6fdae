"""Exit codes, and which error gives which."""

from __future__ import annotations

from collections.abc import Mapping

from memory_agent.errors import (
    InvalidInput,
    MemoryAgentError,
    MissingExtra,
    ModelNotFound,
    NotFound,
    NothingToDistill,
    StoreBusy,
    TrainingElsewhere,
    UnknownStore,
)

DONE = 0
FAILED = 1
USAGE = 2
NOT_DUE = 3
REFUSED = 4
LOCKED = 5
NOT_FOUND = 6
MISSING = 7
ELSEWHERE = 8

_CODES: tuple[tuple[type[MemoryAgentError], int], ...] = (
    (NothingToDistill, NOT_DUE),
    (TrainingElsewhere, ELSEWHERE),
    (StoreBusy, LOCKED),
    (NotFound, NOT_FOUND),
    (ModelNotFound, MISSING),
    (MissingExtra, MISSING),
    (UnknownStore, USAGE),
    (InvalidInput, USAGE),
)

OF_ENDING: Mapping[str, int] = {
    "done": DONE,
    "not_due": NOT_DUE,
    "refused": REFUSED,
    "locked": LOCKED,
    "failed": FAILED,
    "stopped": FAILED,
}
"""How a job that was looked at ended -> exit code."""


def code_for(error: BaseException) -> int:
    """The exit code of an error; 1 for one that has none of its own."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
