"""Public test doubles and the store conformance suite."""

from memory_agent.testing.clock import FrozenClock
from memory_agent.testing.finetuning import FineTuningServer
from memory_agent.testing.models import HashEmbedder, ScriptedChatModel, ScriptedReranker

__all__ = ["FineTuningServer", "FrozenClock", "HashEmbedder", "ScriptedChatModel", "ScriptedReranker"]
