"""When a job is due."""

from memory_agent.scheduling.due import distillation_due

__all__ = ["distillation_due"]
