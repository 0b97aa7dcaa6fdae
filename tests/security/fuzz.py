"""Atheris over every door: `pip install atheris`, then `python tests/security/fuzz.py [-max_total_time=600] [CORPUS]`.

Without a corpus it starts from the seeds of `doors.py`. Stops at the first crash, and says with what.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found]

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["memory_agent", "networkx.readwrite", "rdflib.plugins.parsers"]):
    from doors import DOORS, SEEDS, knock

NAMES = sorted(DOORS)


def one(data: bytes) -> None:
    """The first byte chooses the door, the rest is what comes through it."""
    if data:
        knock(NAMES[data[0] % len(NAMES)], data[1:])


if __name__ == "__main__":
    corpus = Path(tempfile.mkdtemp(prefix="fuzz-corpus-"))
    for name, seeds in SEEDS.items():
        for n, seed in enumerate(seeds):
            (corpus / f"{name}-{n}").write_bytes(bytes([NAMES.index(name)]) + seed)
    atheris.Setup([*sys.argv, str(corpus)], one)
    atheris.Fuzz()
