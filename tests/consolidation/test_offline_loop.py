"""The whole of consolidation with the extractor that needs no key: spaCy, SQLite, Chroma."""

from __future__ import annotations

import pytest

from memory_agent import consolidation, semantic
from memory_agent.consolidation.forgetting import forget
from memory_agent.records import Claim, Episode


@pytest.mark.model
def test_talk_becomes_facts_that_change_and_can_be_forgotten(space, say) -> None:
    say("2023-01-05", "I live in Lisbon. My sister Clara is a nurse.", session="a")
    say("2023-02-05", "Do you live in Rome?", by="Tom", session="a")
    moved = say("2024-04-05", "I moved to Porto last month.", session="b")
    consolidation.consolidate(space)
    (home,) = semantic.facts(space, "Alice", predicate="lives_in")
    assert (home.object, home.valid_from) == ("Porto", "2024-03")
    assert [f.object for f in semantic.facts(space, "Alice", predicate="lives_in", as_of="2023-06")] == ["Lisbon"]
    assert [f.object for f in semantic.facts(space, "Alice's sister", predicate="occupation")] == ["nurse"]
    assert not semantic.facts(space, "Rome")
    contents = {e.id: e.content for e in space.ledger.select(Episode)}
    assert all(contents[c.episode_id][c.start : c.end] == c.quote for c in space.ledger.select(Claim))
    forget(space, moved, reason="asked")
    (home,) = semantic.facts(space, "Alice", predicate="lives_in")
    assert home.object == "Lisbon"
