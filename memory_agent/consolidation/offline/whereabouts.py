"""What "to be" says with a place: a home, a job, a visit, an illness; and where things of the speaker's own are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from memory_agent.records import Polarity

from .classes import fits
from .drafts import Draft
from .lexicon import pattern
from .naming import polarity, text_of
from .people import Ref
from .phrases import is_name, is_place
from .rules import Clause, entity_text

if TYPE_CHECKING:
    from spacy.tokens import Token

_NEAR = ("in", "near", "outside", "around", "over in", "up in", "down in", "out in", "back in", "on")
_WORK = ("at", "with", "over at", "back at")


def located(clause: Clause) -> Iterator[Draft]:
    """ "I'm from Porto", "I've been in Leeds for six years", "I'm in a band", "I'm on insulin", "I was at Nokia"."""
    if clause.subject is None:
        yield from _own_place(clause)
        return
    for word, token in clause.frame.preps:
        draft = _being(clause, word, token) or _state(clause, word, token)
        if draft is not None:
            yield draft


def lasting(clause: Clause) -> bool:
    """Whether the clause tells of a stay: "for six years", "since I finished school"."""
    if clause.since is not None:
        return True
    verb = clause.frame.verb
    return any(
        (c.dep_ == "prep" and c.text.lower() == "since")
        or (c.dep_ == "advcl" and any(m.text.lower() == "since" for m in c.children))
        for c in verb.subtree
    ) or bool(pattern("stay", re.I).search(verb.doc.text))


def _said(clause: Clause, predicate: str, text: str, ended: bool = False) -> Draft:
    sign: Polarity = "-" if ended or clause.status.negated else "+"
    return clause.draft(predicate, text, polarity=sign, rule="copula")


def _being(clause: Clause, word: str, token: Token) -> Draft | None:
    """Where somebody is, was, or has been."""
    subject, sentence, tense = clause.subject, clause.frame.sentence, clause.frame.tense
    if subject is None or subject.type != "person" or subject.plural or token.pos_ == "PRON":
        return None
    known = is_place(token)
    place = (known or (is_name(token) and token.ent_type_ != "ORG")) and not fits(
        token, "time|event|group|given", sentence
    )
    stay = lasting(clause)
    if word in _NEAR and place:
        if known and (tense == "future" or (tense == "present" and clause.ahead)) and word in ("in", "on", "near"):
            return clause.draft("plans", text_of(clause, token), modality="planned", rule="copula")
        if tense == "perfect" and stay:
            return _said(clause, "lives_in", text_of(clause, token))
        if tense == "present" and known and (_settled(clause) or stay or " " in word):
            return _said(clause, "lives_in", text_of(clause, token))
        if tense == "past" and known and not clause.status.negated:
            if stay and clause.point is None:
                return clause.draft("previously_lived_in", text_of(clause, token), rule="copula")
            if clause.point is not None and word != "on":
                return clause.draft("visited", text_of(clause, token), rule="copula")
    if word in _WORK and token.pos_ in ("NOUN", "PROPN") and not fits(token, "home|time|person", sentence):
        return _at_work(clause, word, token, stay)
    return None


def _at_work(clause: Clause, word: str, token: Token, stay: bool) -> Draft | None:
    sentence, tense = clause.frame.sentence, clause.frame.tense
    firm = (fits(token, "org|workplace|school|company", sentence) or is_name(token)) and not fits(
        token, "town|event|time|given", sentence
    )
    if tense == "past" and word == "at" and fits(token, "event", sentence) and not clause.status.negated:
        return clause.draft("attended", text_of(clause, token), rule="copula")
    if not firm or clause.status.kind != "actual":
        return None
    text = text_of(clause, token).split(" in ")[0]
    settled = _settled(clause)
    if tense == "perfect" and stay:
        return _said(clause, "works_at", text)
    known_firm = is_name(token) and not is_place(token)
    others = clause.subject is not None and clause.subject.name != clause.discourse.speaker
    if tense == "present" and others and known_firm and token.ent_type_ == "ORG" and clause.point is None:
        return _said(clause, "works_at", text)  # "my husband's at Volvo"
    if tense == "present" and (known_firm or (settled and is_name(token))) and (settled or stay or word == "with"):
        return _said(clause, "works_at", text)
    if tense == "present" and not is_name(token) and word == "with" and fits(token, "workplace", sentence):
        return _said(clause, "works_at", text)
    if tense == "past" and stay and clause.point is None and not clause.status.negated:
        return clause.draft("previously_worked_at", text, rule="copula")
    return None


def _state(clause: Clause, word: str, token: Token) -> Draft | None:
    """What a preposition says of somebody beside where they are."""
    subject, sentence = clause.subject, clause.frame.sentence
    assert subject is not None
    text = text_of(clause, token)
    named = next((o for c in token.children if c.lemma_ in ("call", "name") for o in c.children if is_name(o)), None)
    if word == "from" and named is not None and subject.type == "person":
        return _said(clause, "from", text_of(clause, named))  # "from a tiny town called Ribe"
    if word == "from" and (is_place(token) or is_name(token)) and subject.type in ("person", "organisation"):
        return None if fits(token, "time|event", sentence) else _said(clause, "from", text)
    if word in ("in", "on") and subject.type == "organisation" and (is_place(token) or is_name(token)):
        return _said(clause, "located_in", text)
    if word in ("in", "on") and fits(token, "group", sentence) and subject.type == "person" and not subject.plural:
        ended = clause.frame.tense == "past"
        return _said(clause, "member_of", text, ended) if not ended or clause.status.ended else None
    if word == "in" and fits(token, "field", sentence) and token.text != "it" and clause.frame.tense == "present":
        return _said(clause, "occupation", text)
    if word == "on" and fits(token, "med", sentence):
        return _said(clause, "takes_medication", text)
    if word == "off" and fits(token, "food", sentence) and clause.frame.tense != "past":
        return clause.draft("diet", text, polarity="-", rule="copula")
    if word == "on" and fits(token, "diet", sentence):
        return _said(clause, "diet", text)
    if word == "into" and any(c.dep_ == "dobj" and c.pos_ == "PRON" for c in token.children):
        return None  # "into making this"
    if word == "into" and token.pos_ != "PRON" and not fits(token, "generic|abstract|person", sentence):
        return _said(clause, "likes", entity_text(token, clause))
    if word in ("to", "to the") and clause.frame.tense == "perfect" and (is_place(token) or is_name(token)):
        return _said(clause, "visited", text)
    return None


def _own_place(clause: Clause) -> Iterator[Draft]:
    """ "Our new place is in Tilburg": where somebody's home is, they live."""
    subject = clause.frame.subject
    if (
        subject is None
        or not (subject.text.lower() in ("place", "home") or fits(subject, "dwelling", clause.frame.sentence))
        or clause.frame.tense != "present"
    ):
        return
    owner = clause.resolver.owner_of(subject)
    if owner is None and subject.text.lower() == "home":
        owner = Ref(clause.discourse.speaker)
    if owner is None or owner.type != "person" or any(c.text.lower() in ("holiday", "old") for c in subject.lefts):
        return
    for word, token in clause.frame.preps:
        if word in _NEAR and (is_place(token) or is_name(token)):
            yield clause.draft(
                "lives_in", text_of(clause, token), polarity=polarity(clause), rule="copula", subject=owner
            )


def _near(clause: Clause) -> set[str]:
    at = clause.frame.verb.i
    return {t.text.lower() for t in clause.frame.verb.doc[max(0, at - 4) : at + 5]}


def _settled(clause: Clause) -> bool:
    """ "Is still in Utrecht", "is based in Ghent", "I'm at Ikea now": a stay that is a home or a job."""
    text = clause.frame.verb.doc.text.lower()
    marked = bool(_near(clause) & {"still", "based", "over"}) or bool(
        re.search(r"\b(?:now|these days|nowadays)\b", text)
    )
    return marked and clause.point is None
