"""What was forgotten after a backup was made is forgotten again after it is restored.

The list is taken from a later state of the same memory, whose audit chain begins with the backup's own. Of the
evidence (turns, claims, blocks, items, summaries) that was forgotten and does not stand there, nothing is left; a turn
of which a part was cut out is as it was left there, pending, as what was read in it may have been the part. What then
still stands of the facts and entities that were forgotten is forgotten as if it were named.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from memory_agent.backup.manifest import Manifest
from memory_agent.config import Settings
from memory_agent.consolidation.forgetting import forget
from memory_agent.consolidation.redaction import MARK
from memory_agent.distillation import registry
from memory_agent.encryption import Key
from memory_agent.errors import InvalidInput
from memory_agent.opening import bind, embedder_of
from memory_agent.protocols import Backend, Query, Reader, SpaceLedger
from memory_agent.records import (
    Block,
    BlockVersion,
    Claim,
    Entity,
    Episode,
    Fact,
    ForgetReport,
    Item,
    Stored,
    Summary,
    Tombstone,
)  # fmt: skip
from memory_agent.space import Space, open_backend

REASON = "forgotten after the backup that was restored"
_EVIDENCE: tuple[type[Stored], ...] = (Episode, Claim, Block, Item, Summary)
_DERIVED: tuple[type[Stored], ...] = (Fact, Entity)


@dataclass
class Again:
    """Ids by kind of what was forgotten again, and the turns that were cut again."""

    forgotten: dict[str, tuple[str, ...]] = field(default_factory=dict)
    redacted: tuple[str, ...] = ()

    def add(self, report: ForgetReport) -> None:
        for kind, ids in report.forgotten.items():
            self.forgotten[kind] = tuple(dict.fromkeys((*self.forgotten.get(kind, ()), *ids)))
        self.redacted = tuple(dict.fromkeys((*self.redacted, *report.redacted)))


def replay(backend: Backend, manifest: Manifest, later: str, key: Key | None, settings: Settings) -> Again:
    """Forget again, in every space of the backup, what the store or backup `later` says was forgotten since.

    Raises InvalidInput when `later` is no later state of the same memories.
    """
    from memory_agent.backup.restoring import restore

    if Path(later).is_file():
        with tempfile.TemporaryDirectory(prefix="memory-agent-") as folder:
            restore(Path(later), f"{folder}/later", key=key)
            return replay(backend, manifest, f"{folder}/later", key, settings)
    there = open_backend(later)
    again = Again()
    try:
        spaces = [_bound(backend, told.key, settings) for told in manifest.spaces]
        for space in spaces:
            _check_later(space.ledger, there.ledger.space(space.key), space.key)
        for space in spaces:
            _Replaying(space, there.ledger.space(space.key), again).run()
        if again.forgotten or again.redacted:
            backend.index.compact()
            backend.ledger.compact()
    finally:
        there.index.close()
        there.ledger.close()
    return again


def _bound(backend: Backend, key: str, settings: Settings) -> Space:
    tenant, _, user = key.partition("/")
    return bind(
        backend, user=unquote(user), tenant=unquote(tenant), agent=None, embedder=embedder_of(None, settings),
        settings=settings,
    )  # fmt: skip


def _check_later(here: SpaceLedger, there: SpaceLedger, key: str) -> None:
    chain, longer = here.audit_chain(), there.audit_chain()
    if longer[: len(chain)] != chain or there.position() < here.position():
        raise InvalidInput(f"what is named as a later state of {key} does not follow from the backup; nothing is kept")


class _Replaying:
    """One space."""

    def __init__(self, space: Space, later: SpaceLedger, again: Again) -> None:
        self._space, self._later, self._again = space, later, again
        self._stones = later.select(Tombstone, Query(after=space.ledger.position()))

    def run(self) -> None:
        if any(stone.of_kind == "user" for stone in self._stones):
            self._forget(f"user:{self._space.user}")
        for kind in _EVIDENCE:
            if ids := self._gone(kind):
                self._forget(*ids)
        self._cut_turns()
        self._cut_blocks()
        for kind in _DERIVED:
            for id in self._gone(kind):
                if _standing(self._space.ledger, kind, [id]):
                    self._forget(id)
        self._clear()

    def _forget(self, *ids: str) -> None:
        self._again.add(forget(self._space, *ids, reason=REASON))

    def _gone(self, kind: type[Stored]) -> list[str]:
        """Ids of that kind that were forgotten since, are gone there, and stand here."""
        ids = [stone.of_id for stone in self._stones if stone.of_kind == kind.kind]
        gone = [id for id in ids if id not in _standing(self._later, kind, ids)]
        return sorted(_standing(self._space.ledger, kind, gone))

    def _cut_turns(self) -> None:
        """Put turns that were cut since in the place of the whole ones, with nothing that was read in those."""
        here = {turn.id: turn for turn in self._space.ledger.select(Episode)}
        cut = [
            turn
            for turn in self._later.select(Episode, Query(ids=sorted(here)))
            if MARK in turn.model_dump_json()
            and (turn.content, turn.metadata) != (here[turn.id].content, here[turn.id].metadata)
        ]
        for turn in cut:
            self._forget(turn.id)
            with self._space.ledger.transaction() as tx:
                tx.delete(Tombstone, [f"gone:{Episode.kind}:{turn.id}"])
                tx.put(turn.model_copy(update={"run": None}))
                tx.audit("restore", [turn.id])
        self._again.redacted = tuple(dict.fromkeys((*self._again.redacted, *(turn.id for turn in cut))))
        if cut and Episode.kind in self._again.forgotten:
            put_back = {turn.id for turn in cut}
            left = tuple(id for id in self._again.forgotten[Episode.kind] if id not in put_back)
            self._again.forgotten[Episode.kind] = left

    def _cut_blocks(self) -> None:
        kinds: tuple[type[Block] | type[BlockVersion], ...] = (Block, BlockVersion)
        for kind in kinds:
            here = {block.id: block for block in self._space.ledger.select(kind)}
            there = self._later.select(kind, Query(ids=sorted(here)))
            cut = [b for b in there if MARK in b.value and b.version == here[b.id].version and b != here[b.id]]
            if cut:
                with self._space.ledger.transaction() as tx:
                    tx.put(*cut)
                    tx.audit("restore", [block.id for block in cut])

    def _clear(self) -> None:
        """Take out of the index and the adapters what is forgotten; the rest of the catching up is for who opens."""
        registry.sweep(self._space)
        for kind in (Episode, Fact):
            state = self._space.index.state(kind.kind)
            if state is None:
                continue
            living = {each.id for each in self._space.ledger.select(kind, _living(kind))}
            surplus = sorted((self._space.index.ids(kind.kind) - living) | set(self._again.redacted))
            if surplus:
                empty = np.zeros((0, state.dimension), dtype=np.float32)
                self._space.index.apply(kind.kind, [], empty, surplus, state=state)


def _standing(reader: Reader, kind: type[Stored], ids: Sequence[str]) -> set[str]:
    """Those of the ids that stand, of facts as they are believed now."""
    return {each.id for each in reader.select(kind, _living(kind, ids))} if ids else set()


def _living(kind: type[Stored], ids: Sequence[str] | None = None) -> Query:
    return Query(where={"retired_at": None} if kind is Fact else {}, ids=ids)
