"""Public test doubles and the store conformance suite."""
