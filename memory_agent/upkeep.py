"""What changes a store and keeps it true to its ledger: the vector index level, nothing left of what was forgotten."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory_agent import auditing
from memory_agent.auditing import Chain
from memory_agent.errors import InvalidInput, NotFound, StoreBusy, StoreUnwritable
from memory_agent.folders import whole_file
from memory_agent.protocols import Backend, Extractor, Progress, Query
from memory_agent.records import (
    AddReport,
    ConsolidationReport,
    Entity,
    Episode,
    ExpiryReport,
    Fact,
    ForgetReport,
    Summary,
    Tombstone,
    Turn,
    Verification,
)
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.retention import Policy


CLEARED = "cleared.json"
"""A file of the space's folder: up to which position of the ledger its files hold nothing of what was forgotten."""
_log = logging.getLogger(__name__)


def catch_up(space: Space, *, rebuild: bool = False) -> None:
    """Bring the vector index level with the ledger; with `rebuild`, from nothing. Raises as `retrieval.index`."""
    from memory_agent.retrieval import index

    (index.rebuild if rebuild else index.catch_up)(space)


def unembedded(space: Space) -> list[str]:
    """The next texts that `catch_up` will embed, for whoever embeds those of several spaces together."""
    from memory_agent.retrieval import index

    return index.unembedded(space)


def open_level(backend: Backend, space: Space, *, rebuild: bool = False) -> None:
    """As `catch_up`, and clear what a killed forgetting left in files.

    A disk that is full or read-only keeps nobody from reading: the index then lags behind.
    """
    try:
        catch_up(space, rebuild=rebuild)
        _clear_left(backend, space)
    except StoreUnwritable as error:
        _log.warning("vectors are not level with the ledger: %s", error)


def add(space: Space, turns: Sequence[Turn | Mapping[str, Any]], session: str | None) -> AddReport:
    """Take turns in, and embed them; see `Memory.add`."""
    from memory_agent import episodic

    report = episodic.take_in(space, turns, session)
    catch_up(space)
    return report


def consolidate(space: Space, extractor: Extractor | None, progress: Progress | None) -> ConsolidationReport:
    """Read new turns into the graph, and embed its facts; see `Memory.consolidate`."""
    from memory_agent import consolidation

    report = consolidation.consolidate(space, extractor, progress)
    catch_up(space)
    return report


def update(space: Space, id: str, **correction: str | None) -> Fact | Episode:
    """Correct a record, and embed what it now says; see `Memory.update`."""
    from memory_agent.consolidation import editing
    from memory_agent.retrieval import snapshot

    record = editing.update(space, id, **correction)
    if isinstance(record, Episode):
        snapshot.purge(space)
    catch_up(space)
    return record


def forget(backend: Backend, space: Space, id: str, *, reason: str, dry_run: bool) -> ForgetReport:
    """Forget a record in the ledger, and then in every file of the store; see `Memory.forget`."""
    from memory_agent.consolidation import forgetting

    if not dry_run:
        _note_cleared(space)
    report = forgetting.forget(space, id, reason=reason, dry_run=dry_run)
    if not dry_run:
        clear_files(backend, space)
    return report


def expire(backend: Backend, space: Space, policy: Policy, *, dry_run: bool) -> ExpiryReport:
    """Forget what has expired, and then in every file of the store; see `memory.retention`."""
    from memory_agent.consolidation import expiring

    if not dry_run:
        _note_cleared(space)
    report = expiring.expire(space, policy, dry_run=dry_run)
    if report.forgotten and not dry_run:
        clear_files(backend, space)
    return report


def clear_files(backend: Backend, space: Space) -> None:
    """Leave nothing in any file of what the ledger no longer holds: adapters, vectors, kept answers, free pages.

    Up to which position that is done stands in a file, so that whoever opens the memory after a kill goes on with it.
    Training rows and weights are cleared by the distillation that runs, where one does, at its end.
    """
    from memory_agent.consolidation.spending import ANSWERS
    from memory_agent.distillation import paraphrasing
    from memory_agent.retrieval import snapshot

    until = _forgotten_to(space)
    _clear_weights(space, until)
    paraphrasing.tidy(space)
    shutil.rmtree(space.folder / ANSWERS, ignore_errors=True)
    snapshot.purge(space)
    catch_up(space)
    backend.index.compact()
    backend.ledger.compact()
    _note_cleared(space, files=until)


def _clear_weights(space: Space, until: int) -> None:
    from memory_agent.distillation import registry

    if registry.sweep(space):
        _note_cleared(space, weights=until)


def _clear_left(backend: Backend, space: Space) -> None:
    """Do what a forgetting, or the distillation it left it to, was killed before; another time where others are at it.

    A memory without the file was cleared by an earlier release, or restored without what was forgotten.
    """
    cleared = _cleared(space)
    if cleared is None or min(cleared.values()) >= (until := _forgotten_to(space)):
        return
    try:
        if cleared["files"] < until:
            clear_files(backend, space)
        else:
            _clear_weights(space, until)
    except StoreBusy as error:
        _log.info("what was forgotten is cleared from files another time: %s", error)


def _forgotten_to(space: Space) -> int:
    """The position of the last forgetting; 0 before the first."""
    return max(
        (stone.position for stone in space.ledger.select(Tombstone, Query(newest_first=True, limit=1))), default=0
    )


def _cleared(space: Space) -> dict[str, int] | None:
    """Up to which position files, and weights, hold nothing of what was forgotten; None before the first forgetting."""
    try:
        told = json.loads((space.folder / CLEARED).read_text("utf-8"))
        return {"files": int(told["files"]), "weights": int(told["weights"])}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return {"files": 0, "weights": 0}


def _note_cleared(space: Space, **until: int) -> None:
    """Write down what is cleared; without a position only that, from now on, it is written down."""
    known = _cleared(space)
    if known is not None and not until:
        return
    known = known or dict.fromkeys(("files", "weights"), _forgotten_to(space))
    reached = {name: max(at, until.get(name, 0)) for name, at in known.items()}
    try:
        whole_file(space.folder / CLEARED, json.dumps(reached))
    except OSError as error:
        raise StoreUnwritable(f"{space.folder / CLEARED} cannot be written: {error.strerror or error}") from error


def summaries(space: Space, about: str | None) -> list[Summary]:
    """What is known of an entity or was said in a session, brought level first; see `Memory.summaries`."""
    from memory_agent.consolidation import summaries as made

    return made.summaries(space, about)


def merge(space: Space, id: str, into: str) -> Entity:
    """Let one entity be another; see `Memory.merge`."""
    from memory_agent.consolidation import merging

    found = merging.merge(space, _one(space, id), _one(space, into))
    catch_up(space)
    return found


def split(space: Space, id: str) -> Entity:
    """Take a merge back; see `Memory.split`. `id` is that of the merged entity, or the name it had of its own."""
    from memory_agent.consolidation import merging

    found = merging.split(space, merging.merged(space, id))
    catch_up(space)
    return found


def _one(space: Space, name: str) -> str:
    """The id of the one entity of that id, name or alias. A first name alone names nobody."""
    from memory_agent.semantic.entities import Directory
    from memory_agent.semantic.folding import fold

    found = Directory.of(space.ledger).find(name)
    found = [e for e in found if name == e.id or fold(name) in {fold(n) for n in (e.name, *e.aliases)}]
    if not found:
        raise NotFound(f"no entity is called {name!r} in full; `memory-agent entities` lists them")
    if len(found) > 1:
        raise InvalidInput(f"{name!r} is the name of {len(found)}: give an id ({', '.join(e.id for e in found)})")
    return found[0].id


def verify(backend: Backend, space: Space, id: str, words: Sequence[str]) -> Verification:
    """What is left of a forgotten record; see `Memory.verify`."""
    from memory_agent.consolidation import forgetting

    found = forgetting.verify(space, id)
    return found.model_copy(update={"residue": forgetting.verify_forgotten(backend.folder, words)})


def audit(backend: Backend, space: Space, head: str | None) -> Chain:
    """Whether the audit chain is whole, its end included; see `Memory.audit`."""
    entries = space.ledger.audit_chain()
    found = auditing.verify(entries, head)
    cut = f"space {space.key}: the audit"
    if found.whole and (missing := [p for p in backend.ledger.check() if p.startswith(cut)]):
        return found.model_copy(update={"whole": False, "broken": len(entries) + 1, "problem": missing[0]})
    return found
