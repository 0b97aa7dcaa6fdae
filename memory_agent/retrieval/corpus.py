"""What a space's episodes look like to the scorer: postings, vectors, sessions and neighbours, in memory.

Derived from the ledger and the vector index and kept level with them; it holds no text. Documents
are numbered in the order they came. What was changed or forgotten is not taken out: its owner builds
a new corpus, so that no word of it stays.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory_agent.protocols import Vectors
from memory_agent.records import Episode
from memory_agent.retrieval.text import day_words
from memory_agent.retrieval.words import terms

Ints = NDArray[np.int32]
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

TRAITS = ("question", "time", "number", "first_person", "name", "length")
"""What a turn is like, whatever is asked: one column each, 0 to 1."""


def traits(content: str, size: int) -> tuple[float, ...]:
    """The values of TRAITS for a turn of `size` terms."""
    return (
        float(content.rstrip().endswith("?")),
        float(bool(_TIME.search(content))),
        float(bool(_NUMBER.search(content))),
        float(bool(_FIRST_PERSON.search(content))),
        min(len(_NAME.findall(content)), 4) / 4,
        float(np.log1p(min(size, _LONG_TURN)) / np.log1p(_LONG_TURN)),
    )


def pairs(metadata: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(key, value as JSON) of metadata; of a list, one pair for each element."""
    return {
        (key, json.dumps(each, sort_keys=True, ensure_ascii=False))
        for key, value in metadata.items()
        for each in (value if isinstance(value, (list, tuple)) else (value,))
    }


@dataclass
class Posting:
    """The documents a term stands in, ascending, and how often in each (255 at most)."""

    documents: array[int] = field(default_factory=lambda: array("i"))
    counts: array[int] = field(default_factory=lambda: array("B"))


class Frozen:
    """The corpus's columns as arrays, made once after each change. Row n of each is document n."""

    def __init__(self, corpus: Corpus) -> None:
        self.size: Floats = np.array(corpus.size, dtype=np.float32)
        self.session: Ints = np.array(corpus.session, dtype=np.int32)
        self.speaker: Ints = np.array(corpus.speaker, dtype=np.int32)
        self.user = np.array(corpus.user, dtype=bool)
        self.at = np.array(corpus.at, dtype=np.float64)
        self.recorded = np.array(corpus.recorded, dtype=np.float64)
        self.month: Ints = np.array(corpus.month, dtype=np.int32)
        self.traits: Floats = np.array(corpus.traits, dtype=np.float32).reshape(len(corpus), len(TRAITS))
        self.following: Ints = np.array(corpus.following, dtype=np.int32)
        self.preceding: Ints = np.array(corpus.preceding, dtype=np.int32)
        self.session_size: Floats = np.bincount(self.session, self.size, len(corpus.members)).astype(np.float32)


class Corpus:
    """The episodes of one space. Its owner sees to it that nobody reads while it is written."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.number: dict[str, int] = {}
        self.postings: dict[str, Posting] = {}
        self.sessions: dict[str, int] = {}
        self.speakers: dict[str, int] = {}
        self.members: list[list[tuple[float, int]]] = []
        """Per session its documents as (time, number), in the order they were said."""
        self.following = array("i")
        """The next document of its session, -1 at the end; `preceding` likewise."""
        self.preceding = array("i")
        self.size = array("i")
        self.session = array("i")
        self.speaker = array("i")
        self.user = array("B")
        self.at = array("d")
        self.recorded = array("d")
        self.month = array("i")
        self.traits = array("f")
        self.metadata: dict[tuple[str, str], array[int]] = {}
        """(key, value as JSON) -> the documents whose metadata holds that pair; of a list, each element counts."""
        self._vectors: Vectors = np.zeros((0, 0), dtype=np.float32)
        self._frozen: Frozen | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def columns(self) -> Frozen:
        """The columns as arrays."""
        if self._frozen is None:
            self._frozen = Frozen(self)
        return self._frozen

    @property
    def vectors(self) -> Vectors:
        """Unit vectors, shape (len(self), dimension); a row of zeros where there is none yet."""
        return self._vectors[: len(self.ids)]

    def add(self, episodes: Iterable[Episode]) -> None:
        """Take in episodes that are not here yet. Their vectors are set with `set_vectors`."""
        self._frozen = None
        for episode in episodes:
            number = len(self.ids)
            self.ids.append(episode.id)
            self.number[episode.id] = number
            counts = Counter(terms(f"{episode.speaker} {episode.content} {day_words(episode)}"))
            for term, count in counts.items():
                posting = self.postings.get(term)
                if posting is None:
                    posting = self.postings[term] = Posting()
                posting.documents.append(number)
                posting.counts.append(min(count, 255))
            self._describe(number, episode, counts.total())

    def _describe(self, number: int, episode: Episode, size: int) -> None:
        session = self.sessions.setdefault(episode.session, len(self.sessions))
        if session == len(self.members):
            self.members.append([])
        self._link(self.members[session], (episode.at.timestamp(), number))
        self.size.append(size)
        self.session.append(session)
        self.speaker.append(self.speakers.setdefault(episode.speaker, len(self.speakers)))
        self.user.append(episode.role == "user")
        self.at.append(episode.at.timestamp())
        self.recorded.append(episode.recorded_at.timestamp())
        self.month.append(12 * episode.at.year + episode.at.month - 1)
        self.traits.extend(traits(episode.content, size))
        for pair in pairs(episode.metadata):
            self.metadata.setdefault(pair, array("i")).append(number)

    def _link(self, members: list[tuple[float, int]], new: tuple[float, int]) -> None:
        """Put a document between its neighbours in time."""
        place = bisect(members, new)
        before = members[place - 1][1] if place else -1
        after = members[place][1] if place < len(members) else -1
        members.insert(place, new)
        self.preceding.append(before)
        self.following.append(after)
        if before >= 0:
            self.following[before] = new[1]
        if after >= 0:
            self.preceding[after] = new[1]

    def set_vectors(self, ids: Sequence[str], vectors: Vectors) -> None:
        """Set the unit vectors, shape (len(ids), dimension), of episodes that are here."""
        if not len(ids):
            return
        if len(self._vectors) < len(self.ids):
            room = len(self.ids) if not len(self._vectors) else len(self.ids) + len(self.ids) // 4
            grown = np.zeros((room, vectors.shape[1]), dtype=np.float32)
            if len(self._vectors):
                grown[: len(self._vectors)] = self._vectors
            self._vectors = grown
        self._vectors[[self.number[id] for id in ids]] = vectors
