"""Semantic memory: entities, bi-temporal facts, the rules that reconcile them, and the graph."""
