"""More ways to ask for a fact and to say it, from a chat model, where one is set: `settings.paraphrases` of each kind.

The model only proposes. A form is taught if it holds what it must and nothing that it must not: a question names the
subject and never the value, an inverse question the other way round, a statement both, and none of them another name
or value of what is taught, a new name or number, an instruction, or a form that the probes ask in. Those rules are
pure. What the model wrote is kept by what it was asked, so a fact is asked for once, and building again gives the same
bytes; what is kept of a fact goes when the fact is forgotten.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from memory_agent.config import Settings
from memory_agent.consolidation.spending import Answers
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.matching import names, plain
from memory_agent.distillation.probes import load_data
from memory_agent.episodic.screening import screen
from memory_agent.errors import InvalidInput, ModelError
from memory_agent.prompts import prompt_text
from memory_agent.protocols import Query
from memory_agent.records import Fact, Record
from memory_agent.semantic.folding import fold
from memory_agent.semantic.ontology import with_article
from memory_agent.space import Space

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

FOLDER = "paraphrases"
"""Folder, in a space's own, of what the model wrote."""
Kind = Literal["questions", "inverse", "statements"]
_MOST_WORDS = 40
_TRIES = 2
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class Forms(Record):
    """Other words for one fact."""

    questions: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


Paraphrases = Mapping[tuple[str, ...], Forms]
"""`TaughtFact.content` -> its forms."""


class _Written(BaseModel):
    questions: list[str]
    inverse: list[str]
    statements: list[str]


@dataclass(frozen=True)
class Paraphraser:
    """Asks `model` for `count` forms of each kind, once for each fact; keeps its answers in `folder`.

    `name` says who wrote them, in digests and manifests.
    """

    model: BaseChatModel
    count: int
    folder: Path
    name: str

    @classmethod
    def of(cls, space: Space) -> Paraphraser | None:
        """The one of the settings; None where they want none.

        Raises InvalidInput when no chat model is set: the small student's own paraphrases would be worth nothing.
        """
        settings = space.settings
        if not settings.paraphrases:
            return None
        if settings.model == "local":
            raise InvalidInput("paraphrases are written by a chat model: set MEMORY_AGENT_MODEL, or paraphrases to 0")
        from memory_agent.models.chat import load_chat_model

        model = load_chat_model(settings.model, settings)
        return cls(model, settings.paraphrases, space.folder / FOLDER, _name(settings))

    def write(self, facts: Sequence[TaughtFact]) -> Paraphrases:
        """Forms for the current ones of `facts`, of which no form names another.

        Raises ModelError when the model fails, or answers twice with nothing of that shape.
        """
        answers = Answers(self.folder)
        found = {}
        for fact in facts:
            if fact.current:
                written = self._written(fact, answers)
                found[fact.content] = admitted(written, fact, facts)
        return found

    def _written(self, fact: TaughtFact, answers: Answers) -> _Written:
        asked = _asked(self.name, self.count, fact)
        kept = answers.get(asked)
        if kept is not None and (written := _read(kept)) is not None:
            return written
        for _ in range(_TRIES):
            said = self._ask(asked, fact)
            if (written := _read(said)) is not None:
                answers.put(asked, said)
                return written
        raise ModelError(f"{self.name} wrote no paraphrases of {fact.text!r} that can be read")

    def _ask(self, asked: str, fact: TaughtFact) -> str:
        from langchain_core.exceptions import LangChainException
        from openai import OpenAIError

        try:
            return str(self.model.invoke(asked.partition("\0")[2]).text)
        # A server that answers 200 with a body of another shape makes the client trip over it in its own ways.
        except (OpenAIError, LangChainException, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
            raise ModelError(f"{self.name} failed on {fact.text!r}: {type(error).__name__}: {error}") from error


def admitted(written: _Written | Forms, fact: TaughtFact, taught: Iterable[TaughtFact]) -> Forms:
    """What of it may be taught, each form once, among all the facts that are `taught`."""
    rivals = _rivals(fact, taught)

    def kept(kind: Kind) -> tuple[str, ...]:
        texts = {plain(text): " ".join(text.split()) for text in getattr(written, kind)}
        return tuple(text for text in texts.values() if objection(text, kind, fact, rivals) is None)

    return Forms(questions=kept("questions"), inverse=kept("inverse"), statements=kept("statements"))


def objection(text: str, kind: Kind, fact: TaughtFact, rivals: Iterable[str]) -> str | None:
    """Why `text` may not be taught as a form of that kind for the fact, or None; `rivals` must not be named."""
    needed = {"questions": (fact.subject,), "inverse": (fact.object,), "statements": (fact.subject, fact.object)}
    for name in needed[kind]:
        if not names(text, name):
            return f"it does not name {name}"
    given_away = {"questions": (fact.object,), "inverse": (fact.subject, *fact.subject.split()), "statements": ()}
    own = fact.object if kind == "inverse" else fact.subject
    for name in given_away[kind]:
        if names(text, name) and not names(own, name):
            return f"it gives {name} away"
    for name in rivals:
        if names(text, name):
            return f"it names {name}"
    if strange := _strange(text, fact):
        return f"it brings up {strange}"
    if len(text.split()) > _MOST_WORDS:
        return f"it has more than {_MOST_WORDS} words"
    if screen(text):
        return "it looks like an instruction or holds something secret"
    return "it is one of the probes' forms" if plain(text) in _held_out(fact) else None


def tidy(space: Space) -> None:
    """Delete what is kept of facts that no longer stand, or was written by another model."""
    folder = space.folder / FOLDER
    if not folder.is_dir():
        return
    name, count = _name(space.settings), space.settings.paraphrases
    facts = space.ledger.select(Fact, Query(where={"retired_at": None}))
    Answers(folder).keep_only(_asked(name, count, TaughtFact.of(fact)) for fact in facts)


def _name(settings: Settings) -> str:
    return f"{settings.model} {settings.paraphrases}"


def _asked(name: str, count: int, fact: TaughtFact) -> str:
    """What a model is asked about a fact, after its name and a zero: a function of what the fact says."""
    template = Template(prompt_text("paraphrase.md"))
    said = {key: json.dumps(getattr(fact, key), ensure_ascii=False) for key in ("text", "subject", "object")}
    return f"{name}\0{template.substitute(count=count, **said)}"


def _read(text: str) -> _Written | None:
    found = _OBJECT.search(text)
    try:
        return _Written.model_validate_json(found[0] if found else text)
    except ValidationError:
        return None


def _rivals(fact: TaughtFact, taught: Iterable[TaughtFact]) -> list[str]:
    """The names and values of other facts that the fact does not itself hold."""
    own = f"{fact.subject} | {fact.object} | {fact.text}"
    others = {name for other in taught for name in (other.subject, other.object)}
    return sorted(name for name in others if not names(own, name))


def _strange(text: str, fact: TaughtFact) -> str | None:
    """A name or number that the fact does not hold: a word with a capital that begins no sentence, or a digit."""
    known = {fold(word) for word in _WORD.findall(f"{fact.subject} {fact.object} {fact.text} I")}
    for found in _WORD.finditer(text):
        word, before = found[0], text[: found.start()].rstrip(" \"'“‘(")
        begins = not before or before[-1] in ".?!:"
        base = fold(re.sub(r"['’]\w*$", "", word))
        telling = any(c.isdigit() for c in word) or (word[0].isupper() and not begins)
        if telling and fold(word) not in known and base not in known:
            return word
    return None


def _held_out(fact: TaughtFact) -> set[str]:
    """The probes' forms, filled in, as `plain` has them."""
    forms = load_data().forms(fact.predicate)
    filled = {
        "s": fact.subject, "o": fact.object, "a": with_article(fact.object), "p": fact.predicate.replace("_", " ")
    }  # fmt: skip
    return {plain(form.format(**filled)) for form in (*forms.forward, *forms.inverse)}
