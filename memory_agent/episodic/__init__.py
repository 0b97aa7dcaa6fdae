"""Episodic memory: taking turns in, idempotently, scoped and screened."""
