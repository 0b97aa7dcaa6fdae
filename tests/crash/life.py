"""A life under load, for being killed in the middle of: adding, consolidating, forgetting, distilling, by chance.

Each step writes down what it is about to forget and what is done, so that after a kill it is known what must be
there and what must not come back. The student is a tiny random one; everything else is real.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Ack, acknowledged
from pydantic import SecretStr

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.doctor import examine
from memory_agent.errors import NotFound, NothingToDistill, StoreBusy
from memory_agent.protocols import Query
from memory_agent.records import STORED, Adapter, Claim, Episode, Fact
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

if TYPE_CHECKING:
    from memory_agent.distillation.trainers import Train

TRAINING = ["torch", "transformers", "peft", "memory_agent.distillation.trainers.lora"]
PRELOAD = [
    "life",
    "memory_agent.consolidation.forgetting",
    "memory_agent.retrieval.index",
    "memory_agent_stores.sqlite",
    "memory_agent_stores.sqlite_snapshot",
]
TOWNS = ["Lisbon", "Porto", "Faro", "Rome"]
_NAMED = re.compile(r"Person(\d+) ")
DISTILL = 0.08
"""How often a step is a distillation, where there is a student; it takes longer than all others together."""


def opened(folder: Path) -> Memory:
    """The memory in `folder`, or at the URL that lies beside it in `url`; with a file `key`, weights are encrypted."""
    url, key = folder.parent / "url", folder.parent / "key"
    settings = Settings(student=str(folder.parent / "student"), threads=1, lock_wait=20)
    if key.exists():
        private = folder.parents[1] / "private"
        private.mkdir(exist_ok=True)
        sealed = {"adapter_key": SecretStr(key.read_text()), "private_folder": str(private)}
        settings = settings.model_copy(update=sealed)
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


class Life:
    """Operations on one memory, each written down when it begins and when it is done; threads may share it."""

    def __init__(self, memory: Memory, ack: Ack, lines: Sequence[str], seed: int | None = None) -> None:
        """Goes on after what `lines` tell of earlier lives on the same store."""
        self.memory = memory
        self.ack = ack
        self.chance = random.Random(seed)
        told = [int(id[1:]) for line in lines for id in line.split()[1:] if line.startswith("adding")]
        self.numbers = itertools.count(max(told, default=-1) + 1, 3)

    def add(self) -> None:
        first = next(self.numbers)
        turns = [turn(k) for k in range(first, first + 3)]
        self.ack("adding " + " ".join(str(each["id"]) for each in turns))
        added = self.memory.add(turns, session=f"s{first // 30}")
        self.ack("added " + " ".join(added.added))

    def forget(self) -> None:
        held = self.memory.space.ledger.select(Episode)
        if not held:
            self.add()
            return
        doomed = self.chance.choice(held).id
        self.ack(f"forgetting {doomed}")
        try:
            self.memory.forget(doomed, reason="asked for")
        except NotFound:  # another thread was faster; its word counts
            return
        self.ack(f"forgot {doomed}")

    def read(self) -> None:
        unread = self.memory.space.ledger.select(Episode, Query(where={"run": None}))
        self.ack("reading " + " ".join(episode.id for episode in unread))
        try:
            self.memory.consolidate(extractor=MarkedExtractor())
        except StoreBusy:  # another thread reads
            self.ack("left")
            return
        self.ack("read " + " ".join(episode.id for episode in unread))

    def distil(self, trainer: Train | None = None, cap: int = 3) -> None:
        """Train and promote with a tiny student, and no gate."""
        self.ack("distilling")
        try:
            promoted = _distil(self.memory, trainer, cap)
        except (NothingToDistill, StoreBusy):
            self.ack("nothing")
        else:
            self.ack("promoted " + " ".join(promoted))

    def step(self, distil: float = DISTILL) -> None:
        """One operation by chance."""
        drawn = self.chance.random()
        if drawn < distil and Path(self.memory.space.settings.student).exists():
            self.distil()
        elif drawn < 0.25:
            self.forget()
        elif drawn < 0.5:
            self.read()
        else:
            self.add()


def live(folder: Path, ack: Ack) -> None:
    """Step after step until killed."""
    life = Life(opened(folder), ack, acknowledged(notes_of(folder)))
    while True:
        life.step()


def _distil(memory: Memory, trainer: Train | None, cap: int) -> tuple[str, ...]:
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
    options = Options(gate=Gate(thresholds={}), sample=Sample(*[1] * 8), cap=cap)
    return distill(memory.space, recipe=recipe, trainer=trainer, options=options).adapters


def notes_of(folder: Path) -> Path:
    """Where it is written down what was done to the store in `folder`."""
    return folder.parent / f"{folder.name}.acknowledged"


def tell(folder: Path) -> None:
    """Print how often each step was acknowledged."""
    lines = [line.split()[0] for line in acknowledged(notes_of(folder))]
    print("acknowledged", dict(sorted(Counter(lines).items())))


def whole(folder: Path, lines: list[str]) -> None:
    """Nothing acknowledged is lost, nothing forgotten is back, and the doctor finds nothing."""
    memory = opened(folder)
    try:
        check(memory, lines)
    finally:
        memory.close()


def check(memory: Memory, lines: Sequence[str]) -> None:
    """The same of a memory that is open, and that nobody works on yet."""
    ledger = memory.space.ledger
    held = {episode.id: episode for episode in ledger.select(Episode)}
    told: dict[str, set[str]] = {}
    for line in lines:
        what, *ids = line.split()
        told.setdefault(what, set()).update(ids)
    going, gone = told.get("forgetting", set()), told.get("forgot", set())
    assert told.get("added", set()) - going <= set(held), "an acknowledged turn is lost"
    for line in lines:
        if line.startswith("adding") and not going & (batch := set(line.split()[1:])):
            assert batch <= set(held) or not batch & set(held), "a batch of turns is torn"
    unread = {id for id, episode in held.items() if episode.run is None}
    assert not (told.get("read", set()) - going) & unread, "an acknowledged reading is lost"
    assert not gone & set(held), "a forgotten turn is back"
    assert not gone & memory.space.index.ids("episode"), "a forgotten turn's vector is back"
    claims = ledger.select(Claim)
    assert not gone & {claim.episode_id for claim in claims}, "a forgotten turn's claim is back"
    assert set(held) - unread == {claim.episode_id for claim in claims}, "a reading is torn"
    facts = ledger.select(Fact, Query(where={"retired_at": None}))
    assert len({fact.id for fact in facts}) == len(facts), "a fact stands twice"
    assert not ledger.match([f"Person{id[1:]}" for id in sorted(gone)[-20:]], limit=5), "its words are found"
    for kind in STORED:
        for record in ledger.select(kind):
            named = {f"t{number}" for number in _NAMED.findall(record.model_dump_json())}
            assert not gone & named, f"the {kind.kind} {record.id} tells what was forgotten"
    known = {adapter.id for adapter in ledger.select(Adapter)}
    assert told.get("promoted", set()) <= known, "an acknowledged adapter is lost"
    diagnosis = examine(memory.backend, [memory.space])
    assert diagnosis.problems == (), diagnosis.problems
