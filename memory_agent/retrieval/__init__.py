"""Retrieval: arms -> fusion -> ranking, with a trace that says why."""

from memory_agent.retrieval.search import search

__all__ = ["search"]
