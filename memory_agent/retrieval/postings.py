"""Inverted lists: for each term the documents it stands in, and how often.

What was taken in at once or read from a file lies in three flat arrays; what came since, in a list a term, until
`fold` puts the two together. Documents are numbered from 0 and only ever added in ascending order.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Counts = NDArray[np.uint8]

MOST = 255
"""What is counted of one term in one document at most."""


@dataclass(frozen=True)
class Flat:
    """Inverted lists end to end: term n has `documents[starts[n]:starts[n + 1]]`, ascending, and `counts` likewise."""

    terms: Sequence[str] = ()
    starts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    documents: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    counts: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))

    def without(self, renumbered: Ints) -> Flat:
        """These lists with each document under its number in `renumbered`, and without those that have -1 there.

        A term that stands nowhere any more is gone. The numbers that stay must keep their order.
        """
        documents = renumbered[self.documents]
        kept = documents >= 0
        starts = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)[self.starts]
        there = np.flatnonzero(np.diff(starts))
        return Flat(
            [self.terms[int(n)] for n in there],
            np.append(starts[there], starts[-1]),
            documents[kept],
            self.counts[kept],
        )


class Postings:
    """Inverted lists that grow. Its owner sees to it that nobody reads while it is written."""

    def __init__(self, flat: Flat | None = None) -> None:
        self._flat = flat or Flat()
        self._place = dict(zip(self._flat.terms, range(len(self._flat.terms)), strict=True))
        self._since: dict[str, tuple[array[int], array[int]]] = {}

    def __contains__(self, term: object) -> bool:
        return term in self._place or term in self._since

    def add(self, document: int, counted: Iterable[tuple[str, int]]) -> None:
        """Take in a document, whose number must be above every other's, with how often each term stands in it."""
        for term, count in counted:
            lists = self._since.get(term)
            if lists is None:
                lists = self._since[term] = (array("i"), array("B"))
            lists[0].append(document)
            lists[1].append(count if count < MOST else MOST)

    def of(self, term: str) -> tuple[Ints, Counts] | None:
        """The documents of a term, ascending, and the counts; None where it stands nowhere."""
        place, since = self._place.get(term), self._since.get(term)
        parts = []
        if place is not None:
            among = slice(self._flat.starts[place], self._flat.starts[place + 1])
            parts.append((self._flat.documents[among], self._flat.counts[among]))
        if since is not None:
            parts.append((np.array(since[0], dtype=np.int32), np.array(since[1], dtype=np.uint8)))
        if len(parts) < 2:
            return parts[0] if parts else None
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def fold(self) -> Flat:
        """Everything in flat arrays, which it is kept in from now on."""
        if self._since:
            flat, new = self._flat, [term for term in self._since if term not in self._place]
            place = self._place | dict(zip(new, range(len(flat.terms), len(flat.terms) + len(new)), strict=True))
            lists = self._since.values()
            owners = np.concatenate([
                np.repeat(np.arange(len(flat.terms)), np.diff(flat.starts)),
                np.repeat([place[term] for term in self._since], [len(documents) for documents, _ in lists]),
            ])  # fmt: skip
            order = np.argsort(owners, kind="stable")
            starts = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(place)))]).astype(np.int64)
            documents = [flat.documents, *(np.frombuffer(documents, dtype=np.int32) for documents, _ in lists)]
            counts = [flat.counts, *(np.frombuffer(counts, dtype=np.uint8) for _, counts in lists)]
            self._flat = Flat(list(place), starts, np.concatenate(documents)[order], np.concatenate(counts)[order])
            self._place, self._since = place, {}
        return self._flat
