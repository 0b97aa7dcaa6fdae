"""Summaries in a chat model's words: sentences that each name their facts, and say nothing else.

A sentence is taken only when it names facts that there are, holds what each of them is about, and no name, number
or value of a fact that it does not name: forgetting a fact then takes every sentence that says it. A fact that no
taken sentence names keeps its own plain one, so nothing is lost to a model that leaves something out or fails.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from memory_agent.consolidation.spending import Budget
from memory_agent.errors import ExtractionFailed
from memory_agent.prompts import prompt_text
from memory_agent.protocols import Query
from memory_agent.records import Fact, Line, Summary
from memory_agent.semantic.folding import fold
from memory_agent.space import Space

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_log = logging.getLogger(__name__)
_WORD = re.compile(r"\w(?:[\w.-]*\w)?")
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


class _Sentence(BaseModel):
    text: str
    facts: list[int]


class _Answer(BaseModel):
    lines: list[_Sentence]


class Wording:
    """Asks a langchain chat model for the sentences of one summary."""

    def __init__(self, model: BaseChatModel, budget: Budget | None = None) -> None:
        self._model, self._budget = model, budget

    def lines(self, about: str, plain: Sequence[Line]) -> list[Line]:
        """`plain` in the model's words, with what it got wrong as it was.

        Raises ExtractionFailed when the model fails or answers with no such JSON, BudgetSpent when nothing is left.
        """
        listed = "\n".join(f"{n}. {json.dumps(line.text, ensure_ascii=False)}" for n, line in enumerate(plain, 1))
        prompt = Template(prompt_text("summarise.md")).substitute(
            about=json.dumps(about, ensure_ascii=False), facts=listed
        )
        answer = self._ask(prompt)
        found = _OBJECT.search(answer)
        try:
            said = _Answer.model_validate_json(found[0] if found else answer).lines
        except ValidationError as error:
            raise ExtractionFailed(f"no summary of {about!r}: {error.errors()[0]['msg']}") from error
        taken = [line for each in said if (line := _grounded(each, plain)) is not None]
        covered = {id for line in taken for id in line.of}
        return [*taken, *(line for line in plain if not covered.issuperset(line.of))]

    def _ask(self, prompt: str) -> str:
        from langchain_core.exceptions import LangChainException
        from openai import OpenAIError

        if self._budget:
            self._budget.check()
        try:
            answer = self._model.invoke(prompt)
        # A server that answers 200 with a body of another shape makes the client trip over it in its own ways.
        except (OpenAIError, LangChainException, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
            raise ExtractionFailed(f"the model failed on a summary: {type(error).__name__}: {error}") from error
        if self._budget:
            self._budget.charge(getattr(answer, "usage_metadata", None), prompt, answer.text)
        return str(answer.text)


def _grounded(said: _Sentence, plain: Sequence[Line]) -> Line | None:
    """The sentence as a line, or None when it says more, or less, than the facts it names."""
    if not said.facts or not all(1 <= n <= len(plain) for n in said.facts) or not said.text.strip():
        return None
    named = [plain[n - 1] for n in dict.fromkeys(said.facts)]
    allowed = {word for line in named for word in _telling(line.text)}
    words = _telling(said.text)
    if any(not _telling(line.text) & words for line in named):
        return None
    others = {word for line in plain if line not in named for word in _telling(line.text)} - allowed
    strange = {fold(word) for word in _WORD.findall(said.text)[1:] if word[0].isupper() or word[0].isdigit()}
    if words & others or not strange <= {fold(word) for line in named for word in _WORD.findall(line.text)}:
        return None
    of = tuple(dict.fromkeys(id for line in named for id in line.of))
    return Line(text=said.text.strip(), of=of, proof=max(line.proof for line in named))


def _telling(text: str) -> set[str]:
    """The words of a sentence that can give a fact away: longer ones, and numbers."""
    return {fold(word) for word in re.findall(r"\w+", text) if len(word) > 3 or word.isdigit()}


def reword(space: Space, wording: Wording, ids: Sequence[str]) -> list[str]:
    """Put the summaries of these ids in the model's words; the ids that it was done for, the others stay plain.

    The model is asked outside any transaction. A summary that changed meanwhile, or went with something forgotten,
    is left as it is.
    """
    done = []
    for old in space.ledger.select(Summary, Query(ids=list(ids))) if ids else []:
        about = old.about.removeprefix("session:")
        if not old.about.startswith("session:"):
            facts = space.ledger.select(Fact, Query(ids=[old.of[0]], where={"retired_at": None}))
            about = facts[0].subject if facts else about
        try:
            lines = wording.lines(about, old.lines)
        except ExtractionFailed as error:
            _log.warning("%s; its plain sentences stay", error)
            continue
        with space.ledger.transaction(wait=space.settings.lock_wait) as tx:
            if tx.select(Summary, Query(ids=[old.id])) == [old]:
                text = " ".join(line.text for line in lines)
                tx.put(old.model_copy(update={"lines": tuple(lines), "text": text}))
                done.append(old.id)
    return done
