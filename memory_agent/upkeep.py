"""What changes a store and keeps it true to its ledger: the vector index level, nothing left of what was forgotten."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory_agent import auditing
from memory_agent.auditing import Chain
from memory_agent.errors import InvalidInput, NotFound, StoreUnwritable
from memory_agent.protocols import Backend, Extractor, Progress
from memory_agent.records import (
    AddReport,
    ConsolidationReport,
    Entity,
    Episode,
    ExpiryReport,
    Fact,
    ForgetReport,
    Summary,
    Turn,
    Verification,
)
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.retention import Policy


_log = logging.getLogger(__name__)


def catch_up(space: Space, *, rebuild: bool = False) -> None:
    """Bring the vector index level with the ledger; with `rebuild`, from nothing. Raises as `retrieval.index`."""
    from memory_agent.retrieval import index

    (index.rebuild if rebuild else index.catch_up)(space)


def unembedded(space: Space) -> list[str]:
    """The next texts that `catch_up` will embed, for whoever embeds those of several spaces together."""
    from memory_agent.retrieval import index

    return index.unembedded(space)


def open_level(space: Space, *, rebuild: bool = False) -> None:
    """As `catch_up`, but a disk that is full or read-only keeps nobody from reading: the index then lags behind."""
    try:
        catch_up(space, rebuild=rebuild)
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

    report = forgetting.forget(space, id, reason=reason, dry_run=dry_run)
    if not dry_run:
        clear_files(backend, space)
    return report


def expire(backend: Backend, space: Space, policy: Policy, *, dry_run: bool) -> ExpiryReport:
    """Forget what has expired, and then in every file of the store; see `memory.retention`."""
    from memory_agent.consolidation import expiring

    report = expiring.expire(space, policy, dry_run=dry_run)
    if report.forgotten and not dry_run:
        clear_files(backend, space)
    return report


def clear_files(backend: Backend, space: Space) -> None:
    """Leave nothing in any file of what the ledger no longer holds: adapters, vectors, kept answers, free pages."""
    from memory_agent.consolidation.spending import ANSWERS
    from memory_agent.distillation import paraphrasing, registry
    from memory_agent.retrieval import snapshot

    registry.sweep(space)
    paraphrasing.tidy(space)
    shutil.rmtree(space.folder / ANSWERS, ignore_errors=True)
    snapshot.purge(space)
    catch_up(space)
    backend.index.compact()
    backend.ledger.compact()


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
