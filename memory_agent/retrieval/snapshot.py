"""A space's corpus in a file, so that a new process need not cut every turn into words again.

The file is derived, like the vector index: it says up to which position of the ledger it is true, what came since is
read from the ledger, and one that is damaged, or made by other rules, or of another history than the ledger's, is as
good as none. It holds words, so whatever is forgotten takes it along (`purge`), and it is not written where others may
forget without this host knowing (`Space.derived`). numpy's .npz: each array has a checksum, nothing is pickled.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from memory_agent.errors import StoreBusy
from memory_agent.protocols import Query
from memory_agent.records import Episode
from memory_agent.retrieval.corpus import KEPT, Columns, Corpus
from memory_agent.retrieval.postings import Flat
from memory_agent.space import Space

FILE = "corpus.npz"
LOCK = "corpus"
_LOOKED_AT = 32
"""Turns of the last, and as many of all, by which another history is told."""
_RULES = ("words.py", "text.py", "corpus.py", "postings.py", "snapshot.py", "stopwords.txt", "irregular.txt")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """A corpus, the ledger position it is true to, and the ids whose vectors it lacks."""

    corpus: Corpus
    position: int
    waiting: list[str]


def load(space: Space) -> Snapshot | None:
    """The corpus that was saved last; None when there is none that the ledger bears out."""
    path = _path(space)
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            told = json.loads(data["told"].tobytes())
            if told["made_by"] != _made_by() or not _borne_out(space, told["position"], told["looked_at"]):
                return None
            return _read(space, told, data)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        _log.warning("%s cannot be read (%s); it is made anew from the ledger", path, error)
        return None


def save(space: Space, snapshot: Snapshot) -> bool:
    """Put a corpus that is level with the ledger into the file; whether that was done.

    It is not when another process is at it, or wrote to the ledger meanwhile: what it forgot must not come back.
    """
    path = _path(space)
    if path is None:
        return False
    arrays = _written(space, snapshot)
    try:
        with space.ledger.lock(LOCK):
            if space.ledger.position() != snapshot.position:
                return False
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(os.open(_unfinished(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                np.savez(file, **arrays)
            _unfinished(path).replace(path)
    except StoreBusy:
        return False
    except OSError as error:
        _log.warning("%s cannot be written (%s); the next process reads the whole ledger", path, error)
        _unfinished(path).unlink(missing_ok=True)
        return False
    return True


def purge(space: Space) -> None:
    """Remove the file, as something in it was forgotten or changed. Raises StoreBusy when it is being written."""
    path = _path(space)
    if path is None or not path.parent.is_dir():
        return
    with space.ledger.lock(LOCK, wait=space.settings.lock_wait):
        path.unlink(missing_ok=True)
        _unfinished(path).unlink(missing_ok=True)


def _path(space: Space) -> Path | None:
    return None if space.derived is None else space.derived / FILE


def _unfinished(path: Path) -> Path:
    return path.with_suffix(".tmp")


@functools.cache
def _made_by() -> str:
    """A hash of the rules by which turns become terms and columns."""
    digest = hashlib.sha256(version("snowballstemmer").encode())
    for name in _RULES:
        digest.update(files(__package__).joinpath(name).read_bytes())
    return digest.hexdigest()


def _looked_at(ids: list[str]) -> list[str]:
    spread = ids[:: max(len(ids) // _LOOKED_AT, 1)]
    return list(dict.fromkeys([*ids[-_LOOKED_AT:], *spread]))


def _prints(space: Space, ids: list[str], until: int) -> dict[str, list[str]]:
    """What tells an episode from another of its id, for those that were not written since `until`."""
    found = space.ledger.select(Episode, Query(ids=ids))
    return {one.id: [one.digest, one.recorded_at.isoformat()] for one in found if one.position <= until}


def _borne_out(space: Space, position: int, looked_at: dict[str, list[str]]) -> bool:
    """Whether the ledger has come to that position by the same history, as far as samples tell.

    After a backup was put back and written on, the turns that came last are others.
    """
    if position > space.ledger.position():
        return False
    found = _prints(space, list(looked_at), position)
    return all(looked_at[id] == print for id, print in found.items())


def _written(space: Space, snapshot: Snapshot) -> dict[str, Any]:
    corpus, state = snapshot.corpus, space.index.state()
    flat, columns = corpus.postings.fold(), corpus.columns
    metadata = [np.array(documents, dtype=np.int32) for documents in corpus.metadata.values()]
    told = {
        "made_by": _made_by(),
        "position": snapshot.position,
        "looked_at": _prints(space, _looked_at(corpus.ids), snapshot.position),
        "model": None if state is None else state.model,
        "waiting": snapshot.waiting,
        "ids": corpus.ids,
        "sessions": list(corpus.sessions),
        "speakers": list(corpus.speakers),
        "terms": list(flat.terms),
        "metadata": list(corpus.metadata),
    }
    return {
        "told": np.frombuffer(json.dumps(told, ensure_ascii=False).encode(), dtype=np.uint8),
        "starts": flat.starts,
        "documents": flat.documents,
        "counts": flat.counts,
        "traits": columns.traits,
        **{f"column_{name}": getattr(columns, name) for name in KEPT},
        "metadata_ends": np.cumsum([len(documents) for documents in metadata], dtype=np.int64),
        "metadata_documents": np.concatenate([np.zeros(0, dtype=np.int32), *metadata]),
        "vectors": corpus.vectors,
    }


def _read(space: Space, told: dict[str, Any], data: Any) -> Snapshot:
    ids, state = told["ids"], space.index.state()
    known = state is not None and state.model == told["model"]
    each = np.split(data["metadata_documents"], data["metadata_ends"][:-1]) if told["metadata"] else []
    corpus = Corpus(
        ids,
        Flat(told["terms"], data["starts"], data["documents"], data["counts"]),
        Columns(len(ids), data["traits"], **{name: data[f"column_{name}"] for name in KEPT}),
        told["sessions"],
        told["speakers"],
        {(key, value): documents for (key, value), documents in zip(told["metadata"], each, strict=True)},
        data["vectors"] if known else None,
    )
    return Snapshot(corpus, told["position"], list(told["waiting"] if known else ids))
