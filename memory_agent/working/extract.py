"""Summarising without a model: the sentences that say most, in their own words.

SumBasic (Nenkova and Vanderwende 2005, "The Impact of Frequency on Summarization"): a sentence is worth the mean
probability of its words; each word of a chosen one counts from then on by the square of its probability, so that
the next says something else. On dialogue, what somebody states about themselves, with names, numbers and times, is
worth more than questions and pleasantries; the factors below say so. Nothing is put into words of its own, so
nothing can be made up.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from memory_agent.records import Episode

_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n+|(?<=[。！？])")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d")
_NAME = re.compile(r"(?<=[\w,;] )[A-Z]\w+")
_SELF = re.compile(r"\b(?:I|my|we|our)\b", re.IGNORECASE)
_SHORT_WORD = 3
_FEW_WORDS = 4
_LONGEST = 240
"""Characters of a sentence that are quoted."""
_MOST_SENTENCES = 250
"""Sentences looked at, the newest; what is compacted at once is far less."""


@dataclass(frozen=True)
class _Sentence:
    place: int
    line: str
    words: tuple[str, ...]
    factor: float


def extract(turns: Sequence[Episode], count: Callable[[str], int], budget: int) -> str:
    """At most `budget` tokens (as `count` counts) of the sentences of `turns` that say most, each dated and with its
    speaker, in the order they were said; empty when none fits.

    Turns that read like instructions are not quoted.
    """
    sentences = [sentence for turn in turns if "instruction" not in turn.flags for sentence in _sentences(turn)]
    sentences = [replace(sentence, place=n) for n, sentence in enumerate(sentences[-_MOST_SENTENCES:])]
    chosen: list[_Sentence] = []
    weights = _probabilities(sentences)
    waiting, spent = list(sentences), 0
    while waiting and budget - spent > _FEW_WORDS:
        best = max(waiting, key=lambda sentence: (_worth(sentence, weights), -sentence.place))
        waiting.remove(best)
        cost = count(best.line + "\n")
        if spent + cost > budget:
            continue
        chosen.append(best)
        spent += cost
        for word in set(best.words):
            weights[word] **= 2
    lines = [sentence.line for sentence in sorted(chosen, key=lambda sentence: sentence.place)]
    while lines and count("\n".join(lines)) > budget:
        lines.pop(0)
    return "\n".join(lines)


def shortened(text: str, count: Callable[[str], int], budget: int) -> str:
    """The last whole lines of a summary that fit into `budget` tokens."""
    lines = text.strip().splitlines()
    while lines and count("\n".join(lines)) > budget:
        lines.pop(0)
    return "\n".join(lines)


def _sentences(turn: Episode) -> list[_Sentence]:
    found = []
    for text in _SENTENCE.split(turn.content):
        words = tuple(word.casefold() for word in _WORD.findall(text) if len(word) > _SHORT_WORD or not word.isascii())
        if words:
            said = text.strip() if len(text) <= _LONGEST else text[:_LONGEST].rsplit(None, 1)[0] + " …"
            line = f"- {turn.at:%Y-%m-%d}, {turn.speaker}: {said}"
            found.append(_Sentence(0, line, words[:_LONGEST], _factor(turn, text.strip())))
    return found


def _factor(turn: Episode, text: str) -> float:
    """What kind of sentence it is, as a factor of its worth."""
    factor = 1.5 if turn.role == "user" else 1.0
    if text.endswith(("?", "？")):
        factor *= 0.3
    if len(_WORD.findall(text)) < _FEW_WORDS and text.isascii():
        factor *= 0.3
    for sign in (_NUMBER, _NAME, _SELF):
        if sign.search(text):
            factor *= 1.3
    return factor


def _probabilities(sentences: Sequence[_Sentence]) -> dict[str, float]:
    counts = Counter(word for sentence in sentences for word in sentence.words)
    total = counts.total() or 1
    return {word: n / total for word, n in counts.items()}


def _worth(sentence: _Sentence, weights: dict[str, float]) -> float:
    return sentence.factor * sum(weights[word] for word in sentence.words) / len(sentence.words)
