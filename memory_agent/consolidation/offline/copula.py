"""What "to be" and its like say: jobs, kin, ages, tastes, states of health, origins, favourites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memory_agent.records import Polarity

from . import naming, whereabouts
from .classes import fits, is_occupation, is_person
from .drafts import Draft
from .frames import conjuncts
from .lexicon import pattern, table, words
from .naming import polarity, text_of
from .people import Ref, kin_group, name_phrase
from .phrases import forms, is_name, is_place, kin_of, listed
from .rules import Clause, entity_text, located

if TYPE_CHECKING:
    from spacy.tokens import Token

COPULAS = {"be", "become", "turn", "get", "feel", "remain", "stay", "go", "look", "identify", "keep", "have"}
_LIKING = {
    "into",
    "fond",
    "keen",
    "fan",
    "obsessed",
    "crazy",
    "mad",
    "passionate",
    "addicted",
    "hooked",
    "enthusiast",
    "lover",
    "sucker",
    "partial",
}
_FEARING = {"scared", "afraid", "terrified", "frightened", "phobic", "sick", "tired", "fed", "bored"}
_GRADES = {
    "good",
    "decent",
    "great",
    "terrible",
    "bad",
    "mean",
    "fair",
    "passable",
    "keen",
    "big",
    "horrible",
    "better",
}
_ABLE = {
    "good",
    "great",
    "skilled",
    "decent",
    "talented",
    "amazing",
    "excellent",
    "pretty",
    "brilliant",
    "handy",
    "ace",
}
_UNABLE = {"terrible", "bad", "hopeless", "useless", "rubbish", "awful", "lousy", "dreadful", "crap"}
_AGE = re.compile(r"^\d{1,3}$")
_UNITS = {"year", "month", "week"}


_BIRTHDAY_WEEK = 14
"""Days."""

_OLDEST = 130
"""Years; a greater number is no age."""


def apply(clause: Clause) -> Iterator[Draft]:
    """Every fact that the clause states by a complement."""
    frame = clause.frame
    if frame.lemma in ("name", "call") and frame.object is not None and not frame.passive:
        yield from naming.christened(clause)
    if frame.lemma not in COPULAS and not frame.passive:
        return
    if clause.status.kind in ("goal", "duty", "none"):
        return
    yield from naming.favourite(clause)
    yield from naming.aim(clause)
    yield from naming.name_given(clause)
    yield from naming.birthday(clause)
    yield from naming.scheduled(clause)
    yield from _diagnosed(clause)
    yield from _seen(clause)
    if clause.subject is None:
        if frame.lemma == "be" and frame.complement is None:
            yield from whereabouts.located(clause)
        return
    marrying = clause.status.kind == "planned" and frame.lemma == "marry"
    if frame.passive and frame.verb.pos_ == "VERB" and (clause.status.kind == "actual" or marrying):
        yield from _word(clause, frame.verb)
        yield from naming.called(clause)
    if frame.lemma not in COPULAS - {"have"}:
        return
    if (
        frame.lemma == "turn"
        and frame.object is not None
        and frame.object.like_num
        and clause.subject.type != "organisation"
    ):
        yield from _say(clause, "has_age", frame.object.text)
    for complement in conjuncts(frame.complement) if frame.complement is not None else []:
        yield from _complement(clause, complement)
    if frame.lemma == "be" and frame.complement is None:
        yield from whereabouts.located(clause)


def _diagnosed(clause: Clause) -> Iterator[Draft]:
    """ "The doctor says it's tendonitis": what an "it" is that a doctor speaks of, the speaker has."""
    frame = clause.frame
    it = frame.subject is not None and frame.subject.text.lower() in ("it", "that")
    if not it or frame.lemma != "be" or frame.complement is None or frame.tense != "present":
        return
    if not pattern("doctor_said", re.I).search(frame.sentence.doc.text[: frame.verb.idx]):
        return
    for each in conjuncts(frame.complement):
        if any(form in words("conditions") or form in words("condition_nouns") for form in forms(each)):
            what, who = text_of(clause, each, deep=False), Ref(clause.discourse.speaker)
            yield from _say(clause, "health_condition", what, subject=who)


def _seen(clause: Clause) -> Iterator[Draft]:
    """ "Tenby was gorgeous": who says what a place was like has been there."""
    frame, place = clause.frame, clause.frame.subject
    if place is None or not is_place(place) or not is_name(place) or frame.lemma != "be" or frame.tense != "past":
        return
    praised = frame.complement is not None and frame.complement.text.lower() in words("seen_as")
    if praised and clause.status.kind == "actual" and not clause.status.negated:
        what = text_of(clause, place, deep=False)
        yield clause.draft("visited", what, rule="copula", subject=Ref(clause.discourse.speaker))


def _say(clause: Clause, predicate: str, text: str, **more: Any) -> Iterator[Draft]:
    past = clause.frame.tense == "past" and clause.frame.lemma == "be" and clause.since is None
    polarity: Polarity = "-" if clause.status.negated else "+"
    if past and predicate in (
        "occupation",
        "works_at",
        "diet",
        "relationship_status",
        "has_age",
        "member_of",
        "attribute",
        "has_skill",
        "studies",
    ):
        former = predicate == "occupation" and not clause.status.negated
        if predicate == "has_age":
            if not _birthday_just_now(clause):
                return
        elif clause.point is None and not clause.status.ended and not former:
            return
        else:
            polarity = "-"
    yield clause.draft(predicate, text, polarity=polarity, rule="copula", **more)


def _birthday_just_now(clause: Clause) -> bool:
    """ "Gran was 90 yesterday": an age of the last few days is still the age."""
    return clause.point is not None and (clause.said - clause.point.latest.date()).days <= _BIRTHDAY_WEEK


def _preps_of(token: Token, *names: str) -> list[Token]:
    return [
        each for c in token.children if c.dep_ == "prep" and c.text.lower() in names
        for o in c.children if o.dep_ in ("pobj", "pcomp") for each in conjuncts(o)
    ]  # fmt: skip


def _arguments(clause: Clause, token: Token, *names: str) -> list[Token]:
    found = _preps_of(token, *names)
    return found or [t for word, t in clause.frame.preps if word in names]


def _word(clause: Clause, token: Token) -> Iterator[Draft]:
    """Adjectives and participles of state."""
    low = token.text.lower()
    if low in ("half", "part") and token.pos_ != "VERB":
        return
    if low == "allergic" or low == "intolerant":
        objects = _arguments(clause, token, "to", "of")
        if low == "intolerant" and not objects:
            objects = [
                c
                for c in token.lefts
                if c.dep_ in ("npadvmod", "compound", "amod", "advmod", "nmod") and c.pos_ != "ADV"
            ]
        for each in objects:
            yield from _say(clause, "allergic_to", text_of(clause, each))
    elif low in table("statuses"):
        yield from _married(clause, token, table("statuses")[low])
    elif low in words("diets"):
        yield from _say(clause, "diet", low)
    elif low in words("genders"):
        yield from _say(clause, "pronouns", low)
    elif low in words("nationalities"):
        yield from _say(clause, "nationality", token.text)
    elif low in words("religions"):
        yield from _say(clause, "religion", token.text)
    elif any(f in words("conditions") for f in forms(token)) and not _figurative(clause, low):
        yield from _say(clause, "health_condition", text_of(clause, token, deep=False))
    elif low in ("born", "raised") and clause.frame.verb != token:
        for each in _arguments(clause, token, "in"):
            if is_place(each):
                yield from _say(clause, "from", text_of(clause, each))
    elif any(f in words("qualities") for f in forms(token)):
        yield from _say(clause, "attribute", text_of(clause, token, deep=False))
    elif low in _LIKING:
        for each in _arguments(clause, token, "of", "about", "on", "with", "by", "to", "into"):
            if each.pos_ != "PRON" and not fits(each, "generic|abstract|vague|addressee", clause.frame.sentence):
                yield from _say(
                    clause, "likes", text_of(clause, each) if each.pos_ != "VERB" else entity_text(each, clause)
                )
    elif low in _FEARING:
        for each in _arguments(clause, token, "of", "up with"):
            if each.pos_ in ("NOUN", "PROPN"):
                yield from _say(clause, "dislikes", text_of(clause, each))
    elif low in ("fluent", "proficient", "conversational"):
        for each in _arguments(clause, token, "in"):
            if fits(each, "language", clause.frame.sentence):
                yield from _say(clause, "speaks", text_of(clause, each))
    elif low in _ABLE or low in _UNABLE:
        for each in _arguments(clause, token, "at"):
            if each.pos_ != "PRON" and not fits(each, "generic", clause.frame.sentence) and clause.subject is not None:
                bad = low in _UNABLE
                yield clause.draft(
                    "has_skill",
                    text_of(clause, each),
                    polarity="-" if bad != clause.status.negated else "+",
                    rule="copula",
                )
    elif low == "old" or low == "aged":
        for number in (c for c in token.subtree if _AGE.match(c.text) or c.like_num):
            yield from _say(clause, "has_age", number.text)


def _figurative(clause: Clause, word: str) -> bool:
    """ "I'm sick of it", "I'm blind": words of illness that the speaker seldom means; said of others they are meant."""
    own = clause.subject is not None and clause.subject.name == clause.discourse.speaker
    fell = clause.frame.lemma in ("get", "fall", "become") and clause.frame.tense in ("past", "perfect")
    if word in ("sick", "ill"):
        return not fell or bool(_arguments(clause, clause.frame.complement or clause.frame.verb, "of"))
    return word in ("depressed", "expecting") or (own and word in ("blind", "deaf"))


def _married(clause: Clause, token: Token, status: str) -> Iterator[Draft]:
    if clause.modality != "actual" and status == "married":
        yield clause.draft("plans", "getting married", rule="copula")
        return
    predicate = {"married": "spouse", "engaged": "engaged_to"}.get(status)
    partners = [t for t in _arguments(clause, token, "to") if is_person(t)]
    if not partners and clause.frame.subject is not None:  # "me and Jonah got hitched"
        joined = conjuncts(clause.frame.subject)
        mine = any(t.text.lower() in ("i", "me") for t in joined)
        partners = [t for t in joined if is_name(t) and (mine or t != clause.frame.subject)]
    if predicate and partners:
        for each in partners:
            yield from _say(clause, predicate, entity_text(each, clause))
    elif not (clause.frame.passive and clause.frame.verb == token):
        yield from _say(clause, "relationship_status", status)


def _complement(clause: Clause, token: Token) -> Iterator[Draft]:
    """One complement of a copula."""
    sentence, subject = clause.frame.sentence, clause.subject
    if subject is None:
        return
    if token.pos_ in ("ADJ", "VERB", "ADV", "ADP") or token.text.lower() in words("diets") | words(
        "nationalities"
    ) | words("religions"):
        yield from _word(clause, token)
        if token.pos_ != "NOUN" or token.text.lower() in words("diets") | words("nationalities") | words("religions"):
            return
    number = (
        token
        if token.like_num and token.text.lower() != "one"
        else next((c for c in token.lefts if c.dep_ == "nummod" and token.lemma_ in _UNITS), None)
    )
    if number is not None:
        unit = token.lemma_ if token != number else ""
        rights = [t.text.lower() for t in token.rights] + [t.text.lower() for t in token.doc[token.i : token.i + 3]]
        if (
            subject.type in ("person", "animal")
            and (token.head.lemma_ in ("be", "turn") and (not unit or "old" in rights))
            and not any(
                c.dep_ in ("nsubj",) and c.text.lower() in ("it", "that", "this") for c in clause.frame.verb.children
            )
            and not is_time(token)
            and not _preps_of(token, "of")
            and not (number.text.isdigit() and int(number.text) > _OLDEST)
        ):
            yield from _say(clause, "has_age", number.text if unit in ("", "year") else text_of(clause, token))
        return
    kin, name = kin_group(token)
    if kin is not None:
        yield from _is_kin(clause, kin, name)
        return
    if listed(token, "animal") and subject.type != "organisation" and subject.name != clause.discourse.speaker:
        yield clause.draft(
            "species", text_of(clause, token, deep=False), rule="copula", subject=Ref(subject.name, "animal")
        )
        return
    owner = clause.resolver.owner_of(token)
    if is_occupation(token) and subject.type == "person" and owner is None:
        if token.lemma_.lower() in words("skill_jobs") and any(c.text.lower() in _GRADES for c in token.lefts):
            return
        yield from _occupation(clause, token)
    elif token.lemma_.lower() in (
        "member",
        "part",
        "fan",
        "supporter",
        "lover",
        "enthusiast",
        "student",
        "graduate",
        "citizen",
        "native",
        "speaker",
        "volunteer",
    ):
        yield from _noun_of(clause, token)
    elif any(f in table("statuses") for f in forms(token)):
        yield from _say(
            clause, "relationship_status", table("statuses")[next(f for f in forms(token) if f in table("statuses"))]
        )
    elif any(f in words("qualities") for f in forms(token)):
        yield from _say(clause, "attribute", text_of(clause, token, deep=False))
    elif any(f in words("genders") for f in forms(token)):
        yield from _say(clause, "pronouns", text_of(clause, token, deep=False))
    elif (
        is_name(token)
        and subject.relation is not None
        and not subject.named
        and not is_place(token)
        and not any(c.dep_ == "det" for c in token.children)
    ):
        written = name_phrase(token, sentence)
        yield clause.draft(
            subject.relation[1],
            written,
            rule="copula:name",
            subject=Ref(subject.relation[0]),
            aliases=[(subject.name, written)],
        )


def is_time(token: Token) -> bool:
    """Whether a number is a time of day or a measure, not an age."""
    after = token.doc[token.i + 1].text.lower() if token.i + 1 < len(token.doc) else ""
    return after in ("am", "pm", "o'clock", "%", ":", "°") or ":" in token.text


def _is_kin(clause: Clause, kin: Token, name: Token | None) -> Iterator[Draft]:
    """ "Ana is my sister"; "my manager is Ivo" comes by the other branch."""
    owner = clause.resolver.owner_of(kin)
    subject = clause.subject
    found = kin_of(kin)
    if found is None or subject is None:
        return
    if owner is not None and owner.name != subject.name:
        if not subject.named and subject.plural:
            return  # "They're my little buddies" may be said of turtles
        yield clause.draft(found[0], subject.name, rule="copula:kin", polarity=polarity(clause), subject=owner)
    elif owner is None and found[0] == "parent" and subject.type == "person":
        for each in _preps_of(kin, "of", "to"):
            if fits(each, "kin:child|given", clause.frame.sentence):
                yield clause.draft("child", text_of(clause, each), rule="copula:kin")
    elif owner is None and is_occupation(kin) and subject.type == "person":
        yield from _occupation(clause, kin)


def _occupation(clause: Clause, token: Token) -> Iterator[Draft]:
    text = text_of(clause, token, deep=False)
    preps = [(c.text.lower(), o) for c in token.children if c.dep_ == "prep" for o in c.children if o.dep_ == "pobj"]
    of = [c for c in token.children if c.dep_ == "prep" and c.text.lower() == "of"]
    if of:
        text = text_of(clause, token)
    yield from _say(clause, "occupation", text)
    for word, place in preps + [(w, t) for w, t in clause.frame.preps if w in ("at", "for", "with")]:
        if (
            word in ("at", "for", "with", "in")
            and fits(place, "org|workplace|school", clause.frame.sentence)
            and not fits(place, "town", clause.frame.sentence)
        ):
            for draft in _say(clause, "works_at", text_of(clause, place).split(" in ")[0]):
                yield draft
                yield from located(clause, draft, place)


def _noun_of(clause: Clause, token: Token) -> Iterator[Draft]:
    low, sentence = token.lemma_.lower(), clause.frame.sentence
    if low in ("member", "part"):
        for each in _arguments(clause, token, "of"):
            if not fits(each, "generic|pronoun|abstract", sentence):
                organised = clause.subject is not None and clause.subject.type == "organisation"
                yield from _say(clause, "part_of" if organised else "member_of", text_of(clause, each))
    elif low in ("fan", "supporter", "lover", "enthusiast"):
        named = [c for c in token.lefts if c.dep_ in ("compound",)]
        for each in _arguments(clause, token, "of") or named:
            if each.pos_ != "PRON" and not fits(each, "generic", sentence):
                yield from _say(clause, "likes", text_of(clause, each))
    elif low == "student":
        subjects = [c for c in token.lefts if c.dep_ == "compound" and listed(c, "subject")]
        for each in [*subjects, *_arguments(clause, token, "of")]:
            yield from _say(clause, "studies", text_of(clause, each))
        for each in _arguments(clause, token, "at"):
            yield from _say(clause, "studies_at", text_of(clause, each))
        if not subjects:
            yield from _say(clause, "occupation", text_of(clause, token, deep=False))
    elif low == "volunteer":
        for each in _arguments(clause, token, "at", "with", "for"):
            yield from _say(clause, "volunteers_at", text_of(clause, each))
    elif low in ("citizen", "native", "speaker"):
        for each in (c for c in token.lefts if c.text.lower() in words("nationalities") | words("languages")):
            yield from _say(clause, "speaks" if low == "speaker" else "nationality", each.text)
