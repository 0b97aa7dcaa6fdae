"""A life under load, for being killed in the middle of: adding, consolidating, forgetting, distilling, by chance.

Each step writes down what it is about to forget and what is done, so that after a kill it is known what must be
there and what must not come back. The student is a tiny random one; everything else is real.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

from harness import Ack, acknowledged

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.doctor import examine
from memory_agent.errors import NothingToDistill
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Claim, Episode
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

TRAINING = ["torch", "transformers", "peft", "memory_agent.distillation.trainers.lora"]
PRELOAD = [
    "life",
    "memory_agent.consolidation.forgetting",
    "memory_agent.retrieval.index",
    "memory_agent_stores.sqlite",
    "memory_agent_stores.sqlite_snapshot",
]
TOWNS = ["Lisbon", "Porto", "Faro", "Rome"]
DISTILL = 0.08
"""How often a step is a distillation, where there is a student; it takes longer than all others together."""


def opened(folder: Path) -> Memory:
    """The memory in `folder`, or at the URL that lies beside it in a file `url`."""
    url = folder.parent / "url"
    settings = Settings(student=str(folder.parent / "student"), threads=1, lock_wait=20)
    where = url.read_text() if url.exists() else str(folder)
    clock = FrozenClock("2024-01-01T12:00:00+00:00")
    return Memory.open(where, user="Alice", embedder=HashEmbedder(64), clock=clock, settings=settings)


def turn(k: int) -> dict[str, Any]:
    """What is said k-th: one new thing, a move, and somebody new who lives somewhere."""
    said = (
        f"{{Alice | likes | tea {k}}} {{Alice | lives_in | {TOWNS[k % len(TOWNS)]}}} "
        f"{{Person{k} Field | lives_in | Town{k}}}"
    )
    at = f"2023-{1 + k // 40000 % 12:02d}-{1 + k // 1440 % 28:02d}T{k // 60 % 24:02d}:{k % 60:02d}:00+00:00"
    return {"role": "user", "speaker": "Alice", "content": said, "id": f"t{k}", "at": at}


def live(folder: Path, ack: Ack) -> None:
    """Step after step until killed."""
    memory = opened(folder)
    chance = random.Random(os.urandom(8))
    while True:
        step(memory, chance, ack)


def step(memory: Memory, chance: random.Random, ack: Ack) -> None:
    """One operation, written down when it is done."""
    ledger = memory.space.ledger
    drawn = chance.random()
    if drawn < DISTILL and Path(memory.space.settings.student).exists():
        try:
            ack("promoted " + " ".join(_distil(memory)))
        except NothingToDistill:
            ack("nothing")
    elif drawn < 0.25 and (held := ledger.select(Episode)):
        doomed = chance.choice(held).id
        ack(f"forgetting {doomed}")
        memory.forget(doomed, reason="asked for")
        ack(f"forgot {doomed}")
    elif drawn < 0.5:
        pending = [episode.id for episode in ledger.select(Episode, Query(where={"run": None}))]
        memory.consolidate(extractor=MarkedExtractor())
        ack("read " + " ".join(pending))
    else:
        first = chance.randrange(10**6) * 4
        added = memory.add([turn(k) for k in range(first, first + 3)], session=f"s{first}")
        ack("added " + " ".join(added.added))


def _distil(memory: Memory) -> tuple[str, ...]:
    """Train and promote with a tiny student and no gate; the adapters."""
    from memory_agent.distillation.gate import Gate
    from memory_agent.distillation.probes import Sample
    from memory_agent.distillation.recipe import Recipe
    from memory_agent.distillation.run import Options, distill

    recipe = Recipe(
        epochs=1,
        forward_forms=1,
        inverse_forms=1,
        fewest_unknown=4,
        replay_prompts=4,
        opener_rows=0,
        text_every=0,
        rank=2,
    )
    options = Options(gate=Gate(thresholds={}), sample=Sample(*[1] * 8), cap=3)
    return distill(memory.space, recipe=recipe, options=options).adapters


def tell(folder: Path) -> None:
    """Print how often each step was acknowledged."""
    lines = [line.split()[0] for line in acknowledged(folder.parent / f"{folder.name}.acknowledged")]
    print("acknowledged", dict(sorted(Counter(lines).items())))


def whole(folder: Path, lines: list[str]) -> None:
    """Nothing acknowledged is lost, nothing forgotten is back, and the doctor finds nothing."""
    memory = opened(folder)
    try:
        ledger = memory.space.ledger
        held = {episode.id: episode for episode in ledger.select(Episode)}
        told: dict[str, set[str]] = {}
        for line in lines:
            what, *ids = line.split()
            told.setdefault(what, set()).update(ids)
        going, gone = told.get("forgetting", set()), told.get("forgot", set())
        assert told.get("added", set()) - going <= set(held), "an acknowledged turn is lost"
        unread = {id for id, episode in held.items() if episode.run is None}
        assert not (told.get("read", set()) - going) & unread, "an acknowledged reading is lost"
        assert not gone & set(held), "a forgotten turn is back"
        assert not gone & memory.space.index.ids("episode"), "a forgotten turn's vector is back"
        assert not gone & {claim.episode_id for claim in ledger.select(Claim)}, "a forgotten turn's claim is back"
        assert not ledger.match([f"Person{id[1:]}" for id in sorted(gone)[-20:]], limit=5), "its words are found"
        known = {adapter.id for adapter in ledger.select(Adapter)}
        assert told.get("promoted", set()) <= known, "an acknowledged adapter is lost"
        diagnosis = examine(memory.backend, [memory.space])
        assert diagnosis.problems == (), diagnosis.problems
    finally:
        memory.close()
