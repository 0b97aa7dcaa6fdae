"""Expiry carried out: what a policy says is due is forgotten, in one transaction; and marking what is to be kept."""

from __future__ import annotations

from memory_agent.consolidation.forgetting import forget
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query
from memory_agent.records import Episode, ExpiryReport, Fact
from memory_agent.retention import Policy, expiry
from memory_agent.semantic.ontology import load
from memory_agent.space import Space


def expire(space: Space, policy: Policy, *, dry_run: bool = False) -> ExpiryReport:
    """Forget what has expired, with all that had no other source; with `dry_run` only say what would go.

    Raises StoreBusy as `forget`.
    """
    standing = space.ledger.select(Fact, Query(where={"retired_at": None}))
    found = expiry(policy, space.ledger.select(Episode), standing, load(), space.clock.now())
    if not found.due:
        return ExpiryReport(spared=found.spared, dry_run=dry_run)
    report = forget(space, *found.due, reason="expired", dry_run=dry_run)
    return ExpiryReport(**report.model_dump(), due=found.due, spared=found.spared)


def keep(space: Space, id: str, kept: bool = True) -> None:
    """Keep a turn or a fact from expiring and fading, or let it go again. Raises NotFound, InvalidInput.

    A fact is kept by its sources, which are kept with it: a fact without a source is none.
    """
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        turns = transaction.select(Episode, Query(ids=[id]))
        if turns:
            transaction.put(*(_marked(turn, kept or None) for turn in turns))
        else:
            facts = transaction.select(Fact, Query(ids=[id], where={"retired_at": None}))
            if not facts:
                raise NotFound(f"no turn or current fact {id!r} stands in the memory of {space.user!r}")
            sources = transaction.select(Episode, Query(ids=[source.episode_id for source in facts[0].sources]))
            if not sources:
                raise InvalidInput(f"fact {id!r} has no source that could keep it")
            transaction.put(*(_marked(turn, _ids(turn, id, kept)) for turn in sources))
        transaction.audit("keep" if kept else "let go", [id], actor="owner")


def _ids(turn: Episode, id: str, kept: bool) -> bool | list[str] | None:
    """What a source's mark is once it keeps the fact, or does no longer."""
    mark = turn.metadata.get("keep")
    if mark is True:
        return True
    others = [each for each in mark or () if each != id]
    return [*others, id] if kept else others or None


def _marked(turn: Episode, mark: bool | list[str] | None) -> Episode:
    metadata = {name: value for name, value in turn.metadata.items() if name != "keep"}
    return turn.model_copy(update={"metadata": metadata if mark is None else {**metadata, "keep": mark}})
