"""Working memory: blocks, and the context that a model is shown."""
