"""Cutting spans out of a text, and moving what pointed into it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MARK = "[forgotten]"


class Redaction:
    """`text` with the half-open `spans` replaced by MARK, and where each old offset went."""

    def __init__(self, text: str, spans: Iterable[tuple[int, int]]) -> None:
        self.cuts = _joined(spans)
        pieces, at = [], 0
        for start, end in self.cuts:
            pieces += [text[at:start], MARK]
            at = end
        self.text = "".join([*pieces, text[at:]])

    def move(self, start: int, end: int) -> tuple[int, int]:
        """Where the span [start, end) lies now; it grows to hold a whole mark where it was cut into."""
        return self._moved(start, after=False), self._moved(end, after=True)

    def _moved(self, offset: int, *, after: bool) -> int:
        shift = 0
        for start, end in self.cuts:
            if offset <= start:
                break
            if offset < end or (offset == end and after):
                return start + shift + (len(MARK) if after else 0)
            shift += len(MARK) - (end - start)
        return offset + shift


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def mentions(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where any of `names` stands in `text` as whole words, whatever its case."""
    listed = sorted({n for n in names if n.strip()}, key=len, reverse=True)
    if not listed:
        return []
    either = "|".join(re.escape(n) for n in listed)
    return [m.span() for m in re.finditer(rf"(?<!\w)(?:{either})(?!\w)", text, re.IGNORECASE)]


def without_mentions(value: Any, names: Sequence[str]) -> Any:
    """A JSON-like value with every mention of `names` in its texts cut out."""
    if isinstance(value, str):
        return Redaction(value, mentions(value, names)).text
    if isinstance(value, Mapping):
        return {k: without_mentions(v, names) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_mentions(v, names) for v in value]
    return value
