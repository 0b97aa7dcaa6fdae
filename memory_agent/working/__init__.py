"""Working memory: what the model sees right now, within a budget of tokens."""

from memory_agent.working.assembly import assemble

__all__ = ["assemble"]
