"""Backups: a whole store in one file, made while it is in use, and put back elsewhere.

    backup(store, path, key=...)             writes, reads back what was written, then gives the file its name
    verify(path, key=...)                    whether a file is whole, and what it holds
    restore(path, store, key=..., forgotten=...)   into a store that holds none of it

A backup holds every row of every space as the ledger keeps it, the audit chains, the adapters that may answer, and
the vectors, at one moment. It is the same for SQLite and PostgreSQL, and restored into either. What it does not hold:
API keys and the job queue (docs/decisions/2026-11-24-backups.md says why).
"""

from memory_agent.backup.making import BackupReport, backup
from memory_agent.backup.manifest import Manifest, key_of
from memory_agent.backup.restoring import RestoreReport, restore, verify

__all__ = ["BackupReport", "Manifest", "RestoreReport", "backup", "key_of", "restore", "verify"]
