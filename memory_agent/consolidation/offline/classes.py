"""What class a noun is of, as the rules ask it: "person", "kin:sibling", "place", "proper", "bare:school" ..."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lexicon import words
from .people import FIRST, kin_group, name_below
from .phrases import forms, given_name, is_name, is_place, kin_of, listed

if TYPE_CHECKING:
    from spacy.tokens import Token

    from .parse import Sentence

_SUFFIXES = {"occupation": "occupation_suffixes", "med": "med_suffixes"}


def is_person(token: Token) -> bool:
    """Whether the noun names or describes a human being."""
    if token.text == "Titleword":
        return False
    if kin_of(token):
        return True
    if not is_name(token) or is_place(token):
        return token.text.lower() in (
            "guy",
            "girl",
            "woman",
            "man",
            "lady",
            "someone",
            "somebody",
            "person",
            "people",
            "boy",
            "lad",
            "bloke",
        )
    first = next((t for t in [*token.lefts, token] if is_name(t)), token)
    return (
        given_name(first) is not None
        or given_name(token) is not None
        or token.ent_type_ == "PERSON"
        or kin_group(token)[0] is not None
    )


def is_occupation(token: Token) -> bool:
    """Whether the noun names a job: by the word list, or by its ending and an article."""
    found = forms(token)
    if any(f in words("not_occupations") for f in found[:1]) or token.text.lower() in words("not_occupations"):
        return any(f in words("occupations") for f in found if " " in f)
    return any(f in words("occupations") or f.split()[-1].endswith(tuple(words("occupation_suffixes"))) for f in found)


def _one(token: Token, name: str, sentence: Sentence) -> bool:
    kind, _, detail = name.partition(":")
    low = token.text.lower()
    if kind == "bare":
        return low == detail and not any(c.dep_ in ("det", "poss") for c in token.children)
    if kind == "kin":
        kin = kin_of(token) or (kin_of(k) if (k := kin_group(token)[0]) is not None else None)
        return kin is not None and (not detail or kin[0] == detail)
    if kind == "person":
        if detail == "name":
            return (is_name(token) and is_person(token)) or (kin_of(token) is not None)
        return is_person(token) or (token.pos_ == "PRON" and low not in ("it", "this", "that", "what"))
    if kind == "given":
        return (
            is_name(token) and (given_name(token) is not None or any(given_name(t) is not None for t in token.lefts))
        ) or bool(kin_of(token))
    if kind == "pronoun":
        return token.pos_ == "PRON" or low in FIRST
    if kind == "proper":
        return is_name(token) and not (detail == "notime" and listed(token, "time"))
    if kind == "org":
        return token.ent_type_ == "ORG" or (
            is_name(token) and not is_person(token) and not is_place(token) and not listed(token, "time")
        )
    if kind == "place":
        return is_place(token)
    if kind == "town":
        return token.text.lower() in words("cities") | words("countries")
    if kind == "title":
        return sentence.is_title(token)
    if kind == "occupation":
        return is_occupation(token)
    if kind == "med":
        return listed(token, "med") or low.endswith(tuple(words("med_suffixes")))
    if kind == "addressee":
        return low in ("you", "your", "yours") or any(
            c.dep_ == "poss" and c.text.lower() == "your" for c in token.children
        )
    if kind == "deictic":
        return any(c.dep_ in ("det",) and c.text.lower() in ("this", "that", "these", "those") for c in token.children)
    if kind == "definite":
        return any(c.dep_ in ("det", "poss") and c.text.lower() not in ("a", "an", "some") for c in token.children)
    if kind == "kinrole":
        return low in (
            "mother",
            "father",
            "mom",
            "mum",
            "dad",
            "aunt",
            "uncle",
            "grandmother",
            "grandfather",
            "grandma",
            "grandpa",
            "parent",
            "parents",
        )
    if kind == "someone":
        return low in ("someone", "somebody")
    if kind == "gerund":
        return low.endswith("ing") and not any(c.dep_ == "det" for c in token.children)
    if kind == "workverb":
        return token.lemma_.lower() in ("work", "study", "live", "play", "eat", "drink")
    if kind == "phone":
        return low in (
            "phone",
            "mail",
            "call",
            "calls",
            "bill",
            "check",
            "kids",
            "kid",
            "pieces",
            "pace",
            "habit",
            "speed",
        )
    if kind == "skill":
        return listed(token, "activity") or listed(token, "instrument")
    if kind == "lesson_of":
        taught = [c.text.lower() for c in token.lefts if c.dep_ in ("compound", "amod", "nmod")]
        known = words("activities") | words("instruments") | words("languages") | words("subjects") | words("sports")
        return token.lemma_.lower() in words("lesson") and any(t in known for t in [*taught, " ".join(taught)])
    if kind == "plural_kin":
        return (kin_of(token) or ("", "", ""))[1] == "p"
    if kind == "named_person":
        return is_person(token) and name_below(token) is not None
    if kind == "progressive_noun":
        return low in (
            "progress",
            "sure",
            "effort",
            "difference",
            "time",
            "sense",
            "most",
            "plans",
            "way",
            "call",
            "calls",
        )
    if kind in ("shift", "trick", "aside"):
        return low in ("shift", "shifts", "trick", "tricks", "weekends", "nights")
    return listed(token, kind)


def fits(token: Token, spec: str, sentence: Sentence) -> bool:
    """Whether the token is of any of the classes in `spec` (divided by `|`)."""
    return any(_one(token, name, sentence) for name in spec.split("|"))
