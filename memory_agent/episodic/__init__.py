"""Episodic memory: taking turns in, idempotently, scoped and screened."""

from memory_agent.episodic.sessions import Session, sessions
from memory_agent.episodic.taking import take_in

__all__ = ["Session", "sessions", "take_in"]
