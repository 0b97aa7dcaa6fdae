"""The files of Chroma's vector graphs, as hnswlib lays them out."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

_HEADER = struct.Struct("<12xQQQ")
"""Of a graph's header.bin: how many vectors there is place for, how many there are, the bytes of each."""


def clear_unused(graph: Path) -> None:
    """Write zeros over the places of a graph's files that hold no vector yet.

    Chroma (hnswlib) sets aside more places than it needs and writes them as it found them in memory, so words of
    this process that were forgotten since may stand there. Only while nobody else writes to the folder. Files that
    are not laid out as their header says are left to whoever reads the graph.
    """
    with suppress(FileNotFoundError, struct.error):
        places, used, size = _HEADER.unpack_from((graph / "header.bin").read_bytes())
        for name, each in (("data_level0.bin", size), ("length.bin", 4)):
            with (graph / name).open("r+b") as file:
                file.seek(min(used, places) * each)
                rest = file.read()
                if file.tell() == places * each and any(rest):
                    file.seek(used * each)
                    file.write(bytes(len(rest)))
                    file.flush()
                    os.fsync(file.fileno())
