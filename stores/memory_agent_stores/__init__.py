"""The default stores: SQLite as ledger, Chroma as vector index; both in memory for tests."""
