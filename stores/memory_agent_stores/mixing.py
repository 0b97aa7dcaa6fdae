"""What every vector index holds to: which kinds have vectors, and that those of two embedders are never mixed."""

from __future__ import annotations

from memory_agent.errors import EmbedderChanged
from memory_agent.protocols import IndexState

KINDS = ("episode", "fact")
"""The kinds of records that have vectors."""


def embedder_changed(held: IndexState, given: IndexState) -> EmbedderChanged:
    """The refusal to mix vectors of two embedders, with the way out."""
    return EmbedderChanged(
        f"the vector index was built with {held.model} ({held.dimension} dimensions), not with {given.model} "
        f"({given.dimension}): go back to that embedder, or re-embed everything with `memory-agent rebuild`"
    )
