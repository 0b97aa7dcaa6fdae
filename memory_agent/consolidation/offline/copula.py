"""What "to be" and its like say: jobs, kin, ages, tastes, states of health, origins, favourites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .classes import fits, is_occupation, is_person
from .drafts import Draft
from .frames import conjuncts
from .lexicon import table, words
from .people import Ref, kin_group, name_phrase
from .phrases import forms, is_name, is_place, kin_of, listed, noun_phrase, verb_phrase
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
_AGE = re.compile(r"^\d{1,3}$")
_UNITS = {"year", "month", "week"}
_EVENTFUL = {"dentist", "doctor", "interview", "exam", "appointment", "flight", "train", "deadline", "due", "surgery", "operation", "defence", "defense",
             "viewing", "delivery", "vet", "physio", "recital", "kickoff", "standup", "review"}  # fmt: skip


def apply(clause: Clause) -> Iterator[Draft]:
    """Every fact that the clause states by a complement."""
    frame = clause.frame
    if frame.lemma in ("name", "call") and frame.object is not None and not frame.passive:
        yield from _christened(clause)
    if frame.lemma not in COPULAS and not frame.passive:
        return
    if clause.status.kind in ("goal", "duty", "none"):
        return
    yield from _favourite(clause)
    yield from _goal(clause)
    yield from _name_given(clause)
    yield from _birthday(clause)
    yield from _scheduled(clause)
    if clause.subject is None:
        return
    if frame.passive and frame.verb.pos_ == "VERB" and clause.status.kind == "actual":
        yield from _word(clause, frame.verb)
        yield from _called(clause)
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
        yield from _located(clause)


def _christened(clause: Clause) -> Iterator[Draft]:
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


def _goal(clause: Clause) -> Iterator[Draft]:
    """ "My dream is to open a bakery"."""
    frame = clause.frame
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


def _called(clause: Clause) -> Iterator[Draft]:
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
        clause.discourse.note(Ref(written, "person", subject.gender, relation=subject.relation))
    else:
        yield clause.draft("has_name", written, rule="copula:name")


def _polarity(clause: Clause) -> str:
    return "-" if clause.status.negated else "+"


def _say(clause: Clause, predicate: str, text: str, **more: object) -> Iterator[Draft]:
    past = clause.frame.tense == "past" and clause.frame.lemma == "be" and clause.since is None
    polarity = "-" if clause.status.negated else "+"
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
        if (clause.point is None and not clause.status.ended) or predicate in ("has_age",):
            return
        polarity = "-"
    yield clause.draft(predicate, text, polarity=polarity, rule="copula", **more)  # type: ignore[arg-type]


def _text(clause: Clause, token: Token, *, deep: bool = True) -> str:
    return clause.frame.sentence.written(noun_phrase(token, clause.dates, deep=deep))


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
            yield from _say(clause, "allergic_to", _text(clause, each))
    elif low in table("statuses"):
        yield from _married(clause, token, table("statuses")[low])
    elif low in words("diets"):
        yield from _say(clause, "diet", low)
    elif low in words("genders"):
        yield from _say(clause, "pronouns", low)
    elif low in words("nationalities"):
        half = next((c.text for c in token.lefts if c.text.lower() in ("half", "part")), "")
        yield from _say(clause, "nationality", token.text if not half else token.text)
    elif low in words("religions"):
        yield from _say(clause, "religion", token.text)
    elif any(f in words("conditions") for f in forms(token)) and low not in (
        "blind",
        "sick",
        "ill",
        "depressed",
        "deaf",
        "expecting",
    ):
        yield from _say(clause, "health_condition", _text(clause, token, deep=False))
    elif low in ("born", "raised") and clause.frame.verb != token:
        for each in _arguments(clause, token, "in"):
            if is_place(each):
                yield from _say(clause, "from", _text(clause, each))
    elif any(f in words("qualities") for f in forms(token)):
        yield from _say(clause, "attribute", _text(clause, token, deep=False))
    elif low in _LIKING:
        for each in _arguments(clause, token, "of", "about", "on", "with", "by", "to", "into"):
            if each.pos_ != "PRON" and not fits(each, "generic|abstract|vague|addressee", clause.frame.sentence):
                yield from _say(
                    clause, "likes", _text(clause, each) if each.pos_ != "VERB" else entity_text(each, clause)
                )
    elif low in _FEARING:
        for each in _arguments(clause, token, "of", "up with"):
            if each.pos_ in ("NOUN", "PROPN"):
                yield from _say(clause, "dislikes", _text(clause, each))
    elif low in ("fluent", "proficient", "conversational"):
        for each in _arguments(clause, token, "in"):
            if fits(each, "language", clause.frame.sentence):
                yield from _say(clause, "speaks", _text(clause, each))
    elif low in ("good", "great", "skilled", "decent", "terrible", "bad", "talented", "amazing", "excellent", "pretty"):
        for each in _arguments(clause, token, "at"):
            if each.pos_ != "PRON" and not fits(each, "generic", clause.frame.sentence) and clause.subject is not None:
                bad = low in ("terrible", "bad")
                yield clause.draft(
                    "has_skill",
                    _text(clause, each),
                    polarity="-" if bad != clause.status.negated else "+",
                    rule="copula",
                )
    elif low == "old" or low == "aged":
        for number in (c for c in token.subtree if _AGE.match(c.text) or c.like_num):
            yield from _say(clause, "has_age", number.text)


def _married(clause: Clause, token: Token, status: str) -> Iterator[Draft]:
    predicate = {"married": "spouse", "engaged": "engaged_to"}.get(status)
    partners = [t for t in _arguments(clause, token, "to") if is_person(t)]
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
        if subject.type in ("person", "animal") and (
            token.head.lemma_ in ("be", "turn") and (not unit or "old" in rights)
        ):
            if not any(
                c.dep_ in ("nsubj",) and c.text.lower() in ("it", "that", "this") for c in clause.frame.verb.children
            ) and not is_time(token):
                yield from _say(clause, "has_age", number.text if unit in ("", "year") else _text(clause, token))
        return
    kin, name = kin_group(token)
    if kin is not None:
        yield from _is_kin(clause, kin, name)
        return
    if listed(token, "animal") and subject.type != "organisation" and subject.name != clause.discourse.speaker:
        yield clause.draft(
            "species", _text(clause, token, deep=False), rule="copula", subject=Ref(subject.name, "animal")
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
        yield from _say(clause, "attribute", _text(clause, token, deep=False))
    elif any(f in words("genders") for f in forms(token)):
        yield from _say(clause, "pronouns", _text(clause, token, deep=False))
    elif is_name(token) and subject.relation is not None and not subject.named and not is_place(token):
        written = name_phrase(token, sentence)
        yield clause.draft(
            subject.relation[1],
            written,
            rule="copula:name",
            subject=Ref(subject.relation[0]),
            aliases=[(subject.name, written)],
        )


def is_time(token: Token) -> bool:
    after = token.doc[token.i + 1].text.lower() if token.i + 1 < len(token.doc) else ""
    return after in ("am", "pm", "o'clock", "%", ":", "°") or ":" in token.text


def _name_given(clause: Clause) -> Iterator[Draft]:
    """ "Her name is Pixie": the one last spoken of, or asked about, gets a name."""
    frame, here = clause.frame, clause.discourse
    subject = next((c for c in frame.verb.children if c.dep_ == "nsubj"), None)
    if frame.lemma != "be" or subject is None or subject.lemma_.lower() != "name" or frame.complement is None:
        return
    owner = next((c.text.lower() for c in subject.children if c.dep_ == "poss"), "")
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


def _asked_about(question: str) -> str:
    """What a question about names was about: has_pet, child, or nothing we know."""
    if re.search(r"\b(?:baby|kids?|child|children|son|daughter|little one)\b", question, re.I):
        return "child"
    return (
        "has_pet"
        if re.search(r"\b(?:pets?|dogs?|cats?|pup\w*|kitt\w+|furry|animals?|bunny|bird)\b", question, re.I)
        else ""
    )


def _is_kin(clause: Clause, kin: Token, name: Token | None) -> Iterator[Draft]:
    """ "Ana is my sister"; "my manager is Ivo" comes by the other branch."""
    owner = clause.resolver.owner_of(kin)
    subject = clause.subject
    found = kin_of(kin)
    if found is None or subject is None:
        return
    if owner is not None and owner.name != subject.name:
        yield clause.draft(found[0], subject.name, rule="copula:kin", polarity=_polarity(clause), subject=owner)  # type: ignore[arg-type]
    elif owner is None and is_occupation(kin) and subject.type == "person":
        yield from _occupation(clause, kin)


def _occupation(clause: Clause, token: Token) -> Iterator[Draft]:
    text = _text(clause, token, deep=False)
    preps = [(c.text.lower(), o) for c in token.children if c.dep_ == "prep" for o in c.children if o.dep_ == "pobj"]
    of = [c for c in token.children if c.dep_ == "prep" and c.text.lower() == "of"]
    if of:
        text = _text(clause, token)
    yield from _say(clause, "occupation", text)
    for word, place in preps + [(w, t) for w, t in clause.frame.preps if w in ("at", "for", "with")]:
        if (
            word in ("at", "for", "with", "in")
            and fits(place, "org|workplace|school", clause.frame.sentence)
            and not is_place(place)
        ):
            for draft in _say(clause, "works_at", _text(clause, place).split(" in ")[0]):
                yield draft
                yield from located(clause, draft, place)


def _noun_of(clause: Clause, token: Token) -> Iterator[Draft]:
    low, sentence = token.lemma_.lower(), clause.frame.sentence
    if low in ("member", "part"):
        for each in _arguments(clause, token, "of"):
            if not fits(each, "generic|pronoun|abstract", sentence):
                organised = clause.subject is not None and clause.subject.type == "organisation"
                yield from _say(clause, "part_of" if organised else "member_of", _text(clause, each))
    elif low in ("fan", "supporter", "lover", "enthusiast"):
        named = [c for c in token.lefts if c.dep_ in ("compound",)]
        for each in _arguments(clause, token, "of") or named:
            if each.pos_ != "PRON" and not fits(each, "generic", sentence):
                yield from _say(clause, "likes", _text(clause, each))
    elif low == "student":
        subjects = [c for c in token.lefts if c.dep_ == "compound" and listed(c, "subject")]
        for each in [*subjects, *_arguments(clause, token, "of")]:
            yield from _say(clause, "studies", _text(clause, each))
        for each in _arguments(clause, token, "at"):
            yield from _say(clause, "studies_at", _text(clause, each))
        if not subjects:
            yield from _say(clause, "occupation", _text(clause, token, deep=False))
    elif low == "volunteer":
        for each in _arguments(clause, token, "at", "with", "for"):
            yield from _say(clause, "volunteers_at", _text(clause, each))
    elif low in ("citizen", "native", "speaker"):
        for each in (c for c in token.lefts if c.text.lower() in words("nationalities") | words("languages")):
            yield from _say(clause, "speaks" if low == "speaker" else "nationality", each.text)


def _located(clause: Clause) -> Iterator[Draft]:
    """ "I'm from Porto", "the office is in Ghent", "I'm in a band", "I'm on insulin", "I'm at Siemens now"."""
    subject, sentence = clause.subject, clause.frame.sentence
    if subject is None:
        return
    for word, token in clause.frame.preps:
        if word == "from" and (is_place(token) or is_name(token)) and subject.type in ("person", "organisation"):
            if not fits(token, "time|event", sentence):
                yield from _say(clause, "from", _text(clause, token))
        elif (
            word == "in"
            and subject.type == "person"
            and clause.frame.tense == "present"
            and is_place(token)
            and not subject.plural
            and _settled(clause)
        ):
            yield from _say(clause, "lives_in", _text(clause, token))
        elif word == "in" and subject.type == "organisation" and (is_place(token) or is_name(token)):
            yield from _say(clause, "located_in", _text(clause, token))
        elif (
            word in ("in", "on") and fits(token, "group", sentence) and subject.type == "person" and not subject.plural
        ):
            yield from _say(clause, "member_of", _text(clause, token))
        elif word == "on" and fits(token, "med", sentence):
            yield from _say(clause, "takes_medication", _text(clause, token))
        elif word == "on" and fits(token, "diet", sentence):
            yield from _say(clause, "diet", _text(clause, token))
        elif word == "into" and token.pos_ != "PRON" and not fits(token, "generic|abstract|person", sentence):
            yield from _say(clause, "likes", entity_text(token, clause))
        elif word in ("to", "to the") and clause.frame.tense == "perfect" and (is_place(token) or is_name(token)):
            yield from _say(clause, "visited", _text(clause, token))
        elif (
            word == "at"
            and clause.frame.tense in ("present",)
            and fits(token, "org", sentence)
            and "still" in clause.frame.verb.doc.text.lower()
        ):
            yield from _say(clause, "works_at", _text(clause, token))


def _settled(clause: Clause) -> bool:
    """ "Is still in Utrecht", "is based in Ghent": a stay that is a home."""
    near = clause.frame.verb.doc[max(0, clause.frame.verb.i - 4) : clause.frame.verb.i + 4]
    return any(t.text.lower() in ("still", "based", "now") for t in near) and clause.point is None


def _favourite(clause: Clause) -> Iterator[Draft]:
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
        if owner is None or other.pos_ in ("PRON", "ADJ", "DET"):
            continue
        for each in conjuncts(other):
            if each.pos_ in ("NOUN", "PROPN", "VERB", "NUM", "X"):
                yield clause.draft(
                    "favourite", entity_text(each, clause), polarity=_polarity(clause), rule="favourite", subject=owner
                )  # type: ignore[arg-type]
        return


def _birthday(clause: Clause) -> Iterator[Draft]:
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


def _scheduled(clause: Clause) -> Iterator[Draft]:
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
    if not clause.ahead or clause.frame.tense == "past":
        return
    if subject.lemma_.lower() in _EVENTFUL or fits(subject, "event|trip", clause.frame.sentence):
        owner = clause.resolver.owner_of(subject) or Ref(clause.discourse.speaker)
        if owner.type == "person":
            yield clause.draft("plans", _text(clause, subject), modality="planned", rule="scheduled", subject=owner)
