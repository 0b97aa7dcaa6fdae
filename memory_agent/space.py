"""A space: everything one tenant's user has in a store, and the parts that work on it.

Modules below `Memory` take a `Space` and cannot name another one: the ledger and index in it are
already bound. This module knows how a store is found and nothing of what is kept in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from memory_agent.errors import ScopeRequired, UnknownStore
from memory_agent.protocols import Backend, Clock, Reranker, SpaceIndex, SpaceLedger

if TYPE_CHECKING:
    from memory_agent.config import Settings
    from memory_agent.models.embedders import Embedder

ENTRY_POINTS = "memory_agent.stores"
_LONGEST_NAME = 255
"""Bytes of a file's name on the usual file systems."""


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def space_key(tenant: str, user: str) -> str:
    """The key of (tenant, user): percent-encoded parts joined by a slash, so no two pairs share one.

    Raises ScopeRequired when either is empty.
    """
    if not user or not user.strip():
        raise ScopeRequired(
            "name a user: Memory.open(path, user='alice'), --user alice or MEMORY_AGENT_USER; "
            "there is no scope for all users"
        )
    if not tenant or not tenant.strip():
        raise ScopeRequired("name a tenant, or leave it out for the default one")
    return f"{quote(tenant, safe='')}/{quote(user, safe='')}"


def open_backend(url: str) -> Backend:
    """Open the store at a path (SQLite with Chroma in that folder) or a URL.

    Raises UnknownStore when no installed package registers the URL's scheme, and the store's own StoreError.
    """
    scheme, found, _ = url.partition("://")
    if not found:
        scheme, url = "sqlite", f"sqlite:///{url}"
    for entry in entry_points(group=ENTRY_POINTS, name=scheme):
        backend = entry.load()(url)
        assert isinstance(backend, Backend)
        return backend
    known = ", ".join(sorted({e.name for e in entry_points(group=ENTRY_POINTS)})) or "none"
    raise UnknownStore(f"no installed store serves {scheme}:// (known: {known})")


def space_folder(folder: Path, key: str) -> Path:
    """Where the files of a space lie in a store's folder.

    A key is quoted, nine characters for one of Chinese; one that would be too long for a file's name ends in its hash.
    """
    name = key.replace("/", "@")
    if len(name) > _LONGEST_NAME:
        name = f"{name[:160]}@{hashlib.sha256(key.encode()).hexdigest()}"
    return folder / "spaces" / name


def path_of(url: str) -> Path | None:
    """The folder that a path or a sqlite:/// URL names, in which the whole store lies; None of any other store."""
    scheme, found, rest = url.partition("://")
    if found and scheme != "sqlite":
        return None
    return Path(rest.removeprefix("/") if found else url).expanduser().absolute()


@dataclass(frozen=True)
class Space:
    """One user's ledger, index, models and folder; what every module below `Memory` works on."""

    key: str
    tenant: str
    user: str
    agent: str | None
    ledger: SpaceLedger
    index: SpaceIndex
    embedder: Embedder
    folder: Path
    """Where this space's adapters and training jobs lie; made when first needed."""
    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    reranker: Reranker | None = None
    """Ranks the best hits of a search anew, within `settings.rerank_ms`."""
    derived: Path | None = None
    """Where derived files may lie between processes; None where others may forget without this host knowing."""
