"""What a backup says of itself, and the names of its members."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from memory_agent import auditing
from memory_agent.config import Settings
from memory_agent.encryption import Key
from memory_agent.errors import BackupDamaged
from memory_agent.protocols import IndexState, LedgerRow, Vectors
from memory_agent.records import STORED, AuditEntry, Instant, Record

FORMAT = 1
_KINDS = {kind.kind: kind for kind in STORED}
MEMBER = re.compile(
    r"spaces/(?P<space>\d+)/(?:(?P<audit>audit)|rows/(?P<rows>\d+)|vectors/(?P<kind>episode|fact)-(?P<part>\d+)"
    r"|adapters/(?P<sha>[0-9a-f]{64})/(?P<file>[A-Za-z0-9_.-]+\.(?:safetensors|sealed|json|md|txt)))"
)
"""Every name that a member may have, its manifest apart."""


class VectorState(Record):
    """What the vectors of one kind were made with, and the position they are true to."""

    model: str
    dimension: int
    position: int
    metric: str
    count: int = 0

    def state(self) -> IndexState:
        return IndexState(self.model, self.dimension, self.position, self.metric)


class SpaceManifest(Record):
    """One space of a backup."""

    key: str
    position: int
    digest: str
    """SHA-256 over all rows as they are kept."""
    rows: Mapping[str, int] = Field(default_factory=dict)
    """By kind."""
    audited: int = 0
    head: str = ""
    """The digest of the audit chain's last entry."""
    vectors: Mapping[str, VectorState] = Field(default_factory=dict)
    """By kind; none where nothing was indexed."""
    adapters: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """Adapters whose files were gone or altered already when the backup was made."""


class Manifest(Record):
    """What a backup holds."""

    format: int
    made_at: Instant
    version: str
    """The release that made it."""
    spaces: tuple[SpaceManifest, ...]
    members: Mapping[str, Any] = Field(default_factory=dict)


def read_manifest(path: Path, data: bytes) -> Manifest:
    """The manifest of a backup. Raises BackupDamaged when this release cannot read it."""
    try:
        told = json.loads(data)
        if told["format"] > FORMAT:
            raise BackupDamaged(f"{path} was made by a newer release: pip install --upgrade slowwave")
        return Manifest.model_validate(told)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"the manifest of {path} cannot be read") from error


def key_of(settings: Settings, file: Path | None = None) -> Key | None:
    """The key that backups are to be encrypted with: of that file, else of the settings; None when there is none.

    Raises InvalidInput when it cannot be read or would be too easily guessed.
    """
    if file is None and settings.backup_key_file:
        file = Path(settings.backup_key_file).expanduser()
    if file is not None:
        return Key.from_file(file)
    secret = settings.backup_key.get_secret_value()
    return Key.of(secret) if secret else None


def pack_rows(rows: Sequence[LedgerRow]) -> bytes:
    """Rows as JSON lines."""
    lines = [json.dumps([row.kind.kind, row.seq, row.texted, row.body], ensure_ascii=False) for row in rows]
    return "\n".join(lines).encode()


def unpack_rows(data: bytes) -> list[LedgerRow]:
    """Rows from JSON lines. Raises ValueError when one is none, or its record cannot be read."""
    rows = []
    for line in data.decode().split("\n") if data else ():
        kind, seq, texted, body = json.loads(line)
        if kind not in _KINDS:
            raise ValueError(f"no record is a {kind}")
        _KINDS[kind].model_validate_json(body)
        rows.append(LedgerRow(_KINDS[kind], body, seq, texted))
    return rows


def pack_audit(entries: Sequence[AuditEntry]) -> bytes:
    """An audit chain as JSON lines."""
    return "\n".join(entry.model_dump_json() for entry in entries).encode()


def unpack_audit(data: bytes) -> list[AuditEntry]:
    """An audit chain from JSON lines. Raises ValueError when an entry is none, was altered or does not follow."""
    entries = [AuditEntry.model_validate_json(line) for line in data.decode().split("\n") if line]
    if not (chain := auditing.verify(entries)).whole:
        raise ValueError(chain.problem)
    return entries


def pack_vectors(held: Mapping[str, Vectors]) -> bytes:
    """Ids as a line of JSON, then their vectors as little-endian float32."""
    matrix = np.stack(list(held.values())).astype("<f4")
    return json.dumps([list(held), matrix.shape[1]]).encode() + b"\n" + matrix.tobytes()


def unpack_vectors(data: bytes) -> tuple[list[str], Vectors]:
    """Ids and their vectors (len(ids), dimension). Raises ValueError when they do not fit."""
    line, _, numbers = data.partition(b"\n")
    ids, dimension = json.loads(line)
    matrix = np.frombuffer(numbers, dtype="<f4").astype(np.float32).reshape(len(ids), dimension)
    return [str(id) for id in ids], matrix
