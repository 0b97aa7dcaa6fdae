"""Merging entities by hand and splitting them again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bound import space_of
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent import consolidation, episodic, semantic
from memory_agent.consolidation.merging import merge, split
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query
from memory_agent.records import Fact, Turn
from memory_agent.semantic.reconcile import Derived
from memory_agent.space import Space, open_backend
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


_MARKS = [
    "{Bob | lives_in | Lisbon}", "{Bob | lives_in | Porto | 2022}", "{Cleo | lives_in | Rome}",
    "{Bob | -lives_in | Porto}", "{Bob | works_at | Acme}", "{Cleo | works_at | Bosch | 2021 | 2023}",
    "{Bob | commute | tram}", "{Cleo | spouse | Dan}", "{Bob | spouse | Eve}", "{Bob | colleague | Cleo}",
    "{Bob | friend | Dan}", "{Cleo | visited! | Rome | 2024}", "{Cleo | -works_at | Acme}",
    "{Bob | sibling | Cleo}", "{Dan | from | Faro}",
]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_MARKS), st.sampled_from(["Alice", "Bob", "Cleo"])), min_size=2, max_size=7),
    st.permutations(["Bob", "Cleo"]),
    st.data(),
)
def test_merge_then_split_is_the_identity(said: list[tuple[str, str]], pair: list[str], data: st.DataObject) -> None:
    """Also for what is told while they are one: it is of whoever was named."""
    start = datetime(2023, 1, 1, tzinfo=UTC)
    turns = [
        Turn(role="user", speaker=by, content=f"{n}: {mark}", at=start + timedelta(days=97 * n), id=f"t{n}")
        for n, (mark, by) in enumerate([("{Bob | friend | Alice} {Cleo | friend | Alice}", "Alice"), *said])
    ]
    never, merged = space_of(open_backend("memory://")), space_of(open_backend("memory://"))
    before = data.draw(st.integers(1, len(turns)))
    for space, batches in ((never, [turns]), (merged, [turns[:before], turns[before:]])):
        for number, batch in enumerate(batches):
            episodic.take_in(space, batch, "s")
            consolidation.consolidate(space, MarkedExtractor())
            if space is merged and number == 0:
                one, other = (semantic.resolve_mention(space, name) for name in pair)
                merge(space, one.id, other.id)
    split(merged, one.id)
    assert state(merged) == state(never)
