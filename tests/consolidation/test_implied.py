"""What transitive predicates imply, shown in the graph beside what was said."""

from __future__ import annotations

from memory_agent import consolidation, semantic
from memory_agent.testing.extractor import MarkedExtractor

SAID = "{Alice's office | located_in | Leipzig} {Leipzig | located_in | Saxony} {Saxony | located_in | Germany}"


def implied(space) -> dict[tuple[str, str], list[str]]:
    edges = semantic.graph(space, implied=True).edges(data=True)
    return {(e["subject"], e["object"]): e["via"] for _, _, e in edges if e.get("implied")}


def test_a_chain_of_places_is_shown_from_end_to_end(space, say) -> None:
    say("2023-01-05", SAID)
    consolidation.consolidate(space, MarkedExtractor())
    facts = {(f.subject, f.object): f.id for f in semantic.facts(space)}
    found = implied(space)
    assert set(found) == {("Alice's office", "Saxony"), ("Alice's office", "Germany"), ("Leipzig", "Germany")}
    assert found["Leipzig", "Germany"] == [facts["Leipzig", "Saxony"], facts["Saxony", "Germany"]]
    texts = {e["text"] for _, _, e in semantic.graph(space, implied=True).edges(data=True)}
    assert "Leipzig is in Germany." in texts
    assert len(semantic.graph(space).edges) == 3


def test_what_was_denied_or_only_planned_implies_nothing(space, say) -> None:
    say("2023-01-05", "{Alice's office | located_in | Leipzig}")
    say("2023-01-06", "{Leipzig | located_in! | Saxony} {Leipzig | -located_in | Texas}")
    consolidation.consolidate(space, MarkedExtractor())
    assert implied(space) == {}


def test_other_predicates_imply_nothing(space, say) -> None:
    say("2023-01-05", "{Alice | friend | Bob} {Bob | friend | Cleo}")
    consolidation.consolidate(space, MarkedExtractor())
    assert implied(space) == {}
