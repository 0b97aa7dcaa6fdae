"""The command line, `memory-agent`: a file per family of verbs. docs/reference/cli.md lists them."""
