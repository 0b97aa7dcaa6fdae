"""The offline extractor: a parse and rules, no key and no language model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, timezone

from memory_agent.protocols import Proposal
from memory_agent.records import Episode

from . import alike, answers, copula, dates, general, languages, nominal, rules, surface, values
from .dates import Direction, Expression
from .drafts import OBJECT_TYPES, Draft
from .frames import Frame, conjuncts, frames
from .lexicon import data, pattern
from .parse import Sentence, parse
from .people import Discourse, Ref, Resolver
from .rules import Clause
from .status import Status, blocked, sarcastic, spreads, status_of

_ZONE = re.compile(r"([+-])(\d\d):?(\d\d)")
_CORRECTION = re.compile(r"\b(?:no wait|no,|wait|actually|i mean|sorry|correction|scratch that)\b", re.I)
_FILLER = pattern("date_filler", re.I)
_UNDATED = {
    "parent",
    "child",
    "sibling",
    "relative",
    "has_age",
    "species",
    "born_on",
    "from",
    "nickname",
    "has_name",
    "occupation",
    "knows",
}
_PLURAL_SKIP = {"they", "everyone", "everybody", "someone", "somebody", "people", "nobody"}


def local_day(episode: Episode) -> date:
    """The day on which the turn was said, in the speaker's own zone."""
    return _local(episode.at, episode.zone).date()


def _local(at: datetime, zone: str) -> datetime:
    found = _ZONE.fullmatch(zone)
    if not found:
        return at
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return at.astimezone(timezone(-offset if found[1] == "-" else offset))


class OfflineExtractor:
    """Reads claims out of turns by a spaCy parse and rules (`data/*.json`); the same turns give the same claims."""

    name = "offline-rules-1"

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """Proposals for `turns`; `context`, and the turns of an assistant, only resolve references.

        Raises MissingExtra without spaCy and ModelNotFound without a model package.
        """
        everything = [*context, *turns]
        if not everything:
            return []
        first = everything[0].speaker
        other = next((e.speaker for e in everything if e.speaker != first), None)
        discourse = Discourse(first, other)
        proposals: list[Proposal] = []
        for i, (episode, sentences) in enumerate(zip(everything, parse(e.content for e in everything), strict=True)):
            discourse.turn_to(episode.speaker)
            reader = TurnReader(episode, sentences, discourse)
            found = reader.read()
            discourse.question = episode.content if "?" in episode.content else ""
            if i >= len(context) and episode.role == "user":
                proposals += found
        return proposals


class TurnReader:
    """Reads one turn."""

    def __init__(self, episode: Episode, sentences: list[Sentence], discourse: Discourse) -> None:
        self.episode, self.sentences, self.discourse = episode, sentences, discourse
        self.said = local_day(episode)

    def read(self) -> list[Proposal]:
        """The turn's proposals, one of each kind, in order."""
        kept: dict[tuple[str, str, str], tuple[Draft, int, int]] = {}
        foreign = languages.language_of(self.episode.content)
        if foreign:
            for draft, start, end in languages.read(self.episode.content, foreign, self.discourse.speaker):
                kept.setdefault(draft.key, (draft, start, end))
            self.sentences = []
        fiction = False
        last: list[Draft] = []
        for position, sentence in enumerate(self.sentences):
            fiction = fiction or spreads(sentence)
            if fiction or blocked(sentence):
                self._mentions(sentence)
                continue
            start, end = sentence.span()
            if self._only_a_date(sentence, last):
                continue
            drafts = [*self._surface(sentence), *self._sentence(sentence)]
            if self.discourse.question and position < 2:
                drafts += self._answers(sentence, bool(drafts))
            for draft in drafts:
                kept.setdefault(draft.key, (draft, start, end))
            last = drafts or last
        if not fiction:
            for draft, start, end in values.read(self.episode.content, self.discourse.speaker):
                kept.setdefault(draft.key, (draft, start, end))
        for draft, _, _ in list(kept.values()):
            if draft.predicate == "species":
                self._one_pet(kept, draft)
        alike.thin(kept)
        alike.one_species(kept)
        alike.on_the_way(kept)
        alike.once_disliked(kept)
        for draft, _, _ in kept.values():
            if draft.polarity == "+":
                self.discourse.last[draft.subject, draft.predicate] = draft.object
        return [self._proposal(*each) for each in kept.values()]

    @staticmethod
    def _one_pet(kept: dict[tuple[str, str, str], tuple[Draft, int, int]], species: Draft) -> None:
        """A pet known by name is not said again as one of its species."""
        owners = {d.subject for d, _, _ in kept.values() if d.predicate == "has_pet" and d.object == species.subject}
        for key, (draft, _, _) in list(kept.items()):
            if draft.predicate == "has_pet" and draft.object == species.object and draft.subject in owners:
                del kept[key]

    def _only_a_date(self, sentence: Sentence, before: list[Draft]) -> bool:
        """A sentence that is only a date ("last Friday.", "no wait, Tuesday") dates what was said before it."""
        text = sentence.doc.text[sentence.lead :]
        found = dates.find(text)
        rest = _FILLER.sub(" ", "".join(c for i, c in enumerate(text) if not any(e.start <= i < e.end for e in found)))
        if not found or re.search(r"\w", rest) or not before:
            return False
        corrected = bool(_CORRECTION.search(text))
        for draft in before:
            resolved = found[-1].resolve(self.said, "past" if draft.modality == "actual" else "future")
            if draft.polarity == "-":
                draft.valid_to = resolved if corrected else draft.valid_to or resolved
            elif draft.predicate not in _UNDATED:
                draft.valid_from = resolved if corrected else draft.valid_from or resolved
        return True

    def _answers(self, sentence: Sentence, said: bool) -> Iterator[Draft]:
        """What the sentence says as the answer to the other speaker's question."""
        question, here = self.discourse.question, self.discourse
        apart = not said or answers.tacked_on(sentence)
        fragments = list(answers.read(sentence, question, here)) if apart else []
        yield from fragments
        said = said or bool(fragments)
        expressions = dates.find(sentence.doc.text)
        sign = answers.polarity(sentence.doc.text[sentence.lead :])
        claim = answers.statement(question)
        durations = [e for e in expressions if e.role in ("for", "since", "ago")] or _bare_duration(sentence)
        lasting = bool(durations) or bool(_SINCE_THEN.search(sentence.doc.text))
        if claim is not None and claim.endswith("@often."):
            frequency = _OFTEN.search(sentence.doc.text)
            if frequency:
                words_ = re.sub(r"^I | @often\.$", "", claim)
                yield Draft(here.speaker, "habit", f"{words_} {frequency[0].lower()}", rule="answer")
            return
        if claim is None or not (sign or (claim.startswith("I have") and "how long" in question.lower() and lasting)):
            return
        if "how long" in question.lower():
            sign = "+" if lasting else ""
            if not sign:
                return
        allowed = set(data("answers")["yes_predicates"].split("|"))
        for assumed in parse([claim])[0]:
            if sign == "+" and said:
                return
            for draft in self._sentence(assumed):
                if draft.predicate not in allowed or draft.subject != here.speaker:
                    continue
                if sign == "-":
                    draft.polarity = "-" if draft.polarity == "+" else "+"
                    draft.valid_from = None
                for each in durations:
                    if sign == "+":
                        draft.valid_from = draft.valid_from or each.resolve(self.said)
                draft.rule = "answer"
                yield draft

    def _surface(self, sentence: Sentence) -> Iterator[Draft]:
        text, segment = sentence.text, sentence.segment
        regular = sentence.doc.text
        found = dates.find(regular)
        resolver = Resolver(sentence, self.discourse)
        for draft, a, b, dated, whose in surface.read(
            regular, self.discourse.speaker, to_assistant=self.discourse.addressee == "assistant"
        ):
            if whose is not None and not self._about(draft, sentence, resolver, *whose):
                continue
            draft.object = draft.object or text.original(
                segment.start + max(0, a - sentence.lead), segment.start + b - sentence.lead
            )
            if dated and found:
                when = found[0].resolve(self.said, "past" if draft.modality == "actual" else "future")
                draft.valid_from, draft.valid_to = (None, when) if draft.polarity == "-" else (when, None)
            yield draft

    @staticmethod
    def _about(draft: Draft, sentence: Sentence, resolver: Resolver, start: int, end: int) -> bool:
        """Make the words at [start, end) the draft's subject; False when it cannot be told who they mean."""
        inside = [t for t in sentence.doc if start <= t.idx < end]
        ref = resolver.resolve(inside[-1]) if inside else None
        if ref is None or ref.type not in ("person", "animal", "organisation"):
            return False
        if ref.type == "organisation" and draft.predicate not in ("located_in", "part_of"):
            return False
        kept = draft.predicate == "species"
        draft.subject, draft.subject_type = ref.name, "animal" if kept else ref.type
        return True

    def _mentions(self, sentence: Sentence) -> None:
        for _, ref in Resolver(sentence, self.discourse).people_in():
            self.discourse.note(ref)

    def _sentence(self, sentence: Sentence) -> Iterator[Draft]:
        resolver = Resolver(sentence, self.discourse)
        expressions = dates.find(sentence.doc.text)
        found = frames(sentence)
        yield from nominal.apply(sentence, resolver, self.discourse)
        mocking = sarcastic(sentence.doc.text)
        for frame in found:
            clause = self._clause(frame, expressions, resolver, found)
            if clause.status.kind == "none" or (mocking and frame.lemma in ("be", "love")):
                continue
            drafts = [*rules.apply(clause), *copula.apply(clause)]
            yield from drafts
            yield from general.apply(clause, bool(drafts))

    def _clause(self, frame: Frame, expressions: list[Expression], resolver: Resolver, found: list[Frame]) -> Clause:
        own = [e for e in expressions if _governor(e, frame, found) in _chain(frame)]
        status = status_of(frame, any(self._ahead(e, frame) for e in own))
        direction = _direction(frame, status)
        point = since = until = None
        for each in own:
            resolved = each.resolve(self.said, "past" if each.role in ("since", "for", "ago") else direction)
            if each.role in ("since", "for"):
                since = since or resolved
            elif each.role == "until":
                until = until or resolved
            else:
                point = point or resolved
        ahead = point is not None and point.latest.date() > self.said and any(self._ahead(e, frame) for e in own)
        subject = Ref(self.discourse.speaker) if frame.dropped else None
        if frame.subject is not None and frame.subject.text.lower() not in _PLURAL_SKIP - {"they"}:
            joined = any(t.text.lower() in ("i", "me") for t in conjuncts(frame.subject))
            subject = Ref(self.discourse.speaker) if joined else resolver.resolve(frame.subject)
        return Clause(
            frame, subject, status, since, until, point, self.said, ahead, expressions, resolver, self.discourse
        )

    def _ahead(self, expression: Expression, frame: Frame) -> bool:
        if frame.tense in ("past", "perfect"):
            return False
        resolved = expression.resolve(self.said, "future")
        return (
            resolved is not None
            and expression.role in ("at", "until")
            and resolved.latest.date() > self.said
            and resolved.earliest.date() >= (self.said if resolved.precision == "day" else self.said.replace(day=1))
        )

    def _proposal(self, draft: Draft, start: int, end: int) -> Proposal:
        begins = draft.valid_from
        if begins is not None and draft.modality == "actual" and begins.earliest.date() > self.said:
            draft.valid_from = None  # "I run on Sunday mornings" is of no coming Sunday
        return Proposal(
            episode_id=self.episode.id,
            start=start,
            end=end,
            subject=draft.subject,
            predicate=draft.predicate,
            object=draft.object,
            polarity=draft.polarity,
            modality=draft.modality,
            valid_from=draft.valid_from,
            valid_to=draft.valid_to,
            confidence=draft.confidence,
            subject_type=draft.subject_type,
            object_type=OBJECT_TYPES.get(draft.predicate),
            aliases=tuple(draft.aliases),
        )


_SINCE_THEN = re.compile(
    r"\b(?:since I was|since (?:school|college|uni|childhood)|my whole life|all my life|forever)\b", re.I
)
_OFTEN = pattern("how_often", re.I)


def _bare_duration(sentence: Sentence) -> list[Expression]:
    """ "5 years already!" as the answer to "how long": a duration with no preposition."""
    text = sentence.doc.text
    found = pattern("duration", re.I).search(text)
    return dates.find(f"for {found[0]}") if found else []


def _chain(frame: Frame) -> set[int]:
    """The clauses whose dates are also this one's: itself, what it complements, what complements it."""
    chain = {frame.verb.i}
    current = frame
    while (
        current.parent is not None
        and current.verb.dep_ in ("xcomp", "pcomp", "ccomp")
        and current.verb.i > current.parent.verb.i
    ):
        current = current.parent
        chain.add(current.verb.i)
    for child in frame.verb.children:
        if child.dep_ in ("xcomp", "pcomp", "acomp", "attr") or (child.dep_ == "advcl" and child.tag_ == "VBG"):
            chain.add(child.i)
        if child.dep_ == "prep":
            chain |= {c.i for c in child.children if c.dep_ == "pcomp"}
    return chain


def _governor(expression: Expression, frame: Frame, found: list[Frame]) -> int:
    """The verb that a date expression hangs on."""
    verbs = {f.verb.i for f in found}
    inside = [t for t in frame.verb.doc if expression.start <= t.idx < expression.end]
    if not inside:
        return -1
    roots = [t for t in inside if t.head.i not in {x.i for x in inside}]
    token = roots[0] if roots else inside[0]
    while token.i not in verbs and token.head != token:
        token = token.head
    if token.i not in verbs:
        before = [i for i in verbs if i < inside[0].i]
        return max(before) if before else min(verbs, default=-1)
    return int(token.i)


def _direction(frame: Frame, status: Status) -> Direction:
    if status.kind in ("planned", "possible", "goal", "duty") or frame.tense == "future":
        return "future"
    if frame.lemma in ("book", "reserve", "schedule", "arrange"):  # "I booked a table for Friday"
        return "future"
    return "past" if frame.tense in ("past", "perfect") else "future"
