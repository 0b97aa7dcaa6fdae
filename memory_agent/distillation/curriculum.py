"""Facts into training rows: pure, seeded, each row with the facts it rests on.

In every pass the questions are put in other forms (a deck of forms for each thing asked, dealt in
turn), so the model meets a fact mostly in forms it has not seen it in; whether it answers those is
what tells the trainer that it has learnt the fact and not the sentence.

Answers are whole canonical sentences: "Ana Silva lives in Porto." All forms of a question, the entity
page and the yes-or-no rows lead into the same few sentences, so they share what they teach, and only the
value's tokens stay hard. The inverse answer says the object first: the value, then the name.

    forward   (subject, predicate) asked -> all its current values
    inverse   (predicate, object) asked -> everybody it is true of
    past      dated questions about a value that was superseded
    check     yes or no, with a sibling's value half the time
    path      a question over two facts, answered step by step: who it is, then what is asked of them
    page      all that is known of an entity, reshuffled
    absent    a known subject without that attribute, a value that is nobody's any more -> don't know
    stranger  unknown people (also with a known first or last name), unknown values -> don't know
"""

from __future__ import annotations

import calendar
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.paraphrasing import Kind, Paraphrases
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.templates import Forms, Templates, load_templates
from memory_agent.records import PartialDate


@dataclass(frozen=True)
class Row:
    """A question and the answer to be learnt. `group` is what is learnt by it; `epoch` the pass it belongs to."""

    epoch: int
    kind: str
    group: str
    prompt: str
    answer: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """Something to ask: its key, whether inverse, the forms, and the answer."""

    key: str
    inverse: bool
    prompts: tuple[str, ...]
    answer: str
    facts: tuple[TaughtFact, ...]


class Curriculum:
    """All rows for some facts. `rows(epoch)` is a pure function of (facts, recipe, seed, epoch)."""

    def __init__(
        self,
        facts: Iterable[TaughtFact],
        recipe: Recipe,
        seed: int,
        templates: Templates | None = None,
        paraphrases: Paraphrases | None = None,
    ) -> None:
        """`paraphrases`: more forms, of facts that have some."""
        self._facts = sorted(facts, key=lambda fact: fact.content)
        self._recipe = recipe
        self._seed = seed
        self._templates = templates or load_templates()
        self._paraphrases = paraphrases or {}
        self._now = [fact for fact in self._facts if fact.current]
        self._past = [fact for fact in self._facts if not fact.current]
        self._subjects = sorted({fact.subject for fact in self._facts})
        self._predicates = sorted({fact.predicate for fact in self._facts})
        self._kinds = {fact.predicate: fact.kind for fact in reversed(self._facts) if fact.kind}
        self._items = [*self._forward_items(), *self._inverse_items()]
        self._paths = list(self._two_hops())
        self._gaps = [*self._missing(), *self._nobodys()]

    def rows(self, epoch: int) -> list[Row]:
        """The rows of one pass, by kind."""
        recipe = self._recipe
        rows = [row for item in self._items for row in self._asked(item, epoch)]
        rows += self._dated(epoch)
        questions = len(rows)
        rows += self._checks(epoch, round(questions * recipe.check_share))
        rows += self._over_two(epoch, math.ceil(questions * recipe.path_share))
        if recipe.page_every and epoch % recipe.page_every == 0:
            rows += self._pages(epoch)
        unknown = max(recipe.fewest_unknown, round(questions * recipe.unknown_share)) if self._subjects else 0
        absent = self._absent(epoch, unknown // 2)
        rows += absent
        rows += self._strangers(epoch, unknown - len(absent))
        return rows

    def near(self) -> list[str]:
        """General questions about the objects of these facts, one each, whose answers must stay the base's own."""
        asked: list[str] = []
        for fact in self._now:
            forms = self._templates.forms(fact.predicate).near
            if forms:
                asked.append(self._random("near", *fact.content).choice(forms).format(o=fact.object))
        return sorted(set(asked))

    def openers(self, near: int, general: int) -> list[str]:
        """Questions whose answers must begin as the base's: up to `near` about each object, `general` about the world.

        About an object that has a name of its own kind (a person) the world has nothing to say.
        """
        asked: set[str] = set()
        for fact in self._now:
            forms = self._templates.forms(fact.predicate)
            if forms.near:
                about = [form.format(o=fact.object) for form in (*forms.near, *self._templates.replay.near_any)]
                asked.update(self._random("openers", *fact.content).sample(about, min(near, len(about))))
        world = self._templates.replay.opened()
        return [*sorted(asked), *self._random("openers").sample(world, min(general, len(world)))]

    def _random(self, *parts: object) -> random.Random:
        return random.Random("\x1f".join(map(str, (self._seed, *parts))))

    # What can be asked

    def _forward_items(self) -> Iterator[_Item]:
        groups: dict[tuple[str, str], list[TaughtFact]] = {}
        for fact in self._now:
            groups.setdefault((fact.subject, fact.predicate), []).append(fact)
        for (subject, predicate), facts in groups.items():
            forms = self._templates.forms(predicate)
            prompts = self._with_more([_say(form, facts[0], predicate) for form in forms.forward], "questions", facts)
            yield _Item(f"forward|{predicate}|{subject}", False, prompts, statement(forms, facts), tuple(facts))

    def _inverse_items(self) -> Iterator[_Item]:
        groups: dict[tuple[str, str], list[TaughtFact]] = {}
        for fact in self._now:
            groups.setdefault((fact.predicate, fact.object), []).append(fact)
        for (predicate, value), facts in groups.items():
            forms = self._templates.forms(predicate)
            prompts = self._with_more([_say(form, facts[0], predicate) for form in forms.inverse], "inverse", facts)
            who = _listed([fact.subject for fact in facts])
            answer = _say(forms.reverse, facts[0], predicate, subject=who)
            yield _Item(f"inverse|{predicate}|{value}", True, prompts, answer, tuple(facts))

    def _with_more(self, prompts: list[str], kind: Kind, facts: Sequence[TaughtFact]) -> tuple[str, ...]:
        """The prompts, and the paraphrases of that kind of any of the facts, each once."""
        more = [self._paraphrases[fact.content] for fact in facts if fact.content in self._paraphrases]
        written: list[str] = [text for forms in more for text in getattr(forms, kind)]
        return (*prompts, *(text for text in dict.fromkeys(written) if text not in prompts))

    def _two_hops(self) -> Iterator[_Item]:
        """Everything asked of somebody who is the one object of a relation, asked by way of the relation.

        Facts learnt apart do not compose: the answer says both, the first of them first.
        """
        asked: dict[str, list[_Item]] = {}
        for item in self._items:
            if not item.inverse:
                asked.setdefault(item.facts[0].subject, []).append(item)
        for item in [item for items in asked.values() for item in items if len(item.facts) == 1]:
            (first,) = item.facts
            names = [_say(form, first, first.predicate) for form in self._templates.forms(first.predicate).called]
            for further in asked.get(first.object, []) if names else []:
                second = further.facts[0]
                if any(fact.object == first.subject for fact in further.facts):
                    continue
                forms = self._templates.forms(second.predicate).forward
                prompts = tuple(_say(form, second, second.predicate, subject=name) for name in names for form in forms)
                answer = f"{item.answer} {further.answer}"
                yield _Item(f"path|{item.key}|{further.key}", False, prompts, answer, (first, *further.facts))

    def _missing(self) -> list[_Item]:
        """Known subjects asked for what is not known of them."""
        known = {(fact.subject, fact.predicate) for fact in self._now}
        people = {fact.object for fact in self._facts if self._templates.forms(fact.predicate).values == "person"}
        gaps = []
        for subject in self._subjects:
            for predicate in self._predicates:
                forms = self._templates.forms(predicate)
                # A person who is an object of a relation may well stand in it: "Who is Ben married to?" has an answer.
                if (subject, predicate) in known or (forms.values == "person" and subject in people):
                    continue
                gaps.append(self._unknown(forms, predicate, subject, None))
        return gaps

    def _nobodys(self) -> list[_Item]:
        """Values that were somebody's once and are nobody's now."""
        held = {(fact.predicate, fact.object) for fact in self._now}
        gone = sorted({(fact.predicate, fact.object) for fact in self._past} - held)
        return [self._unknown(self._templates.forms(p), p, "", value) for p, value in gone]

    def _unknown(self, forms: Forms, predicate: str, subject: str, value: str | None) -> _Item:
        """A question without an answer: about `subject`, or, with a `value`, about whom it is true of."""
        asked, refusal = (forms.forward, forms.refuse) if value is None else (forms.inverse, forms.refuse_inverse)
        model = TaughtFact(id="", subject=subject, predicate=predicate, object=value or "", text="")
        kind = self._kinds.get(predicate)
        prompts = tuple(_say(form, model, predicate, kind=kind) for form in asked)
        return _Item(
            f"unknown|{predicate}|{value or subject}", value is not None, prompts, _say(refusal, model, predicate), ()
        )

    # Rows of one pass

    def _asked(self, item: _Item, epoch: int) -> Iterator[Row]:
        count = min(len(item.prompts), self._recipe.inverse_forms if item.inverse else self._recipe.forward_forms)
        kind = "inverse" if item.inverse else "forward"
        ids = tuple(fact.id for fact in item.facts)
        for prompt in self._dealt(item, epoch * count, count):
            yield Row(epoch, kind, item.key, prompt, item.answer, ids)

    def _dealt(self, item: _Item, start: int, count: int) -> list[str]:
        """`count` forms from the place `start` of an endless deck that is shuffled anew each time it is through."""
        found: list[str] = []
        for place in range(start, start + count):
            turn, card = divmod(place, len(item.prompts))
            deck = self._random("deck", item.key, turn).sample(item.prompts, len(item.prompts))
            found.append(deck[card])
        return found

    def _dated(self, epoch: int) -> Iterator[Row]:
        for fact in self._past:
            forms = self._templates.forms(fact.predicate).past
            if not forms or fact.valid_to is None:
                continue
            random_ = self._random("past", epoch, *fact.content)
            prompt = _say(_dates(random_.choice(forms), fact), fact, fact.predicate)
            answer = f"Until {_spoken(fact.valid_to)} it was {fact.object}."
            yield Row(epoch, "past", f"past|{fact.predicate}|{fact.subject}", prompt, answer, (fact.id,))

    def _checks(self, epoch: int, count: int) -> Iterator[Row]:
        random_ = self._random("checks", epoch)
        common = self._templates.common
        forward = [item for item in self._items if not item.inverse]
        for item in random_.sample(forward, min(count, len(forward))):
            fact = item.facts[0]
            siblings = sorted(
                {f.object for f in self._facts if f.predicate == fact.predicate} - {f.object for f in item.facts}
            )
            wrong = random_.choice(siblings) if siblings and random_.random() < 0.5 else None
            claim = self._claim(item, wrong, random_)
            if wrong is not None and claim == item.answer:
                claim = statement(
                    self._templates.forms(fact.predicate),
                    [fact.model_copy(update={"object": wrong, "text": fact.text.replace(fact.object, wrong)})],
                )
            prompt = random_.choice(common.check).format(t=claim)
            answer = (common.yes if wrong is None else common.no).format(t=item.answer)
            yield Row(
                epoch,
                "check",
                f"check|{fact.predicate}|{fact.subject}",
                prompt,
                answer,
                tuple(f.id for f in item.facts),
            )

    def _claim(self, item: _Item, wrong: str | None, draw: random.Random) -> str:
        """The item's sentence in any of the words there are for it; if given, with `wrong` in place of its value."""
        forms = self._paraphrases.get(item.facts[0].content) if len(item.facts) == 1 else None
        if forms is None or not forms.statements:
            return item.answer
        said = draw.choice([item.answer, *forms.statements])
        return said if wrong is None or said == item.answer else said.replace(item.facts[0].object, wrong)

    def _over_two(self, epoch: int, most: int) -> Iterator[Row]:
        draw = self._random("paths", epoch)
        for item in draw.sample(self._paths, min(most, len(self._paths))):
            (prompt,) = self._dealt(item, epoch, 1)
            yield Row(epoch, "path", item.key, prompt, item.answer, tuple(fact.id for fact in item.facts))

    def _pages(self, epoch: int) -> Iterator[Row]:
        by_subject: dict[str, list[_Item]] = {}
        for item in self._items:
            if not item.inverse:
                by_subject.setdefault(item.facts[0].subject, []).append(item)
        for subject, items in by_subject.items():
            if len(items) < 2:
                continue
            random_ = self._random("page", epoch, subject)
            shuffled = random_.sample(items, len(items))
            prompt = random_.choice(self._templates.common.page).format(s=subject)
            answer = " ".join(item.answer for item in shuffled)
            yield Row(
                epoch, "page", f"page|{subject}", prompt, answer, tuple(f.id for item in shuffled for f in item.facts)
            )

    def _absent(self, epoch: int, most: int) -> list[Row]:
        """What is not known of known subjects, in `gap_forms` forms each: at most `most` rows.

        That nothing is known is learnt pair by pair, like a fact; in fewer forms it holds in those forms only.
        """
        places = [
            (item, count, n)
            for item in self._gaps
            for count in [min(len(item.prompts), self._recipe.gap_forms)]
            for n in range(count)
        ]
        drawn = self._random("absent", epoch).sample(places, min(most, len(places)))
        return [
            Row(epoch, "absent", item.key, self._dealt(item, epoch * count + n, 1)[0], item.answer, ())
            for item, count, n in drawn
        ]

    def _strangers(self, epoch: int, count: int) -> Iterator[Row]:
        random_ = self._random("strangers", epoch)
        others = sorted(set(self._templates.predicates) - set(self._predicates))
        for i in range(count):
            predicate = random_.choice(others if i % 5 == 0 else self._predicates)
            forms = self._templates.forms(predicate)
            value = self._strange_value(forms, random_) if i % 4 == 3 else None
            if i % 16 == 7:
                name = self._strange_name(random_)
                prompt = random_.choice(self._templates.common.page).format(s=name)
                answer = self._templates.common.page_unknown.format(s=name)
            else:
                item = self._unknown(forms, predicate, self._strange_name(random_), value)
                prompt, answer = random_.choice(item.prompts), item.answer
            yield Row(epoch, "stranger", "stranger", prompt, answer, ())

    def _strange_name(self, random_: random.Random) -> str:
        """Nobody's name: invented, or, more often than not, half of a known one; the two halves are hard to bind."""
        strangers = self._templates.strangers
        known = {word for subject in self._subjects for word in subject.split()}
        parts = [subject.split() for subject in self._subjects if len(subject.split()) > 1]
        while True:
            first, last = random_.choice(strangers.first), random_.choice(strangers.last)
            how = random_.random()
            if how < 0.1:
                last = strangers.coin(random_)
            elif how < 0.15:
                first, last = strangers.coin(random_), strangers.coin(random_)
            if first in known or last in known:
                continue
            if parts and how > 0.55:
                # Surnames of a list alone would be learnt by heart.
                return f"{random_.choice(parts)[0]} {strangers.coin(random_) if how > 0.8 else last}"
            if parts and how > 0.3:
                return f"{first} {random_.choice(parts)[-1]}"
            return f"{first} {last}"

    def _strange_value(self, forms: Forms, random_: random.Random) -> str:
        known = {fact.object for fact in self._facts}
        values = [value for value in self._templates.strangers.values.get(forms.values, ()) if value not in known]
        return random_.choice(values) if values else self._strange_name(random_)


def statement(forms: Forms, facts: Sequence[TaughtFact]) -> str:
    """The canonical sentence for one subject and predicate: the fact's own where it is one and names both."""
    first = facts[0]
    if len(facts) == 1 and first.subject in first.text and first.object in first.text:
        return first.text if first.text.endswith((".", "!", "?")) else f"{first.text}."
    return _say(forms.statement, first, first.predicate, value=_listed([fact.object for fact in facts]))


def _say(
    form: str,
    fact: TaughtFact,
    predicate: str,
    *,
    subject: str | None = None,
    value: str | None = None,
    kind: str | None = None,
) -> str:
    """`form` about a fact, with articles put right."""
    said = fact.object if value is None else value
    if fact.text and f"the {fact.object}" not in fact.text:
        form = form.replace("the {o}", "{o}").replace("The {o}", "{o}")
    if said[:1].lower() in tuple("aeiou"):
        form = form.replace(" a {o}", " an {o}")
    words = {
        "s": fact.subject if subject is None else subject,
        "o": said,
        "p": predicate.replace("_", " "),
        "kind": kind or fact.kind or "pet",
    }
    text = form.format(**words)
    return text[:1].upper() + text[1:]


def _listed(words: Sequence[str]) -> str:
    unique = list(dict.fromkeys(words))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} and {unique[-1]}"


_MONTHS = tuple(calendar.month_name)[1:]


def _spoken(date: PartialDate) -> str:
    """The month (or year) of a date, as one says it."""
    return (
        str(date.earliest.year)
        if date.precision == "year"
        else f"{_MONTHS[date.earliest.month - 1]} {date.earliest.year}"
    )


def _dates(form: str, fact: TaughtFact) -> str:
    """`form` with {until} and {during} filled in; the other places stay."""
    assert fact.valid_to is not None
    until: datetime = fact.valid_to.earliest
    during = until.year - 1
    if fact.valid_from is not None and fact.valid_from.earliest.year > during:
        during = fact.valid_from.earliest.year
    return form.replace("{until}", _spoken(fact.valid_to)).replace("{during}", str(during))
