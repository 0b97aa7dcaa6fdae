"""Blocks: labelled pieces of working memory that stay in the window, edited by the agent or the user.

Each edit is one transaction with an entry in the audit chain that names the block and the kind of
edit, never its text.
"""

from __future__ import annotations

from collections.abc import Callable

from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query, Reader, Transaction
from memory_agent.records import Block
from memory_agent.space import Space


def put(
    space: Space,
    label: str,
    value: str = "",
    *,
    description: str = "",
    limit: int = 2000,
    read_only: bool = False,
) -> Block:
    """Make the block `label`, or replace it whole, its limit and read-only mark included; the owner's call.

    Raises InvalidInput when the label is empty or the value longer than `limit` characters.
    """
    if not label.strip():
        raise InvalidInput("a block needs a label")
    block = Block(
        id=_id(space, label),
        label=label,
        value=_fitting(label, value, limit),
        description=description,
        limit=limit,
        read_only=read_only,
        agent=space.agent,
        updated_at=space.clock.now(),
    )
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        _write(transaction, block, "block.put", "owner")
    return block


def get(space: Space, label: str) -> Block:
    """The block of that label. Raises NotFound."""
    return _find(space, space.ledger, label)


def every(space: Space) -> list[Block]:
    """The blocks of this space and agent, by label."""
    return sorted(space.ledger.select(Block, Query(where={"agent": space.agent})), key=lambda block: block.label)


def append(space: Space, label: str, text: str, *, reason: str = "") -> Block:
    """Add a line to a block. Raises NotFound, or InvalidInput when it is read-only or would pass its limit."""
    return _edit(space, label, lambda value: f"{value}\n{text}" if value else text, "block.append", reason)


def replace(space: Space, label: str, old_text: str, new_text: str, *, reason: str = "") -> Block:
    """Replace one passage, which must stand in the block exactly once.

    Raises NotFound, or InvalidInput when it does not, or as `append`.
    """

    def change(value: str) -> str:
        times = value.count(old_text) if old_text else 0
        if times != 1:
            raise InvalidInput(f"the text to replace stands {times} times in block {label!r}; quote one place")
        return value.replace(old_text, new_text)

    return _edit(space, label, change, "block.replace", reason)


def rethink(space: Space, label: str, value: str, *, reason: str = "") -> Block:
    """Write a block's text anew. Raises as `append`."""
    return _edit(space, label, lambda _: value, "block.rethink", reason)


def _id(space: Space, label: str) -> str:
    return f"block:{space.agent or ''}:{label}"


def _find(space: Space, reader: Reader, label: str) -> Block:
    found = reader.select(Block, Query(ids=[_id(space, label)]))
    if not found:
        known = ", ".join(sorted(block.label for block in reader.select(Block, Query(where={"agent": space.agent}))))
        raise NotFound(f"no block {label!r} (there are: {known or 'none'})")
    return found[0]


def _fitting(label: str, value: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidInput(f"block {label!r} holds {limit} characters at most; this would make {len(value)}")
    return value


def _edit(space: Space, label: str, change: Callable[[str], str], action: str, reason: str) -> Block:
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        old = _find(space, transaction, label)
        if old.read_only:
            raise InvalidInput(f"block {label!r} is read-only")
        value = _fitting(label, change(old.value), old.limit)
        block = old.model_copy(update={"value": value, "updated_at": space.clock.now()})
        _write(transaction, block, action, "agent", reason)
    return block


def _write(transaction: Transaction, block: Block, action: str, actor: str, reason: str = "") -> None:
    transaction.put(block)
    # A reason could quote the block, and the chain outlives what is forgotten: keep only that there was one.
    transaction.audit(action, [block.id], actor=actor, detail="with a reason" if reason.strip() else "")
