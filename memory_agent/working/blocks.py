"""Blocks: labelled pieces of working memory that stay in the window, edited by the agent or the user.

An agent has blocks of its own (persona) and shares others with every agent of its user (human); of two
with one label it sees its own. Each edit is one transaction: the block, a BlockVersion that says what
it was, by whom and why, and an entry in the audit chain that names the block and never its text.
The verbs are Letta's: append, replace, rethink.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Query, Reader, Transaction
from memory_agent.records import Block, BlockVersion
from memory_agent.space import Space

Action = Literal["put", "append", "replace", "rethink"]
MOST_LABEL = 100
"""Most characters of a label."""


def put(
    space: Space,
    label: str,
    value: str = "",
    *,
    description: str = "",
    limit: int = 2000,
    read_only: bool = False,
    shared: bool = False,
    reason: str = "",
) -> Block:
    """Make the block `label`, or replace it whole, its limit and read-only mark included; the owner's call.

    `shared` makes it one of all agents of this user; without an agent's name every block is.
    Raises InvalidInput when the label is none or the value longer than `limit` characters.
    """
    if not label.strip() or len(label) > MOST_LABEL or not label.isprintable():
        raise InvalidInput(f"a block needs a label of 1 to {MOST_LABEL} printable characters")
    if limit < 1:
        raise InvalidInput(f"a block of at most {limit} characters holds nothing")
    agent = None if shared else space.agent
    block = Block(
        id=_id(agent, label),
        label=label,
        value=_fitting(label, value, limit),
        description=description,
        limit=limit,
        read_only=read_only,
        agent=agent,
        updated_at=space.clock.now(),
    )
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        before = transaction.select(Block, Query(ids=[block.id]))
        if before:
            block = block.model_copy(update={"version": before[0].version + 1})
        _write(transaction, block, "put", "owner", reason)
    return block


def get(space: Space, label: str) -> Block:
    """The block of that label: the agent's own, else the shared one. Raises NotFound."""
    return _find(space, space.ledger, label)


def every(space: Space) -> list[Block]:
    """The blocks that this agent sees, by label: its own, and the shared ones whose label it has none of."""
    return _seen(space, space.ledger)


def history(space: Space, label: str) -> list[BlockVersion]:
    """What the block said after each edit, by whom and why, oldest first. Raises NotFound."""
    edits = space.ledger.select(BlockVersion, Query(where={"block_id": get(space, label).id}))
    return sorted(edits, key=lambda edit: edit.version)


def append(space: Space, label: str, text: str, *, reason: str = "") -> Block:
    """Add a line to a block. Raises NotFound, or InvalidInput when it is read-only or would pass its limit."""
    return _edit(space, label, lambda value: f"{value}\n{text}" if value else text, "append", reason)


def replace(space: Space, label: str, old_text: str, new_text: str, *, reason: str = "") -> Block:
    """Replace one passage, which must stand in the block exactly once.

    Raises NotFound, or InvalidInput when it does not, or as `append`.
    """

    def change(value: str) -> str:
        times = value.count(old_text) if old_text else 0
        if times != 1:
            raise InvalidInput(f"the text to replace stands {times} times in block {label!r}; quote one place")
        return value.replace(old_text, new_text)

    return _edit(space, label, change, "replace", reason)


def rethink(space: Space, label: str, value: str, *, reason: str = "") -> Block:
    """Write a block's text anew. Raises as `append`."""
    return _edit(space, label, lambda _: value, "rethink", reason)


def _id(agent: str | None, label: str) -> str:
    return f"block:{agent or ''}:{label}"


def _seen(space: Space, reader: Reader) -> list[Block]:
    blocks = reader.select(Block, Query(where={"agent": [space.agent, None]}))
    by_label = {block.label: block for block in sorted(blocks, key=lambda block: block.agent is not None)}
    return [by_label[label] for label in sorted(by_label)]


def _find(space: Space, reader: Reader, label: str) -> Block:
    seen = {block.label: block for block in _seen(space, reader)}
    if label not in seen:
        raise NotFound(f"no block {label!r} (there are: {', '.join(seen) or 'none'})")
    return seen[label]


def _fitting(label: str, value: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidInput(f"block {label!r} holds {limit} characters at most; this would make {len(value)}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"block {label!r}: the text holds half a surrogate pair, which is no character") from error
    return value


def _edit(space: Space, label: str, change: Callable[[str], str], action: Action, reason: str) -> Block:
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        old = _find(space, transaction, label)
        if old.read_only:
            raise InvalidInput(f"block {label!r} is read-only")
        value = _fitting(label, change(old.value), old.limit)
        changed = {"value": value, "updated_at": space.clock.now(), "version": old.version + 1}
        block = old.model_copy(update=changed)
        _write(transaction, block, action, "agent", reason)
    return block


def _write(transaction: Transaction, block: Block, action: Action, actor: str, reason: str) -> None:
    edit = BlockVersion(
        id=f"{block.id}@{block.version}",
        block_id=block.id,
        version=block.version,
        value=block.value,
        action=action,
        actor=actor,
        reason=reason.strip(),
        at=block.updated_at,
    )
    transaction.put(block, edit)
    # A reason could quote the block, and the chain outlives what is forgotten: keep only that there was one.
    transaction.audit(f"block.{action}", [block.id], actor=actor, detail="with a reason" if edit.reason else "")
