"""Pictures: the graph and the reports as self-contained HTML."""
