"""A memory layer for language-model agents that learns: episodes, a temporal graph, and weights.

Importing this package loads none of the heavy libraries; each is imported where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memory_agent.aio import AsyncMemory
from memory_agent.config import Settings
from memory_agent.errors import MemoryAgentError
from memory_agent.memory import Memory
from memory_agent.records import (
    Answer,
    Block,
    Claim,
    Context,
    Entity,
    Episode,
    Explanation,
    Fact,
    Hit,
    PartialDate,
    SearchResult,
    Source,
    Turn,
)  # fmt: skip

if TYPE_CHECKING:
    from memory_agent.agent import Agent

__all__ = [
    "Agent",
    "Answer",
    "AsyncMemory",
    "Block",
    "Claim",
    "Context",
    "Entity",
    "Episode",
    "Explanation",
    "Fact",
    "Hit",
    "Memory",
    "MemoryAgentError",
    "PartialDate",
    "SearchResult",
    "Settings",
    "Source",
    "Turn",
]


def __getattr__(name: str) -> object:
    # Agent brings langchain-core's chat models along; it is loaded when it is first asked for.
    if name == "Agent":
        from memory_agent.agent import Agent

        return Agent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
