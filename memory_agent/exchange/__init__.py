"""A memory written out for others and read back, and what other memories wrote out read in."""
