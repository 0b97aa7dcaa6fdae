"""What must not reach a row: secrets, and what only turns of low trust say; 50 poisoned turns among 1,000."""

from __future__ import annotations

from memory_agent.distillation.curriculum import Curriculum
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.selection import Policy, select_from
from memory_agent.records import Episode, Fact, Source
from memory_agent.semantic import ontology
from memory_agent.space import Space

TURNS, POISONED, SECRETS = 1000, 50, 20


def told(space: Space) -> dict[str, str]:
    """Fill the space; fact id -> why it must be left out, or "" where it may be taught."""
    now, wanted = space.clock.now(), {}
    with space.ledger.transaction() as tx:
        for n in range(TURNS):
            poisoned, secret = n % (TURNS // POISONED) == 7, n % (TURNS // SECRETS) == 3
            predicate, value = ("phone", f"+351 {n:04}") if secret else ("plays", f"viol{n:04}")
            if poisoned:
                value = f"venom{n:04}"
            person = f"Person {chr(65 + n % 26)}{n:04}"
            episode = Episode(
                id=f"e{n}", session=f"s{n // 50}", role="user", speaker="Ana", content=f"{person} {predicate} {value}.",
                at=now, recorded_at=now, digest=str(n), metadata={"trust": "low"} if poisoned else {},
            )  # fmt: skip
            sources = [Source(episode_id=episode.id, start=0, end=3, quote=episode.content[:3])]
            tx.put(episode)
            if poisoned and n % 3 == 0:  # the attacker says it again, elsewhere
                again = episode.model_copy(update={"id": f"x{n}", "session": f"x{n}", "digest": f"x{n}"})
                tx.put(again)
                sources.append(sources[0].model_copy(update={"episode_id": again.id}))
            fact = Fact(
                id=f"f{n}", version=1, subject=person, subject_id=f"p{n}", predicate=predicate, object=value,
                text=episode.content, recorded_at=now, sources=tuple(sources),
            )  # fmt: skip
            tx.put(fact)
            wanted[fact.id] = "untrusted" if poisoned else "secret" if secret else ""
    return wanted


def test_neither_poison_nor_a_secret_reaches_a_row(space: Space) -> None:
    wanted = told(space)
    found = select_from(space.ledger, ontology.load(), space.clock.now(), Policy(teach=frozenset({"plays"})))
    assert {id for id, reason in wanted.items() if not reason} == {fact.id for fact in found.facts}
    assert dict(found.refused) == {id: reason for id, reason in wanted.items() if reason}
    assert sorted(found.refused.values()).count("untrusted") == POISONED
    assert sorted(found.refused.values()).count("secret") == SECRETS
    curriculum = Curriculum([TaughtFact.of(fact) for fact in found.facts], Recipe(epochs=1), 0)
    rows = [row.prompt + row.answer for row in curriculum.rows(0)]
    assert any("viol" in row for row in rows)
    assert not [row for row in rows if "venom" in row or "+351" in row]
