"""Semantic memory: entities, what is true of them and when, and how both are asked for."""

from memory_agent.semantic.entities import link, resolve_mention
from memory_agent.semantic.query import facts, graph

__all__ = ["facts", "graph", "link", "resolve_mention"]
