"""Consolidation: episodic memory into semantic memory."""
