"""What a space's episodes look like to the scorer: postings, vectors, sessions and neighbours, in memory.

Derived from the ledger and the vector index and kept level with them. Documents are numbered in the order they
came. What was changed or forgotten is taken out by making a corpus of the others, so that no word of it stays.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_agent.protocols import Vectors
from memory_agent.records import Episode
from memory_agent.retrieval.postings import Flat, Ints, Postings
from memory_agent.retrieval.text import day_words
from memory_agent.retrieval.words import terms

Floats = NDArray[np.float32]

_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|last|next|ago|weeks?|weekends?|months?|years?|recently|earlier"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|january|february|march|april|may|june|july|august|september|october|november|december|(?:19|20)\d\d)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\b(?:\d+|two|three|four|five|six|seven|eight|nine|ten|twice|both|couple|several)\b", re.IGNORECASE
)
_FIRST_PERSON = re.compile(r"\b(?:i|my|me|we|our|us|i['’]\w+|we['’]\w+|mine)\b", re.IGNORECASE)
_NAME = re.compile(r"(?<=[a-z,;'\"] )[\"']?[A-Z][a-z]+")
_LONG_TURN = 150
_STANDING = re.compile(
    r"\b(?:always|never|from now on)\b[^.?!\n]*\b(?:when(?:ever)?|if|every time) (?:i|you|we)\b"
    r"|\b(?:when(?:ever)?|every time) i ask\b",
    re.IGNORECASE,
)

TRAITS = ("question", "time", "number", "first_person", "name", "length", "standing")
"""What a turn is like, whatever is asked: one column each, 0 to 1.

`standing` is a wish for all times ("always ... when I ask").
"""


def traits(content: str, size: int) -> tuple[float, ...]:
    """The values of TRAITS for a turn of `size` terms."""
    return (
        float(content.rstrip().endswith("?")),
        float(bool(_TIME.search(content))),
        float(bool(_NUMBER.search(content))),
        float(bool(_FIRST_PERSON.search(content))),
        min(len(_NAME.findall(content)), 4) / 4,
        float(np.log1p(min(size, _LONG_TURN)) / np.log1p(_LONG_TURN)),
        float(bool(_STANDING.search(content))),
    )


def pairs(metadata: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(key, value as JSON) of metadata; of a list, one pair for each element."""
    return {
        (key, json.dumps(each, sort_keys=True, ensure_ascii=False))
        for key, value in metadata.items()
        for each in (value if isinstance(value, (list, tuple)) else (value,))
    }


_COLUMNS: Mapping[str, Any] = {
    "size": np.float32, "session": np.int32, "speaker": np.int32, "user": np.bool_, "at": np.float64,
    "recorded": np.float64, "month": np.int32, "following": np.int32, "preceding": np.int32,
}  # fmt: skip
KEPT = tuple(name for name in _COLUMNS if name not in ("following", "preceding"))
"""The columns that are no function of the others."""


class Columns:
    """One row a document, as arrays that grow by a quarter and are written in place."""

    size: Floats
    """Terms of the document."""
    session: Ints
    speaker: Ints
    user: NDArray[np.bool_]
    at: NDArray[np.float64]
    """When it was said, and `recorded` when it was taken in, in seconds since 1970."""
    recorded: NDArray[np.float64]
    month: Ints
    """Months since year 0."""
    following: Ints
    """The next document of its session, -1 at the end; `preceding` likewise."""
    preceding: Ints
    traits: Floats
    session_size: Floats
    """Terms of each session."""

    def __init__(self, rows: int, traits: Floats | None = None, **given: NDArray[Any]) -> None:
        self._rows = rows
        self._whole: dict[str, NDArray[Any]] = {
            name: given.get(name, np.zeros(rows, dtype=kind)) for name, kind in _COLUMNS.items()
        }
        self._whole["traits"] = np.zeros((rows, len(TRAITS)), dtype=np.float32) if traits is None else traits
        self.see(rows)
        self.weigh()

    def see(self, rows: int) -> None:
        """Let each column show so many rows; new ones hold zeros."""
        for name, whole in self._whole.items():
            if len(whole) < rows:
                grown = np.zeros((rows + rows // 4, *whole.shape[1:]), dtype=whole.dtype)
                grown[: self._rows] = whole[: self._rows]
                self._whole[name] = grown
            setattr(self, name, self._whole[name][:rows])
        self._rows = rows

    def weigh(self) -> None:
        """Set `session_size`."""
        self.session_size = np.bincount(self.session, self.size).astype(np.float32)

    def link(self) -> None:
        """Set `following` and `preceding` by session and time."""
        order = np.lexsort((np.arange(self._rows), self.at, self.session)).astype(np.int32)
        self.following[:] = self.preceding[:] = -1
        same = self.session[order[1:]] == self.session[order[:-1]]
        self.following[order[:-1][same]] = order[1:][same]
        self.preceding[order[1:][same]] = order[:-1][same]


class Corpus:
    """The episodes of one space. Its owner sees to it that nobody reads while it is written."""

    def __init__(
        self,
        ids: Sequence[str] = (),
        flat: Flat | None = None,
        columns: Columns | None = None,
        sessions: Sequence[str] = (),
        speakers: Sequence[str] = (),
        metadata: Mapping[tuple[str, str], Ints] | None = None,
        vectors: Vectors | None = None,
    ) -> None:
        self.ids = list(ids)
        self.number = dict(zip(self.ids, range(len(self.ids)), strict=True))
        self.postings = Postings(flat)
        self.columns = columns or Columns(0)
        self.columns.link()
        self.sessions = dict(zip(sessions, range(len(sessions)), strict=True))
        self.speakers = dict(zip(speakers, range(len(speakers)), strict=True))
        self.metadata: dict[tuple[str, str], array[int]] = {
            pair: array("i", documents.tobytes()) for pair, documents in (metadata or {}).items()
        }
        """(key, value as JSON) -> the documents whose metadata holds that pair; of a list, each element counts."""
        self._members: dict[int, list[tuple[float, int]]] = {}
        self._vectors = np.zeros((0, 0), dtype=np.float32) if vectors is None else vectors

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def vectors(self) -> Vectors:
        """Unit vectors, shape (len(self), dimension); zeros where there is none yet, (0, 0) before the first."""
        if len(self._vectors):
            self._room(self._vectors.shape[1])
        return self._vectors[: len(self.ids)]

    def _room(self, dimension: int) -> None:
        """Have a row for each document."""
        if len(self._vectors) < len(self.ids):
            room = len(self.ids) + (len(self.ids) // 4 if len(self._vectors) else 0)
            grown = np.zeros((room, dimension), dtype=np.float32)
            if len(self._vectors):
                grown[: len(self._vectors)] = self._vectors
            self._vectors = grown

    def add(self, episodes: Sequence[Episode]) -> None:
        """Take in episodes that are not here yet. Their vectors are set with `set_vectors`."""
        first = len(self.ids)
        self.ids += [episode.id for episode in episodes]
        self.number |= {episode.id: number for number, episode in enumerate(episodes, start=first)}
        described = []
        for number, episode in enumerate(episodes, start=first):
            counts = Counter(terms(f"{episode.speaker} {episode.content} {day_words(episode)}"))
            self.postings.add(number, counts.items())
            described.append(self._described(episode, counts.total()))
            for pair in pairs(episode.metadata):
                self.metadata.setdefault(pair, array("i")).append(number)
        told = {name: [row[name] for row in described] for name in (*KEPT, "traits")}
        rooms = {session: self._of_session(session) for session in set(told["session"])}
        self.columns.see(len(self.ids))
        for name, values in told.items():
            if values:
                getattr(self.columns, name)[first:] = values
        for number in range(first, len(self.ids)):
            self._link(rooms[int(self.columns.session[number])], number)
        self.columns.weigh()

    def _described(self, episode: Episode, size: int) -> dict[str, Any]:
        """A row of the columns."""
        return {
            "size": size,
            "session": self.sessions.setdefault(episode.session, len(self.sessions)),
            "speaker": self.speakers.setdefault(episode.speaker, len(self.speakers)),
            "user": episode.role == "user",
            "at": episode.at.timestamp(),
            "recorded": episode.recorded_at.timestamp(),
            "month": 12 * episode.at.year + episode.at.month - 1,
            "traits": traits(episode.content, size),
        }

    def _of_session(self, session: int) -> list[tuple[float, int]]:
        """The documents of a session as (time, number), in the order they were said."""
        if session not in self._members:
            found = np.flatnonzero(self.columns.session == session)
            times = self.columns.at[found]
            self._members[session] = sorted(zip(times.tolist(), found.tolist(), strict=True))
        return self._members[session]

    def _link(self, members: list[tuple[float, int]], number: int) -> None:
        """Put a document between its neighbours in time."""
        columns = self.columns
        new = (float(columns.at[number]), number)
        place = bisect(members, new)
        before = members[place - 1][1] if place else -1
        after = members[place][1] if place < len(members) else -1
        members.insert(place, new)
        columns.preceding[number], columns.following[number] = before, after
        if before >= 0:
            columns.following[before] = number
        if after >= 0:
            columns.preceding[after] = number

    def set_metadata(self, episode: Episode) -> None:
        """Let an episode that is here have the metadata it has now."""
        number, now = self.number[episode.id], pairs(episode.metadata)
        for pair, documents in list(self.metadata.items()):
            if pair not in now and number in documents:
                documents.remove(number)
                if not documents:
                    del self.metadata[pair]
        for pair in now:
            documents = self.metadata.setdefault(pair, array("i"))
            if number not in documents:
                documents.insert(bisect(documents, number), number)

    def set_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Set the unit vectors, shape (len(ids), dimension), of episodes that are here."""
        if not len(ids):
            return
        self._room(vectors.shape[1])
        self._vectors[[self.number[id] for id in ids]] = vectors

    def without(self, ids: Iterable[str]) -> Corpus:
        """A corpus of the other episodes, in the same order, that holds nothing of these."""
        stays = np.ones(len(self.ids), dtype=bool)
        stays[[self.number[id] for id in ids]] = False
        kept = np.flatnonzero(stays)
        renumbered = np.where(stays, np.cumsum(stays) - 1, -1).astype(np.int32)
        columns = {name: getattr(self.columns, name)[kept] for name in KEPT}
        names = {}
        for column, known in (("session", self.sessions), ("speaker", self.speakers)):
            used, columns[column] = np.unique(columns[column], return_inverse=True)
            columns[column] = columns[column].astype(np.int32)
            order = list(known)
            names[column] = [order[n] for n in used]
        metadata = {pair: renumbered[np.array(documents, dtype=np.int32)] for pair, documents in self.metadata.items()}
        metadata = {pair: documents[documents >= 0] for pair, documents in metadata.items()}
        return Corpus(
            [self.ids[n] for n in kept],
            self.postings.fold().without(renumbered),
            Columns(len(kept), self.columns.traits[kept], **columns),
            names["session"],
            names["speaker"],
            {pair: documents for pair, documents in metadata.items() if len(documents)},
            self.vectors[kept] if len(self._vectors) else None,
        )
