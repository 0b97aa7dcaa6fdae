"""Retrieval: arms, fusion, budget, and a trace that says why."""
