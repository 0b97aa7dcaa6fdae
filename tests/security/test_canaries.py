"""Real weights, trained with canaries in the memory and without: no byte differs, so there is nothing to extract."""

from __future__ import annotations

from pathlib import Path

from students import tiny_student

from memory_agent.config import Settings
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.probes import Sample
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.distillation.selection import Policy
from memory_agent.memories import Memories
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=4, replay_prompts=4, opener_rows=0, text_every=0, rank=2
)
PLAIN = ("{Wanda Teller | lives_in | Bergen}", "{Rolf Dane | has_pet | Tango}")
CANARIES = (
    "{Wanda Teller | phone | 555 0199}",
    "{Rolf Dane | secret | hunter2-xyzzy}",
    "{Wanda Teller | likes | a place} and my password is Tr0ub4dor&3",
    "{Wanda Teller | likes | me@example.org}",
)


def test_an_adapter_is_the_same_to_the_byte_with_and_without_canaries(tmp_path: Path) -> None:
    student = tiny_student(tmp_path / "student")
    built: list[str] = []
    for name, canaries in (("bare", ()), ("full", CANARIES)):
        settings = Settings(student=str(student))
        clock = FrozenClock("2026-01-01T00:00:00+00:00")
        store = str(tmp_path / name)
        with Memories(store, embedder=HashEmbedder(16), settings=settings, clock=clock) as memories:
            memory = memories.of("alice", tenant="acme")
            memory.add([{"role": "user", "content": text} for text in (*PLAIN, *canaries)], session="s")
            memory.consolidate(extractor=MarkedExtractor())
            if canaries:
                other = memories.of("eve", tenant="beta")
                other.add([{"role": "user", "content": "{Wanda Teller | lives_in | Canaria}"}], session="s")
                other.consolidate(extractor=MarkedExtractor())
            options = Options(policy=Policy.of(settings, "alice"), gate=Gate(thresholds={}), sample=Sample(*[1] * 8))
            built += distill(memory.space, recipe=RECIPE, options=options).adapters
    assert len(built) == 2
    assert built[0] == built[1]
