"""Distillation: from the graph into the weights of a small model, through a gate, and out again."""

from memory_agent.distillation.run import Options, distill

__all__ = ["Options", "distill"]
