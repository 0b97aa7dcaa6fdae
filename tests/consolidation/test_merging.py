"""Merging entities by hand and splitting them again."""

from __future__ import annotations

import pytest

from memory_agent import consolidation, semantic
from memory_agent.consolidation.merging import merge, split
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query
from memory_agent.records import Fact
from memory_agent.semantic.reconcile import Derived
from memory_agent.space import Space
from memory_agent.testing.extractor import MarkedExtractor


def state(space: Space) -> dict[str, dict[str, object]]:
    rows = space.ledger.select(Fact, Query(where={"retired_at": None}))
    return {f.id: {name: getattr(f, name) for name in Derived.model_fields} for f in rows}


def test_a_merge_joins_their_facts_and_a_split_restores_them(space, say) -> None:
    say("2023-01-05", "{Ana | lives_in | Rome} {Bob | friend | Ana} {Ana | spouse | Carlo}", by="Bob")
    say("2024-01-05", "{Anita | lives_in | Oslo} {Anita | spouse | Carlo} {Anita | sibling | Ana}", by="Bob")
    consolidation.consolidate(space, MarkedExtractor())
    before = state(space)
    ana, anita = (semantic.resolve_mention(space, name) for name in ("Ana", "Anita"))
    merge(space, anita.id, ana.id)
    homes = {f.object: f.status for f in semantic.facts(space, "Anita", past=True) if f.predicate == "lives_in"}
    assert homes == {"Rome": "superseded", "Oslo": "current"}
    assert len(semantic.facts(space, "Ana", predicate="spouse")) == 1
    assert not semantic.facts(space, predicate="sibling"), "nobody is their own sister"
    split(space, anita.id)
    assert state(space) == before


def test_what_cannot_be_merged_or_split_is_refused(space, say) -> None:
    say("2023-01-05", "{Ana | lives_in | Rome}", by="Bob")
    consolidation.consolidate(space, MarkedExtractor())
    ana = semantic.resolve_mention(space, "ana")
    with pytest.raises(InvalidInput):
        merge(space, ana.id, ana.id)
    with pytest.raises(InvalidInput):
        split(space, ana.id)
    with pytest.raises(NotFound):
        merge(space, ana.id, "nobody")
