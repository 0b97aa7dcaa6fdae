"""Extraction by any chat model: a JSON schema, repair, one more try, then a typed error.

What the model says is only proposed: a quote that does not stand in its turn gets an empty span,
which grounding refuses and counts. The model's answer is never taken for an empty one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from string import Template
from typing import Annotated, Any, Literal

from langchain_core.exceptions import LangChainException
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field, ValidationError, field_validator

from memory_agent.consolidation.spending import Answers, Budget
from memory_agent.consolidation.wording import Wording
from memory_agent.errors import ExtractionFailed
from memory_agent.prompts import prompt_text
from memory_agent.protocols import Proposal
from memory_agent.records import Episode, PartialDate
from memory_agent.semantic.ontology import Ontology, load

Kind = Literal["person", "animal", "place", "organisation", "thing"]


class _Said(BaseModel):
    """One claim as the model is to write it."""

    turn: int
    quote: str = Field(min_length=1)
    subject: int | Annotated[str, Field(min_length=1)]
    predicate: str = Field(min_length=1)
    object: int | Annotated[str, Field(min_length=1)]
    polarity: Literal["+", "-"] = "+"
    modality: Literal["actual", "planned", "possible"] = "actual"
    valid_from: str | None = None
    valid_to: str | None = None
    subject_type: Kind | None = None
    object_type: Kind | None = None
    also_called: list[tuple[str, str]] = []
    confidence: float = Field(default=0.9, ge=0, le=1)

    @field_validator("valid_from", "valid_to")
    @classmethod
    def _date_or_none(cls, value: str | None) -> str | None:
        """A date that is none ("recently") is left out rather than asked for again."""
        if value is None:
            return None
        try:
            return str(PartialDate(value))
        except ValueError:
            return None


class _Answer(BaseModel):
    claims: list[_Said]


class _TooLong(ExtractionFailed):
    """The turns, or what was to be said of them, are more than the model takes at once."""


class LLMExtractor:
    """Extracts with a langchain chat model, one call for each batch of turns and a second when that fails.

    `name` goes into every claim; by default it is the model's own. With `json_schema` the schema is
    sent along as `response_format`, for servers that decode under it; None asks only those that
    speak OpenAI's protocol. `budget` bounds what it may cost; `answers` keeps what was answered, by
    content (`Answers(memory.space.folder / ANSWERS)` is cleared with the memory it is of). With `summaries` the
    model also words the summaries that a run changes, one call each.
    """

    def __init__(
        self,
        model: BaseChatModel,
        *,
        name: str | None = None,
        ontology: Ontology | None = None,
        json_schema: bool | None = None,
        budget: Budget | None = None,
        answers: Answers | None = None,
        summaries: bool = False,
    ) -> None:
        self.wording = Wording(model, budget) if summaries else None
        self.model = model
        self.budget = budget or Budget()
        self._answers = answers
        self._known: list[tuple[str, str]] = []
        self.ontology = ontology or load()
        self.name = name or f"llm/{getattr(model, 'model_name', None) or model._llm_type}"
        asked = json_schema if json_schema is not None else model._llm_type.startswith("openai")
        self._options: dict[str, Any] = {"response_format": _response_format()} if asked else {}

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """Proposals for `turns`; see protocols.Extractor. Raises ExtractionFailed after the second useless answer.

        Turns whose answer is cut off, or that are too many for the model, are asked for in halves. A claim that stays
        malformed, and the rest of an answer that is cut off for a single turn, are proposed empty: grounding refuses
        and counts them.
        """
        if not turns:
            return []
        try:
            return self._read(turns, context)
        except _TooLong as error:
            if len(turns) == 1:
                raise ExtractionFailed(str(error)) from error
            half = len(turns) // 2
            first = self.extract(turns[:half], context)
            return [*first, *self.extract(turns[half:], [*context, *turns[:half]])]

    def _read(self, turns: Sequence[Episode], context: Sequence[Episode]) -> list[Proposal]:
        transcript = _transcript(turns, context, self._known)
        messages: list[BaseMessage] = [SystemMessage(self._instructions()), HumanMessage(transcript)]
        asked = "\0".join([self.name, *(str(m.content) for m in messages)])
        kept = self._answers.get(asked) if self._answers else None
        answer = kept if kept is not None else self._ask(messages, turns)
        said, error = parse(answer)
        if error:
            if error.startswith(_CUT) and len(turns) > 1:
                raise _TooLong(f"{self.name} was cut off at {_named(turns)}")
            again = _prompt("extract_again.md").substitute(error=error)
            answer = self._ask([*messages, AIMessage(answer), HumanMessage(again)], turns)
            said, error = parse(answer)
            if error and not any(said):
                raise ExtractionFailed(f"{self.name} gave nothing usable twice for {_named(turns)}: {error}")
            if error.startswith(_CUT) and len(turns) > 1:
                raise _TooLong(f"{self.name} was cut off at {_named(turns)}")
        if not error and kept is None and self._answers:
            self._answers.put(asked, answer)
        found = [_proposal(each, turns, self._known) for each in said if each is not None]
        lost = [f"claim {n}" for n, each in enumerate(said, start=1) if each is None]
        if error.startswith(_CUT):
            lost.append("the rest")
        return [*found, *(_nothing(turns[0], what) for what in lost)]

    def meet(self, known: Sequence[tuple[str, str]]) -> None:
        """Entities, as (name, type), that the next turns may mean; the model is given them by number."""
        self._known = list(known)

    def _instructions(self) -> str:
        predicates = "\n".join(f"- {p.name}: {p.gloss}" for p in self.ontology.predicates)
        return _prompt("extract.md").substitute(predicates=predicates, schema=json.dumps(_Answer.model_json_schema()))

    def _ask(self, messages: list[BaseMessage], turns: Sequence[Episode]) -> str:
        from openai import BadRequestError, LengthFinishReasonError, OpenAIError

        self.budget.check()
        try:
            answer = self.model.invoke(messages, **self._options)
            self.budget.charge(answer.usage_metadata, "".join(str(m.content) for m in messages), answer.text)
            return answer.text
        except BadRequestError as error:
            if "context" in str(error).lower() and len(turns) > 1:
                raise _TooLong(f"{self.name} cannot take {_named(turns)} at once: {error}") from error
            raise ExtractionFailed(f"{self.name} failed on {_named(turns)}: BadRequestError: {error}") from error
        except LengthFinishReasonError as cut:  # raised under a JSON schema; what was said until then is repaired
            said = cut.completion.choices[0].message.content or ""
            self.budget.charge(None, "".join(str(m.content) for m in messages), said)
            return said
        # A server that answers 200 with a body of another shape makes the client trip over it in its own ways.
        except (OpenAIError, LangChainException, OSError, ValueError, RuntimeError, LookupError, TypeError) as error:
            raise ExtractionFailed(f"{self.name} failed on {_named(turns)}: {type(error).__name__}: {error}") from error


def parse(text: str) -> tuple[list[_Said | None], str]:
    """The claims in a model's answer, repaired where that is safe, and what is wrong with it ("" when nothing is).

    Fences, prose around the object, trailing commas and a cut-off end are repaired; a cut-off answer
    gives its whole claims, and an error, since the rest is missing. None stands for a claim of the wrong shape.
    """
    found, error = _loaded(text)
    if found is None:
        return [], error
    listed = found.get("claims") if isinstance(found, dict) else found
    if not isinstance(listed, list):
        return [], 'it holds no list "claims"'
    said: list[_Said | None] = []
    for number, item in enumerate(listed, start=1):
        try:
            said.append(_Said.model_validate(item))
        except ValidationError as wrong:
            first = wrong.errors()[0]
            said.append(None)
            error = error or f"claim {number}, {'.'.join(str(p) for p in first['loc']) or 'itself'}: {first['msg']}"
    return said, error


_FENCE = re.compile(r"```(?:json)?\s*(.*?)(?:```|$)", re.DOTALL)
_CUT = "it is no whole JSON"
_TRAILING = re.compile(r",(\s*[\]}])")


def _loaded(text: str) -> tuple[Any, str]:
    """The JSON in `text`, or None, and what was wrong with it."""
    if fenced := _FENCE.search(text):
        text = fenced[1]
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None, "it holds no JSON" if text.strip() else "it is empty"
    body = _TRAILING.sub(r"\1", text[start:])
    try:
        return json.JSONDecoder().raw_decode(body)[0], ""
    except RecursionError:
        return None, "it is nested too deep"
    except ValueError as error:
        whole = _whole_items(body)
        return whole, f"{_CUT}: {error}"


def _whole_items(body: str) -> dict[str, Any] | None:
    """The complete objects of a list that was cut off or broken later on."""
    start = body.find("[")
    if start < 0:
        return None
    decoder, items, at = json.JSONDecoder(), [], start + 1
    while (at := body.find("{", at)) >= 0:
        try:
            item, at = decoder.raw_decode(body, at)
        except (ValueError, RecursionError):
            break
        items.append(item)
    return {"claims": items} if items else None


def _called(said: int | str, known: Sequence[tuple[str, str]]) -> str:
    """A name, also where the model gave the number of one that it was offered."""
    return known[said - 1][0] if isinstance(said, int) and 1 <= said <= len(known) else str(said)


def _proposal(said: _Said, turns: Sequence[Episode], known: Sequence[tuple[str, str]] = ()) -> Proposal:
    """The claim as a proposal; one that names no turn, or quotes what does not stand in it, grounding will refuse."""
    episode = turns[said.turn - 1] if 1 <= said.turn <= len(turns) else None
    start, end = find_quote(said.quote, episode.content) if episode else (0, 0)
    return Proposal(
        episode_id=episode.id if episode else f"turn {said.turn}",
        start=start,
        end=end,
        subject=_called(said.subject, known),
        predicate=said.predicate,
        object=_called(said.object, known),
        polarity=said.polarity,
        modality=said.modality,
        valid_from=PartialDate(said.valid_from) if said.valid_from else None,
        valid_to=PartialDate(said.valid_to) if said.valid_to else None,
        confidence=said.confidence,
        subject_type=said.subject_type or "thing",
        object_type=said.object_type,
        aliases=tuple(said.also_called),
    )


def _nothing(turn: Episode, what: str) -> Proposal:
    """In place of what came in no usable shape: grounding refuses it as empty, and counts it."""
    return Proposal(episode_id=turn.id, start=0, end=0, subject="", predicate=what, object="", subject_type="thing")


def find_quote(quote: str, content: str) -> tuple[int, int]:
    """Where `quote` stands in `content`, case, spaces and quotation marks aside; (0, 0) when it does not."""
    words = [re.escape(word) for word in quote.strip(" \"'“”.").split()]
    if not words:
        return 0, 0
    pattern = re.sub("['’]", "['’]", r"\s+".join(words))
    found = re.search(pattern, content, re.IGNORECASE)
    return found.span() if found else (0, 0)


def _transcript(turns: Sequence[Episode], context: Sequence[Episode], known: Sequence[tuple[str, str]] = ()) -> str:
    """One line a turn, its words as a JSON string, so that no turn can look like two; entities known before first."""
    met = [f"known {n} | {json.dumps(name, ensure_ascii=False)} ({type})" for n, (name, type) in enumerate(known, 1)]
    marked = [("context", turn) for turn in context] + [(f"read {n}", turn) for n, turn in enumerate(turns, 1)]
    lines = (
        f"{mark} | {turn.at:%Y-%m-%d %A} | {turn.speaker}: {json.dumps(turn.content, ensure_ascii=False)}"
        for mark, turn in marked
    )
    return "\n".join([*met, *lines])


def _named(turns: Sequence[Episode]) -> str:
    return turns[0].id if len(turns) == 1 else f"{turns[0].id} to {turns[-1].id}"


def _response_format() -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "claims", "schema": _Answer.model_json_schema()}}


def _prompt(name: str) -> Template:
    return Template(prompt_text(name))
