"""Shards: whole entities, bounded, without history, and little disturbed by what is added."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from memory_agent.distillation.sharding import digest, layout
from memory_agent.records import Fact

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fact(person: int, n: int, id: str | None = None, version: int = 1) -> Fact:
    return Fact(
        id=id or f"f{person}.{n}",
        version=version,
        subject=f"Person {person}",
        subject_id=f"p{person}",
        predicate=f"p{n}",
        object=f"o{n}",
        text=f"Person {person} p{n} o{n}.",
        recorded_at=NOW,
    )


PAIRS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), unique=True, max_size=200)


@given(PAIRS, st.integers(1, 40))
def test_every_fact_is_in_one_shard_and_every_entity_in_one(pairs: list[tuple[int, int]], cap: int) -> None:
    facts = [fact(*pair) for pair in pairs]
    shards = layout(facts, cap)
    assert sorted(f.id for shard in shards for f in shard.facts) == sorted(f.id for f in facts)
    homes = [entity for shard in shards for entity in shard.entities]
    assert len(homes) == len(set(homes))
    assert all(len(shard.facts) <= cap or len(shard.entities) == 1 for shard in shards)


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_layout_depends_on_the_facts_alone(pairs: list[tuple[int, int]], rng: object) -> None:
    facts = [fact(*pair) for pair in pairs]
    other = [fact(*pair, id=f"other{n}", version=7) for n, pair in enumerate(pairs)]
    rng.shuffle(other)  # type: ignore[attr-defined]
    here, there = layout(facts, 20), layout(other, 20)
    assert [s.id for s in here] == [s.id for s in there]
    assert [digest(s.facts, {}) for s in here] == [digest(s.facts, {}) for s in there]


@given(PAIRS, st.tuples(st.integers(0, 60), st.integers(10, 12)))
def test_a_new_fact_dirties_one_shard(pairs: list[tuple[int, int]], new: tuple[int, int]) -> None:
    facts = [fact(*pair) for pair in pairs]
    before = {digest(s.facts, {}) for s in layout(facts, 20)}
    after = layout([*facts, fact(*new)], 20)
    gone = before - {digest(s.facts, {}) for s in after}
    assert len(gone) <= 1


def test_the_digest_covers_what_is_said_and_what_it_is_made_with() -> None:
    facts = [fact(1, 1), fact(1, 2)]
    assert digest(facts, {"seed": 0}) == digest(facts[::-1], {"seed": 0})
    assert digest(facts, {"seed": 0}) != digest(facts, {"seed": 1})
    changed = facts[0].model_copy(update={"object": "other"})
    assert digest([changed, facts[1]], {"seed": 0}) != digest(facts, {"seed": 0})
