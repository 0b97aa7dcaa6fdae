"""Consolidation: episodic memory into semantic memory."""

from memory_agent.consolidation.job import consolidate

__all__ = ["consolidate"]
