"""Talk made up by rule, for measuring speed at sizes nobody has said yet: the same seed, the same turns.

Sentences mix English function words with invented words drawn by Zipf's law, as a real vocabulary is;
vectors are sums of one random vector a word, so that turns which share rare words are near. What
search is worth cannot be told from such text; what it costs can.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from langchain_core.embeddings import Embeddings

from memory_agent.protocols import Vectors
from memory_agent.records import Turn

DIMENSION = 384
SESSION = 25
"""Turns in a session."""
TOPICS = 100
"""Values of the metadata `topic`, so that each leaves 1 % of the turns."""
_VOCABULARY = 30_000
_SPEAKERS = ("Ada", "Ben")
_FUNCTION_TEXT = (
    "the and a of to in is it was for on with as I you that at this but my we they be have not so then when from or "
    "just really about had our some what there been"
)
_FUNCTION = tuple(_FUNCTION_TEXT.split())
_SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "er", "il")]
_START = datetime(2020, 1, 1, 9, tzinfo=UTC)


@functools.cache
def _words() -> list[str]:
    """The invented vocabulary, the most frequent first."""
    drawn = np.random.default_rng(7)
    found: dict[str, None] = {}
    while len(found) < _VOCABULARY:
        found["".join(drawn.choice(_SYLLABLES, size=int(drawn.integers(2, 5))))] = None
    return list(found)


@functools.cache
def _chances() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    weights = 1 / (np.arange(_VOCABULARY) + 10.0)
    return np.asarray(np.cumsum(weights / weights.sum()))


@dataclass(frozen=True)
class Asked:
    """A question and the turn it was made from."""

    text: str
    answer: str


def turn(number: int) -> Turn:
    """Turn number `number` of the talk, of 6 to 40 words, in sessions of SESSION; a session a day."""
    drawn = np.random.default_rng((1, number))
    day, place = divmod(number, SESSION)
    return Turn(
        role="user",
        speaker=_SPEAKERS[number % 2],
        content=_sentence(drawn, 6 + int(34 * drawn.beta(1.2, 2.5))),
        at=_START + timedelta(days=day, minutes=place),
        id=f"t{number}",
        session=f"s{day}",
        metadata={"topic": number // 7 % TOPICS},
    )


def _sentence(drawn: np.random.Generator, length: int) -> str:
    content = np.minimum(np.searchsorted(_chances(), drawn.random(length)), _VOCABULARY - 1)
    function = drawn.integers(0, len(_FUNCTION), length)
    plain = drawn.random(length) < 0.45
    words = [_FUNCTION[f] if p else _words()[c] for f, c, p in zip(function, content, plain, strict=True)]
    return f"{' '.join(words).capitalize()}."


def questions(total: int, count: int) -> list[Asked]:
    """Questions about turns among the first `total`: some of a turn's words, and words of other turns between them."""
    drawn = np.random.default_rng((2, total))
    found = []
    for number in (int(n) for n in drawn.integers(0, total, count)):
        asked = turn(number)
        words = [word for word in asked.content.rstrip(".").lower().split() if word not in _FUNCTION] or ["nothing"]
        kept = drawn.choice(words, size=min(5, len(words)), replace=False)
        other = _sentence(drawn, 4).rstrip(".").lower()
        found.append(Asked(f"What did {asked.speaker} say about {' '.join(kept)} and {other}?", f"t{number}"))
    return found


class WordVectors(Embeddings):
    """Texts as sums of one random vector a word, function words apart; some microseconds a text."""

    def __init__(self, dimension: int = DIMENSION, seed: int = 3) -> None:
        rows = np.random.default_rng(seed).standard_normal((_VOCABULARY + 1, dimension), dtype=np.float32)
        rows[_VOCABULARY] *= 0.1
        self._rows = rows
        self._place = {word: number for number, word in enumerate(_words())}

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), dimension), of any length."""
        found: Vectors = np.empty((len(texts), self._rows.shape[1]), dtype=np.float32)
        for n, text in enumerate(texts):
            places = [
                place for word in text.lower().split() if (place := self._place.get(word.strip(".?"))) is not None
            ]
            found[n] = self._rows[places or [_VOCABULARY]].sum(axis=0)
        return found

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A list of floats for each text."""
        made: list[list[float]] = self.vectors(texts).tolist()
        return made

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.embed_documents([text])[0]
