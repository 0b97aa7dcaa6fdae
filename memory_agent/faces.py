"""The grouped faces of a Memory: `memory.blocks`. Each is as thin as Memory itself."""

from __future__ import annotations

from memory_agent.records import Block, BlockVersion
from memory_agent.space import Space
from memory_agent.working import blocks


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
