"""A space with a small graph, a random student, and promoted random adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from students import random_adapter, tiny_student

from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.memory import Memory
from memory_agent.models.local import LocalModel
from memory_agent.records import Adapter, Entity, Fact
from memory_agent.testing import FrozenClock, HashEmbedder

FACTS = (("Wanda Teller", "lives_in", "Bergen"), ("Wanda Teller", "plays", "lute"), ("Rolf Dane", "has_pet", "Tango"))


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="session")
def trained(student: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(student, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def memory(tmp_path: Path, student: Path) -> Iterator[Memory]:
    """A graph of two people, and a third whom nobody says anything lasting about; nothing is distilled."""
    settings = Settings(student=str(student))
    clock = FrozenClock("2026-01-01T00:00:00+00:00")
    opened = Memory.open(tmp_path / "store", user="alice", embedder=HashEmbedder(64), clock=clock, settings=settings)
    people = {
        name: Entity(id=f"e:{name}", name=name, type="person") for name in ("Wanda Teller", "Rolf Dane", "Una Field")
    }
    facts = [
        Fact(
            id=f"f{n}",
            subject=subject,
            subject_id=people[subject].id,
            predicate=predicate,
            object=object,
            text=f"{subject} {predicate} {object}.",
            recorded_at=clock.now(),
        )
        for n, (subject, predicate, object) in enumerate(FACTS)
    ]
    with opened.space.ledger.transaction() as tx:
        tx.put(*people.values(), *facts)
    yield opened
    opened.close()


@pytest.fixture
def promoted(memory: Memory, trained: Path) -> Adapter:
    """An adapter that was "taught" all facts and may answer."""
    space = memory.space
    sha, _ = registry.keep(space, trained, {})
    facts = space.ledger.select(Fact)
    adapter = Adapter(
        id=sha,
        shard="s",
        state="promoted",
        base=LocalModel.load(space.settings).revision,
        facts=tuple(f"{fact.id}@{fact.version}" for fact in facts),
        entities=tuple(sorted({fact.subject_id for fact in facts})),
        sha256=sha,
        created_at=space.clock.now(),
    )
    with space.ledger.transaction() as tx:
        tx.put(adapter)
    return adapter
