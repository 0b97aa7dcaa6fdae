"""The grouped faces of a Memory: `blocks`, `retention`, `review`, `privacy`, and what reads an export into one.

Each is as thin as Memory itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memory_agent import upkeep
from memory_agent.protocols import Backend
from memory_agent.records import Block, BlockVersion, ExpiryReport, Fact
from memory_agent.space import Space
from memory_agent.working import blocks

if TYPE_CHECKING:
    from memory_agent.distillation.review import Waiting
    from memory_agent.encryption import Key
    from memory_agent.privacy import Archive, Certificate


class Blocks:
    """Labelled pieces of working memory that every prompt shows: persona, human, and what you add.

    An agent's own blocks (`Memory.open(agent=...)`) are its alone; shared ones are seen by every agent of the user.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def put(
        self,
        label: str,
        value: str = "",
        *,
        description: str = "",
        limit: int = 2000,
        read_only: bool = False,
        shared: bool = False,
        reason: str = "",
    ) -> Block:
        """Make a block, or replace it whole. `limit` is in characters; the agent cannot edit a read-only one.

        Raises InvalidInput without a label, or when the value is longer than the limit.
        """
        return blocks.put(
            self._space,
            label,
            value,
            description=description,
            limit=limit,
            read_only=read_only,
            shared=shared,
            reason=reason,
        )

    def all(self) -> list[Block]:
        """The blocks that this agent sees, by label."""
        return blocks.every(self._space)

    def get(self, label: str) -> Block:
        """The block of that label. Raises NotFound."""
        return blocks.get(self._space, label)

    def history(self, label: str) -> list[BlockVersion]:
        """What the block said after each edit, who made it and why; oldest first. Raises NotFound."""
        return blocks.history(self._space, label)

    def append(self, label: str, text: str, *, reason: str = "") -> Block:
        """Add a line. Raises NotFound, or InvalidInput when it is read-only or would pass its limit."""
        return blocks.append(self._space, label, text, reason=reason)

    def replace(self, label: str, old_text: str, new_text: str, *, reason: str = "") -> Block:
        """Replace a passage that stands in the block exactly once. Raises as `append`."""
        return blocks.replace(self._space, label, old_text, new_text, reason=reason)

    def rethink(self, label: str, value: str, *, reason: str = "") -> Block:
        """Write the whole text anew. Raises as `append`."""
        return blocks.rethink(self._space, label, value, reason=reason)


class Retention:
    """What is to be forgotten by itself, and what is to be kept. Nothing expires until `expire` is called."""

    def __init__(self, backend: Backend, space: Space) -> None:
        self._backend, self._space = backend, space

    def expire(self, rules: str | Sequence[str] | None = None, *, dry_run: bool = False) -> ExpiryReport:
        """Forget everywhere what has expired by `rules` (`"episode=365d, fact:volatile=90d"`), or by the settings'.

        `dry_run` says what would go, and why, and what is spared. The forms of rules stand in docs/how-to/forget.md.
        Raises InvalidInput for a rule that is none, StoreBusy while a consolidation runs.
        """
        from memory_agent.retention import Policy

        policy = Policy.read(self._space.settings.expire if rules is None else rules)
        return upkeep.expire(self._backend, self._space, policy, dry_run=dry_run)

    def keep(self, id: str, kept: bool = True) -> None:
        """Keep a turn or a fact from expiring and fading, or with `kept=False` let it go again. Raises NotFound."""
        from memory_agent.consolidation import expiring

        expiring.keep(self._space, id, kept)


class Review:
    """What waits for a person before it may be put into weights, because of who said it."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def waiting(self, source: str | None = None) -> list[Waiting]:
        """The facts that wait, of one source or all, each with the reason; first what stands against others' words."""
        from memory_agent.distillation import review

        return review.waiting(self._space, source)

    def approve(self, *ids: str) -> list[Fact]:
        """Let these facts count as the user's own word. Raises NotFound, and then nothing is written."""
        from memory_agent.distillation import review

        approved = review.approve(self._space, ids)
        upkeep.catch_up(self._space)
        return approved

    def reject(self, *ids: str) -> list[Fact]:
        """Withdraw these facts; the turns stay, and adapters that hold one are switched off. Raises NotFound."""
        from memory_agent.distillation import review

        rejected = review.reject(self._space, ids)
        upkeep.catch_up(self._space)
        return rejected


class Privacy:
    """What a person may ask for: everything that is kept of them, and that it be erased, with proof."""

    def __init__(self, backend: Backend, space: Space) -> None:
        self._backend, self._space = backend, space

    def export(self, path: Path, *, key: Key | None = None) -> Archive:
        """Write everything of the user into a new zip, encrypted under `key` if given. Raises InvalidInput."""
        from memory_agent import privacy

        return privacy.export(self._space, path, key)

    def erase(self, target: str, *, reason: str, key: Key | None = None) -> Certificate:
        """Forget `target` (as `Memory.forget`) and certify what was looked for afterwards, signed if `key` is given.

        Raises as `Memory.forget`; then nothing was erased.
        """
        from memory_agent import privacy

        return privacy.erase(self._backend, self._space, target, reason=reason, key=key)


OURS = "slowwave"


def read_in(space: Space, texts: Mapping[str, str], origin: str = OURS, format: str = "jsonl") -> dict[str, int]:
    """Read an export in: our own into an empty memory, another's as turns that the next consolidation reads.

    `texts` is the one text under "", or csv's tables by their names. Gives the numbers of `records`, or of `turns`,
    those `known_already` and `blocks`. Raises InvalidInput when this is no export of `origin` in `format`, or when
    the memory that our own would go into holds something.
    """
    from memory_agent.exchange import foreign, graphs, lines

    if origin == OURS:
        if format == "jsonl":
            records = lines.read(line for line in texts[""].split("\n") if line.strip())
        else:
            records = graphs.read(texts, format).records()
        restored = lines.restore(space, records)
        upkeep.catch_up(space)
        return {"records": restored}
    found = foreign.read(foreign.loads(texts[""]), origin, user=space.user)
    report = upkeep.add(space, found.turns, None)
    for label, value in found.blocks.items():
        blocks.put(space, label, value, limit=max(2000, len(value)), reason=f"imported from {origin}")
    return {"turns": len(report.added), "known_already": len(report.duplicates), "blocks": len(found.blocks)}
