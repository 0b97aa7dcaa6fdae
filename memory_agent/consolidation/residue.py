"""Looking for what is left of erased texts: pieces of them, in every byte of every file of a store.

Every piece is looked for at once, by its first eight bytes: a file is read as 64-bit numbers at each of eight offsets,
and only where one of them begins a piece are the bytes compared. So the time is that of the files, not of the pieces.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PIECE = 24
"""Characters of a piece; what is shorter is looked for whole, and what is shorter than `SHORTEST` not at all."""
SHORTEST = 12
_WINDOW = 1 << 24
"""Bytes of a file that are looked through at a time."""


@dataclass(frozen=True)
class Search:
    """What a search looked through, and which pieces it found where."""

    files: int
    bytes: int
    hits: Mapping[str, tuple[str, ...]]

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that hold any of the pieces."""
        return tuple(sorted({path for paths in self.hits.values() for path in paths}))


def pieces_of(texts: Iterable[str], kept: Iterable[str] = ()) -> list[str]:
    """The beginning, the middle and the end of each text, but for what stands in a text that is kept as well."""
    found: dict[str, None] = {}
    for text in texts:
        whole = text.strip()
        starts = {0, max(0, (len(whole) - PIECE) // 2), max(0, len(whole) - PIECE)}
        found.update(dict.fromkeys(whole[at : at + PIECE] for at in sorted(starts)))
    pieces = [piece for piece in found if len(piece) >= SHORTEST]
    standing = "\n".join(kept)
    return [piece for piece in pieces if piece not in standing]


def search(folder: Path, pieces: Iterable[str]) -> Search:
    """Where under `folder` any of `pieces` stands: as UTF-8, as JSON would write it, or as UTF-16."""
    forms: dict[int, dict[bytes, str]] = defaultdict(dict)
    for piece in pieces:
        for form in (piece.encode("utf-8", "surrogatepass"), json.dumps(piece)[1:-1].encode(), _utf16(piece)):
            forms[int.from_bytes(form[:8], "little")][form] = piece
    sought = np.array(sorted(forms), dtype=np.uint64)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    hits: dict[str, set[str]] = defaultdict(set)
    total = 0
    for file in files:
        data = file.read_bytes()
        total += len(data)
        if len(sought):
            for piece in _found(data, sought, forms):
                hits[piece].add(str(file.relative_to(folder)))
    return Search(len(files), total, {piece: tuple(sorted(paths)) for piece, paths in hits.items()})


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _found(data: bytes, sought: np.ndarray, forms: Mapping[int, Mapping[bytes, str]]) -> set[str]:
    found: set[str] = set()
    for base in range(0, max(len(data) - 7, 0), _WINDOW):
        for offset in range(8):
            start = base + offset
            count = (min(len(data), base + _WINDOW + 7) - start) // 8
            if count <= 0:
                continue
            words = np.frombuffer(data, dtype="<u8", count=count, offset=start)
            places = np.searchsorted(sought, words)
            places[places == len(sought)] = 0
            for at in np.flatnonzero(sought[places] == words):
                begin = start + int(at) * 8
                for form, piece in forms[int(words[at])].items():
                    if data.startswith(form, begin):
                        found.add(piece)
    return found
