"""Answering a question from the base model, from an adapter's weights, from what is retrieved, or from both.

    base        the untouched student
    adapter     the router decides: the shard that was taught it, or the untouched student
    retrieval   what is found is shown to a chat model, by default the student
    both        the same, with the shard's adapter on the student
    auto        the adapter, when it is sure and agrees with the graph of now; else, and for what touches several
                shards, retrieval; else "I don't know"

The graph always wins over the weights: `auto` never gives an answer from weights that no current fact
about the question bears out. An adapter that is not promoted never answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from memory_agent import retrieval, semantic, working
from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.distillation.familiarity import is_familiar
from memory_agent.distillation.matching import names, names_any, says_unknown
from memory_agent.distillation.routing import Route, Router, facts_taught, is_personal, names_in
from memory_agent.errors import InvalidInput
from memory_agent.models.local import Generation, LocalModel
from memory_agent.models.tokens import TokenCounter, counter_for, student_counter
from memory_agent.prompts import prompt_text
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Answer, Context, Entity, Fact, Hit, Mode
from memory_agent.space import Space
from memory_agent.working import blocks, compaction

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

UNKNOWN = "I don't know."
WITHHELD = "the weights named somebody else's fact"
"""Ends the note of an answer in whose place "I don't know" was given."""
CONFIDENT = 0.35
"""Least probability of any token of an adapter's answer for `auto` to take it."""
HITS = 8
STUDENT_BUDGET = 400
"""Most tokens of context the small student is shown: more of it confuses more than it helps."""
BASE_TOKENS = 64
ANSWER_TOKENS = 32


def ask(
    space: Space, question: str, *, mode: Mode = "auto", budget: int = 1500, model: BaseChatModel | None = None
) -> Answer:
    """The answer to one question; see the module. `budget` is the most tokens of retrieved context.

    `model` answers from what is retrieved in place of the student; weights answer only through the
    student. Raises InvalidInput for an empty question or an unknown mode, and what the models raise.
    """
    return ask_many(space, [question], mode, budget=budget, model=model)[0]


def ask_many(
    space: Space,
    questions: Sequence[str],
    mode: Mode = "auto",
    *,
    budget: int = 1500,
    model: BaseChatModel | None = None,
) -> list[Answer]:
    """The answers to several questions, in their order; each is what `ask` would give. Raises as `ask`."""
    if mode not in get_args(Mode):
        raise InvalidInput(f"mode {mode!r}: say one of {', '.join(get_args(Mode))}")
    if any(not question.strip() for question in questions):
        raise InvalidInput("a question is empty")
    if budget < 1:
        raise InvalidInput(f"a budget of {budget} tokens leaves no room for context")
    asking = _Asking(space, budget, model)
    answer: dict[str, Callable[[Sequence[str]], list[Answer]]] = {
        "base": asking.from_base,
        "adapter": asking.from_weights,
        "retrieval": asking.from_retrieval,
        "both": asking.from_both,
        "auto": asking.automatically,
    }
    return answer[mode](list(questions))


def context(space: Space, question: str, *, budget: int = 2000, session: str | None = None) -> Context:
    """What a model would be shown for this question, within `budget` tokens of the settings' chat model.

    With a `session`, its summary and recent turns as well. Raises InvalidInput on an empty question.
    """
    return _assembled(space, question, budget, token_counter(space.settings), session)


def _assembled(space: Space, question: str, budget: int, count: TokenCounter, session: str | None = None) -> Context:
    seen = compaction.view(space, session) if session else compaction.View((), ())
    return working.assemble(
        question,
        retrieval.search(space, question, limit=HITS).hits,
        budget=budget,
        count_tokens=count,
        blocks=blocks.every(space),
        summaries=seen.summaries,
        recent=seen.recent,
    )


def adapter_for(space: Space, question: str) -> Path | None:
    """The folder of the adapter that the router lets answer `question`; None for the untouched student."""
    asking = _Asking(space, 1, None)
    if not asking.router.adapters:
        return None
    chosen = asking.route(question).adapters
    return registry.folder_of(space, chosen[0]) if chosen else None


def token_counter(settings: Settings) -> TokenCounter:
    """Counts tokens as the settings' chat model does; see `models.tokens`."""
    return counter_for(settings.model, settings)


@dataclass(frozen=True)
class _Reading:
    """A question, by its place among those asked, that the student answers from a context."""

    place: int
    prompt: str
    mode: Mode
    sources: tuple[str, ...]
    adapter: Adapter | None


@dataclass
class _Asking:
    """One call: a state of the space, and the models that answer."""

    space: Space
    budget: int
    model: BaseChatModel | None

    @cached_property
    def student(self) -> LocalModel:
        return LocalModel.load(self.space.settings)

    @cached_property
    def router(self) -> Router:
        """The router over the adapters that may answer now: promoted, of this student, with their files there."""
        promoted = registry.with_state(self.space.ledger, "promoted")
        adapters = [a for a in promoted if registry.is_whole(self.space, a) and a.base == self.student.revision]
        ids = facts_taught(adapters)
        rows = self.space.ledger.select(Fact, Query(ids=ids, where={"retired_at": None})) if ids else []
        entities = self.space.ledger.select(Entity)
        return Router(adapters, {fact.id: fact for fact in rows}, entities)

    def counter(self, by_student: bool) -> TokenCounter:
        """Counts tokens as the model that is to read them does."""
        settings = self.space.settings
        return student_counter(settings) if by_student or self.model is None else counter_for(self.model, settings)

    def route(self, question: str) -> Route:
        return self.router.route(question, lambda name: _familiar(self.student, name))

    def from_base(self, questions: Sequence[str]) -> list[Answer]:
        """The untouched student's answers."""
        said = self.student.generate(questions, max_new_tokens=BASE_TOKENS)
        return [_answer(one, "base") for one in said]

    def from_weights(self, questions: Sequence[str]) -> list[Answer]:
        """Each from its shard, or from the untouched student."""
        return self._by_route(questions, [self.route(question) for question in questions])

    def _by_route(self, questions: Sequence[str], routes: Sequence[Route]) -> list[Answer]:
        asked: dict[str, list[int]] = {}
        for n, route in enumerate(routes):
            for adapter in route.adapters:
                asked.setdefault(adapter.id, []).append(n)
        adapters = {adapter.id: adapter for route in routes for adapter in route.adapters}
        said: dict[int, list[Answer]] = {}
        for id, places in asked.items():
            folder = registry.folder_of(self.space, adapters[id])
            generated = self.student.generate(
                [questions[n] for n in places], adapter=folder, max_new_tokens=ANSWER_TOKENS
            )
            for n, one in zip(places, generated, strict=True):
                note = routes[n].why
                sources = self._taught(adapters[id], questions[n], one.text, routes[n])
                said.setdefault(n, []).append(_answer(one, "adapter", sources, id, note))
        plain = [n for n, route in enumerate(routes) if route.kind == "base"]
        untouched = dict(zip(plain, self.from_base([questions[n] for n in plain]), strict=True))
        answers = []
        for n, route in enumerate(routes):
            if n in untouched:
                answers.append(untouched[n].model_copy(update={"note": route.why}))
            elif n in said:
                answers.append(self._not_anothers(questions[n], route, _surest(said[n])))
            else:
                answers.append(Answer(text=UNKNOWN, mode="adapter", note=route.why))
        return answers

    def _not_anothers(self, question: str, route: Route, answer: Answer) -> Answer:
        """The answer; "I don't know" in place of one that gives a stranger, or somebody known, only another's fact.

        What the weights may say of somebody known is what an adapter was taught of them, or of whom that leads to.
        """
        if route.kind not in ("stranger", "entity"):
            return answer
        facts = self.router.facts.values()
        own = {n for fact in facts if {fact.subject_id, fact.object_id} & {*route.entities} for n in _ends(fact)}
        own |= {n for fact in facts if fact.subject in own for n in _ends(fact)}
        taught = {name for fact in facts for name in _ends(fact) if not names(question, name)}
        if names_any(answer.text, list(taught - own)) and not names_any(answer.text, list(taught & own)):
            return _unknown(answer).model_copy(update={"note": f"{route.why}; {WITHHELD}"})
        return answer

    def _taught(self, adapter: Adapter, question: str, text: str, route: Route) -> tuple[str, ...]:
        """Ids of the taught facts that question and answer together amount to; else of all about who was asked for."""
        facts = [self.router.facts[id] for id in facts_taught([adapter]) if id in self.router.facts]
        stuck = [fact for fact in facts if fact.id not in adapter.scorecard.get("quarantined", ())]
        told = [fact.id for fact in stuck if _told(fact, question, text, route.entities)]
        return tuple(told or (fact.id for fact in stuck if fact.subject_id in route.entities))

    def from_retrieval(self, questions: Sequence[str]) -> list[Answer]:
        """Each from what is found for it."""
        return self._with_context([(question, None) for question in questions])

    def from_both(self, questions: Sequence[str]) -> list[Answer]:
        """Each from what is found for it, read by the student with the question's adapter on."""
        routes = [self.route(question) for question in questions]
        return self._with_context(
            [(q, route.adapters[0] if route.adapters else None) for q, route in zip(questions, routes, strict=True)]
        )

    def _with_context(self, asked: Sequence[tuple[str, Adapter | None]]) -> list[Answer]:
        """From what is retrieved; "I don't know" without a model where nothing is. The student reads batch by batch."""
        answers: dict[int, Answer] = {}
        waiting: dict[Path | None, list[_Reading]] = {}
        for n, (question, adapter) in enumerate(asked):
            mode: Mode = "both" if adapter else "retrieval"
            by_student = self.model is None or adapter is not None
            budget = min(self.budget, STUDENT_BUDGET) if by_student else self.budget
            found = _assembled(self.space, question, budget, self.counter(by_student))
            prompt = prompt_text("answer.md").strip().format(context=found.text, question=question)
            sources = tuple(hit.record.id for hit in found.hits)
            if not found.hits:
                answers[n] = Answer(text=UNKNOWN, mode=mode, note="nothing was found")
            elif by_student:
                folder = registry.folder_of(self.space, adapter) if adapter else None
                waiting.setdefault(folder, []).append(_Reading(n, prompt, mode, sources, adapter))
            else:
                answers[n] = self._by_model(prompt, sources)
        for folder, readings in waiting.items():
            prompts = [reading.prompt for reading in readings]
            said = self.student.generate(prompts, adapter=folder, max_new_tokens=BASE_TOKENS)
            for reading, one in zip(readings, said, strict=True):
                adapter_id = reading.adapter.id if reading.adapter else None
                answers[reading.place] = _answer(one, reading.mode, reading.sources, adapter_id)
        return [answers[n] for n in range(len(asked))]

    def _by_model(self, prompt: str, sources: tuple[str, ...]) -> Answer:
        """What the given chat model makes of a prompt with context."""
        assert self.model is not None
        message = self.model.invoke(prompt)
        usage = getattr(message, "usage_metadata", None) or {}
        count = self.counter(by_student=False)
        spent = int(usage.get("total_tokens", 0)) or count(prompt) + count(message.text)
        return Answer(text=message.text.strip(), mode="retrieval", sources=sources, tokens=spent)

    def automatically(self, questions: Sequence[str]) -> list[Answer]:
        """See the module: weights where they are sure and borne out, else what is found, else "I don't know"."""
        routes = [self.route(question) for question in questions]
        first = self._by_route(questions, routes)
        return [self._decide(*asked) for asked in zip(questions, routes, first, strict=True)]

    def _decide(self, question: str, route: Route, answer: Answer) -> Answer:
        if route.kind == "base":
            own = is_personal(question) or any(fact.subject_id in route.entities for fact in self._current)
            return self._looked_up(question, "it is about the asker's own world") if own else answer
        if route.kind == "stranger":
            return self._looked_up(question, "it was mentioned") if self._mentioned(question) else _unknown(answer)
        if route.kind == "entity" and len(route.adapters) > 1:
            # Weights learnt apart do not compose: no shard knows both halves of the answer.
            return self._looked_up(question, "it touches several shards")
        if says_unknown(answer.text):
            return self._looked_up(question, "the weights do not know")
        if (answer.confidence or 0) < CONFIDENT:
            return self._looked_up(question, "the weights are not sure")
        if not any(_told(fact, question, answer.text, route.entities) for fact in self._current):
            return self._looked_up(question, "no current fact bears out what the weights say")
        return answer

    @cached_property
    def _current(self) -> list[Fact]:
        """What holds now, whether taught or not."""
        return [fact for fact in semantic.facts(self.space) if fact.status == "current" and fact.polarity == "+"]

    def _mentioned(self, question: str) -> bool:
        """Whether somebody said something about the stranger, or a fact has a value that the question names."""
        unknown = names_in(question)
        if not unknown:
            return any(names(question, fact.object) for fact in self._current)
        hits = retrieval.search(self.space, question, limit=HITS).hits
        return any(names(_text(hit), name) for hit in hits for name in unknown)

    def _looked_up(self, question: str, why: str) -> Answer:
        """From retrieval, or "I don't know"."""
        (found,) = self._with_context([(question, None)])
        if says_unknown(found.text):
            found = _unknown(found)
        return found.model_copy(update={"note": why})


def _text(hit: Hit) -> str:
    return hit.record.text if isinstance(hit.record, Fact) else hit.record.content


def _answer(
    said: Generation, mode: Mode, sources: Iterable[str] = (), adapter: str | None = None, note: str = ""
) -> Answer:
    return Answer(
        text=said.text,
        mode=mode,
        sources=tuple(sources),
        adapter=adapter,
        confidence=said.min_probability,
        tokens=said.prompt_tokens + said.tokens,
        note=note,
    )


def _ends(fact: Fact) -> tuple[str, str]:
    return fact.subject, fact.object


def _unknown(answer: Answer) -> Answer:
    """The answer in the one wording of not knowing; it rests on nothing."""
    return answer.model_copy(update={"text": UNKNOWN, "sources": ()})


def _surest(answers: Sequence[Answer]) -> Answer:
    """The surest of several shards' answers; one that knows goes before those that do not."""
    best = max(answers, key=lambda answer: (not says_unknown(answer.text), answer.confidence or 0.0))
    return best.model_copy(update={"tokens": sum(answer.tokens for answer in answers)})


def _told(fact: Fact, question: str, text: str, entities: Sequence[str]) -> bool:
    """Whether question and answer together amount to the fact: one end is asked about, the other given."""
    if fact.subject_id in entities and names(text, fact.object):
        return True
    first = fact.subject.split()[0]
    return names(question, fact.object) and (names(text, fact.subject) or names(text, first))


@lru_cache(maxsize=4096)
def _familiar(student: LocalModel, name: str) -> bool:
    return is_familiar(student, name)
