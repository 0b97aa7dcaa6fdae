"""Names, favourites, birthdays, appointments and aims: the subject is a thing, its owner the one it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from memory_agent.records import Polarity

from .classes import fits
from .drafts import Draft
from .frames import conjuncts
from .lexicon import words
from .people import Ref, name_phrase
from .phrases import is_name, listed, noun_phrase, verb_phrase
from .rules import Clause, entity_text

if TYPE_CHECKING:
    from spacy.tokens import Token


_PART_OF_A_NAME = {"maiden", "last", "middle", "full", "first", "real", "family", "birth"}


def polarity(clause: Clause) -> Polarity:
    """The polarity the clause's standing gives it."""
    return "-" if clause.status.negated else "+"


def text_of(clause: Clause, token: Token, *, deep: bool = True) -> str:
    """The short phrase a noun heads, in the words of the text."""
    return clause.frame.sentence.written(noun_phrase(token, clause.dates, deep=deep))


def christened(clause: Clause) -> Iterator[Draft]:
    """ "We named her Clara": the one last spoken of gets a name."""
    frame, here = clause.frame, clause.discourse
    name = frame.complement
    if (
        name is None
        or not is_name(name)
        or frame.object is None
        or frame.object.text.lower() not in ("her", "him", "it", "them")
    ):
        return
    about = next((p for p in reversed(here.people) if not p.named and p.relation), None)
    if about is not None and about.relation is not None and clause.status.kind == "actual":
        written = name_phrase(name, frame.sentence)
        yield clause.draft(
            about.relation[1],
            written,
            rule="christened",
            subject=Ref(about.relation[0]),
            aliases=[(about.name, written)],
        )


def aim(clause: Clause) -> Iterator[Draft]:
    """ "My dream is to open a bakery"; what the aim was, it need not be any more."""
    frame = clause.frame
    if frame.tense == "past":
        return
    subject = next((c for c in frame.verb.children if c.dep_ == "nsubj"), None)
    if (
        frame.lemma != "be"
        or subject is None
        or subject.lemma_.lower() not in ("goal", "dream", "aim", "plan", "ambition", "resolution")
    ):
        return
    owner = clause.resolver.owner_of(subject)
    what = frame.infinitive or frame.clausal or frame.complement
    if owner is None or what is None or clause.status.negated:
        return
    predicate = "plans" if subject.lemma_.lower() == "plan" else "goal"
    tokens = verb_phrase(what, clause.dates) if what.pos_ == "VERB" else noun_phrase(what, clause.dates)
    text = frame.sentence.written(tokens)
    if text and what.pos_ in ("VERB", "NOUN", "PROPN"):
        yield clause.draft(
            predicate, text, modality="planned" if predicate == "plans" else "actual", rule="aim", subject=owner
        )


def called(clause: Clause) -> Iterator[Draft]:
    """ "My boss is called Petra"."""
    subject, named = clause.subject, clause.frame.complement
    if clause.frame.lemma not in ("call", "name") or subject is None or named is None or not is_name(named):
        return
    written = name_phrase(named, clause.frame.sentence)
    if subject.relation is not None and not subject.named:
        yield clause.draft(
            subject.relation[1],
            written,
            rule="copula:name",
            subject=Ref(subject.relation[0]),
            aliases=[(subject.name, written)],
        )
        animal = subject.relation[1] == "has_pet"
        clause.discourse.note(Ref(written, "animal" if animal else "person", subject.gender, relation=subject.relation))
        if animal and subject.relation[2] not in ("pet", "pets"):
            yield clause.draft("species", subject.relation[2], rule="copula:name", subject=Ref(written, "animal"))
    elif subject.type == "organisation" and clause.frame.subject is not None and listed(clause.frame.subject, "group"):
        owner = clause.resolver.owner_of(clause.frame.subject)
        if owner is not None:  # "our band's called Moth Parade"
            yield clause.draft("member_of", written, rule="copula:name", subject=owner)
    elif clause.frame.subject is None or clause.frame.subject.text.lower() not in ("we", "they"):
        yield clause.draft("has_name", written, rule="copula:name")


def name_given(clause: Clause) -> Iterator[Draft]:
    """ "Her name is Pixie": the one last spoken of, or asked about, gets a name."""
    frame, here = clause.frame, clause.discourse
    subject = next((c for c in frame.verb.children if c.dep_ == "nsubj"), None)
    if frame.lemma != "be" or subject is None or subject.lemma_.lower() != "name" or frame.complement is None:
        return
    holder_token = next((c for c in subject.children if c.dep_ == "poss"), None)
    if holder_token is not None and any(c.text.lower() in _PART_OF_A_NAME for c in subject.lefts):
        whose = clause.resolver.resolve(holder_token)
        if whose is not None and is_name(frame.complement):
            yield clause.draft("has_name", name_phrase(frame.complement, frame.sentence), rule="name", subject=whose)
        return
    if holder_token is not None and holder_token.pos_ == "NOUN":
        yield from _relation_named(clause, holder_token, frame.complement)
        return
    owner = holder_token.text.lower() if holder_token is not None else ""
    if owner not in ("his", "her", "its", "their"):
        return
    about = next((p for p in reversed(here.people) if not p.named and p.relation), None)
    for token in (t for t in conjuncts(frame.complement) if is_name(t)):
        written = name_phrase(token, frame.sentence)
        if about is not None and about.relation is not None:
            holder, predicate, word = about.relation
            yield clause.draft(predicate, written, rule="name", subject=Ref(holder), aliases=[(about.name, written)])
            here.people = [p for p in here.people if p.name != about.name]
            here.note(Ref(written, about.type, about.gender, relation=about.relation))
            if about.type == "animal" and word not in ("pet", "pets"):
                yield clause.draft(
                    "species",
                    word.removesuffix("s") if about.plural else word,
                    rule="name",
                    subject=Ref(written, "animal"),
                )
        elif predicate := _asked_about(here.question):
            yield clause.draft(predicate, written, rule="name", subject=Ref(here.speaker))
        elif owner != "its":  # who "he" is, is not known; what he is called, from here on is
            here.note(Ref(written, "person", {"his": "m", "her": "f"}.get(owner, "")))


def _relation_named(clause: Clause, holder: Token, complement: Token) -> Iterator[Draft]:
    """ "My girlfriend's name is Priya"."""
    ref = clause.resolver.resolve(holder)
    if ref is None or ref.relation is None or ref.named or not is_name(complement):
        return
    owner, predicate, _ = ref.relation
    written = name_phrase(complement, clause.frame.sentence)
    yield clause.draft(predicate, written, rule="name", subject=Ref(owner), aliases=[(ref.name, written)])
    clause.discourse.note(Ref(written, ref.type, ref.gender, relation=ref.relation))


def _asked_about(question: str) -> str:
    """What a question about names was about: has_pet, child, or nothing we know."""
    if re.search(r"\b(?:baby|kids?|child|children|son|daughter|little one)\b", question, re.I):
        return "child"
    return (
        "has_pet"
        if re.search(r"\b(?:pets?|dogs?|cats?|pup\w*|kitt\w+|furry|animals?|bunny|bird)\b", question, re.I)
        else ""
    )


def favourite(clause: Clause) -> Iterator[Draft]:
    """ "My favourite film is X", "X is my favourite (film)"."""
    frame = clause.frame
    subject = next((c for c in frame.verb.children if c.dep_ in ("nsubj", "csubj")), None)
    if subject is None or frame.complement is None or frame.lemma != "be":
        return
    for noun, other in ((subject, frame.complement), (frame.complement, subject)):
        liked = [
            t for t in [*noun.lefts, noun] if t.text.lower() in ("favourite", "favorite", "favourites", "favorites")
        ]
        if not liked:
            continue
        owner = clause.resolver.owner_of(noun)
        if owner is None or other.pos_ in ("PRON", "DET"):
            continue
        for each in conjuncts(other):
            if each.pos_ in ("NOUN", "PROPN", "VERB", "NUM", "X") or (each.pos_ == "ADJ" and not list(each.children)):
                yield clause.draft(
                    "favourite", entity_text(each, clause), polarity=polarity(clause), rule="favourite", subject=owner
                )
        return


def birthday(clause: Clause) -> Iterator[Draft]:
    """ "My birthday is on 12 May"."""
    subject = next((c for c in clause.frame.verb.children if c.dep_ == "nsubj"), None)
    if subject is None or subject.lemma_.lower() not in ("birthday", "birthdate") or not clause.dates:
        return
    owner = clause.resolver.owner_of(subject)
    first = clause.dates[0]
    if owner is not None:
        text = re.sub(r"^(?:on|in|the)\s+", "", re.sub(r"^(?:on|in)\s+", "", first.text, flags=re.I), flags=re.I).strip(
            " ."
        )
        if not re.search(r"\d", text):
            resolved = first.resolve(clause.said, "past" if clause.frame.tense == "past" else "future")
            text = str(resolved or "")
        if text:
            yield Draft(owner.name, "born_on", text, subject_type=owner.type, rule="birthday")


def scheduled(clause: Clause) -> Iterator[Draft]:
    """ "The dentist is on Tuesday": an event with a date ahead is a plan of the speaker's."""
    subject = next((c for c in clause.frame.verb.children if c.dep_ == "nsubj"), None)
    if (
        subject is None
        or clause.frame.lemma != "be"
        or clause.point is None
        or clause.status.kind == "none"
        or clause.status.negated
    ):
        return
    if (
        clause.frame.tense == "past"
        and clause.status.kind == "actual"
        and fits(subject, "event", clause.frame.sentence)
    ):
        yield from _attended(clause, subject)
        return
    if not clause.ahead or clause.frame.tense == "past":
        return
    due = clause.frame.complement
    if due is not None and due.text.lower() == "due":
        who = clause.resolver.resolve(subject, remember=False)
        mother = who is not None and who.type == "person"
        owner = who if mother else clause.resolver.owner_of(subject) or Ref(clause.discourse.speaker)
        what = "due" if mother else f"{text_of(clause, subject)} due"
        if owner is not None:
            yield clause.draft("plans", what, modality="planned", rule="scheduled", subject=owner)
        return
    if subject.lemma_.lower() in words("appointments") or fits(subject, "event|trip", clause.frame.sentence):
        owner = clause.resolver.owner_of(subject) or Ref(clause.discourse.speaker)
        if owner.type == "person":
            yield clause.draft("plans", text_of(clause, subject), modality="planned", rule="scheduled", subject=owner)


def _attended(clause: Clause, subject: Token) -> Iterator[Draft]:
    """ "The gig last night was unreal", "The triathlon was yesterday": the speaker was there."""
    owner = clause.resolver.owner_of(subject) or Ref(clause.discourse.speaker)
    known = any(c.dep_ in ("det", "poss") and c.text.lower() not in ("a", "an", "your") for c in subject.children)
    if known and owner.type == "person" and subject.lemma_.lower() not in words("appointments"):
        yield clause.draft("attended", text_of(clause, subject, deep=False), rule="scheduled", subject=owner)
