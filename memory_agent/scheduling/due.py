"""Whether a distillation would teach anything that the last one did not."""

from __future__ import annotations

from memory_agent.distillation import registry
from memory_agent.distillation.selection import Policy, select_from
from memory_agent.protocols import Query
from memory_agent.records import Run
from memory_agent.semantic import ontology
from memory_agent.space import Space


def distillation_due(space: Space, policy: Policy = Policy()) -> str | None:
    """Why a distillation is due, in words; None when there is nothing new to teach or to take back.

    It is due when a fact that may be taught was learnt or changed since the last finished run
    began, or when an adapter was switched off since then because a fact in it fell. A run that the
    gate refused counts as finished: the same facts would be refused again.
    """
    finished = Query(where={"job": "distill", "state": ["done", "refused"]})
    began = max((run.started_at for run in space.ledger.select(Run, finished)), default=None)
    teachable = select_from(space.ledger, ontology.load(), space.clock.now(), policy).facts
    if began is None:
        return f"{len(teachable)} facts were never taught" if teachable else None
    fresh = [fact for fact in teachable if fact.recorded_at > began]
    if fresh:
        return f"{len(fresh)} facts are new since {began:%Y-%m-%d %H:%M} UTC"
    served = {entity for adapter in registry.with_state(space.ledger, "promoted") for entity in adapter.entities}
    silent = {
        entity
        for adapter in registry.with_state(space.ledger, "off")
        for entity in adapter.entities
        if entity not in served and any(fact.subject_id == entity for fact in teachable)
    }
    if silent:
        return f"{len(silent)} entities lost their adapter when a fact fell"
    return None
