"""Every error this library raises on purpose.

    MemoryAgentError                 catch this to catch them all
    ├── InvalidInput                 what was passed in cannot be taken; nothing was written
    │   ├── ScopeRequired            no user (or tenant) was named; there is no "all users" scope
    │   └── DuplicateId              an id is already taken by other content
    ├── NotFound                     no record of that id stands in this space
    ├── StoreError                   the store could not do it; nothing was half written
    │   ├── StoreBusy                another process holds the writer's or the job's lock
    │   ├── StoreCorrupt             the ledger is damaged; restore it from a backup
    │   ├── StoreUnwritable          the disk is full, read-only or failing; what was acknowledged stands
    │   ├── StoreTooNew              the store was written by a newer release
    │   ├── BackupDamaged            a backup is not whole; nothing was restored from it
    │   ├── SealBroken               an encrypted file was altered or cut off, or this is not its key
    │   ├── UnknownStore             no installed package serves that URL scheme
    │   └── EmbedderChanged          the index was built with another embedder; re-embed first
    ├── ModelError                   a language or embedding model failed
    │   ├── ModelNotFound            no weights on this machine, and downloading was not allowed
    │   └── ExtractionFailed         the extractor gave nothing usable twice; its episodes stay pending
    │       └── BudgetSpent          the run may cost no more; what was not read stays pending
    ├── MissingExtra                 an optional dependency is not installed; the message has the line
    └── DistillationError            a distillation run could not be carried out
        ├── NothingToDistill         no fact passed the selection; the message counts the reasons
        ├── TrainerFailed            the trainer ended without a usable adapter
        └── TrainingElsewhere        the job was handed on; run again when its adapter is there

Messages name the thing and the way out. This module knows nothing of HTTP or of exit codes;
the server and the command line map them.
"""

from __future__ import annotations

import csv


class MemoryAgentError(Exception):
    """Base of every error raised by this library."""


class InvalidInput(MemoryAgentError, ValueError):
    """What was passed in cannot be taken; nothing was written."""


class ScopeRequired(InvalidInput):
    """No user was named; there is no scope that means "all users"."""


class DuplicateId(InvalidInput):
    """The id is already taken by a record with other content."""


class NotFound(MemoryAgentError, LookupError):
    """No record of that id stands in this space."""


class StoreError(MemoryAgentError):
    """The store could not do it; nothing was half written."""


class StoreBusy(StoreError):
    """Another process holds the lock; the message says which one and since when."""


class StoreCorrupt(StoreError):
    """The ledger is damaged; restore it from a backup."""


class StoreUnwritable(StoreError):
    """The disk is full, read-only or failing: this was not written, and what was acknowledged before stands."""


class StoreTooNew(StoreError):
    """The store was written by a newer release of this library; upgrade."""


class BackupDamaged(StoreError):
    """A backup is not whole, or is none; nothing was restored from it."""


class SealBroken(StoreError):
    """An encrypted file was altered or cut off, or the key is another one; nothing of it is given out."""


class UnknownStore(StoreError):
    """No installed package serves the URL's scheme."""


class EmbedderChanged(StoreError):
    """The vector index was built with another embedder; vectors are never mixed."""


class ModelError(MemoryAgentError):
    """A language or embedding model failed."""


class ModelNotFound(ModelError):
    """No weights were found on this machine, and downloading was not allowed."""


class ExtractionFailed(ModelError):
    """The extractor gave nothing usable; its episodes stay pending."""


class BudgetSpent(ExtractionFailed):
    """Reading on would cost more tokens or money than the run was given; what was not read stays pending."""


class MissingExtra(MemoryAgentError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        """Name `what` needs the extra, and the command that installs it."""
        super().__init__(f"{what} needs an optional dependency: pip install 'slowwave[{extra}]'")
        self.extra = extra


class DistillationError(MemoryAgentError):
    """A distillation run could not be carried out."""


class NothingToDistill(DistillationError):
    """No fact passed the selection; the message counts the reasons."""


class TrainerFailed(DistillationError):
    """The trainer ended without a usable adapter."""


class TrainingElsewhere(DistillationError):
    """The job was handed on and is not done; the message says where its files are, and where the adapter belongs."""


MALFORMED: tuple[type[Exception], ...] = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError, OSError,
    SyntaxError, csv.Error,
)  # fmt: skip
"""What reading a document of others raises where it is not of the form that it ought to have."""
