"""A memory layer for language-model agents that learns: episodes, a temporal graph, and weights."""
