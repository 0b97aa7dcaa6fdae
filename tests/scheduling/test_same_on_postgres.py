"""A distillation on PostgreSQL gives the adapters that it gives on SQLite and Chroma, to the byte."""

from __future__ import annotations

from pathlib import Path

from students import tiny_student
from test_launch import OPTIONS, RECIPE

from memory_agent import distillation
from memory_agent.config import Settings
from memory_agent.memory import Memory
from memory_agent.records import Adapter, DistillationReport
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

SAID = ("{Ann | lives_in | Lisbon}", "{Ann | lives_in | Porto}", "{Ann | likes | tea}")


def distilled(store: str, student: Path) -> tuple[DistillationReport, Adapter]:
    """What comes of the same talk in that store."""
    settings = Settings(student=str(student), threads=1)
    with Memory.open(store, user="Ann", embedder=HashEmbedder(16), settings=settings, clock=FrozenClock()) as memory:
        turns = [{"role": "user", "speaker": "Ann", "content": text, "id": str(n)} for n, text in enumerate(SAID)]
        memory.add(turns, session="s")
        memory.consolidate(extractor=MarkedExtractor())
        report = distillation.distill(memory.space, recipe=RECIPE, options=OPTIONS)
        [adapter] = memory.space.ledger.select(Adapter)
        return report, adapter


def measured(report: DistillationReport) -> dict[str, dict[str, object]]:
    """The scorecard of each shard, but for how long it took."""
    return {shard: {**card, "seconds": 0} for shard, card in report.scorecard.items()}


def test_the_same_adapter_to_the_byte(tmp_path: Path, postgres_url: str) -> None:
    student = tiny_student(tmp_path / "student")
    (here, ours), (there, theirs) = (distilled(store, student) for store in (str(tmp_path / "m"), postgres_url))
    assert (ours.id, ours.sha256, ours.facts) == (theirs.id, theirs.sha256, theirs.facts)
    assert ours.state == theirs.state == "promoted"
    assert measured(here) == measured(there)
    assert (here.facts, here.refused, here.rows) == (there.facts, there.refused, there.rows)
    assert len(here.facts) >= 2
