"""What class a noun is of, as the rules ask it: "person", "kin:sibling", "place", "proper", "bare:school" ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .lexicon import words
from .people import FIRST, kin_group, name_below
from .phrases import forms, given_name, is_name, is_place, kin_of, listed

if TYPE_CHECKING:
    from spacy.tokens import Token

    from .parse import Sentence


def is_person(token: Token) -> bool:
    """Whether the noun names or describes a human being."""
    if token.text == "Titleword":
        return False
    if kin_of(token):
        return True
    if not is_name(token) or is_place(token):
        return token.text.lower() in words("people")
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


def _is_given(token: Token) -> bool:
    if is_name(token) and any(given_name(t) is not None for t in (token, *token.lefts)):
        return True
    return kin_of(token) is not None


def _is_org(token: Token) -> bool:
    return token.ent_type_ == "ORG" or (
        is_name(token) and not is_person(token) and not is_place(token) and not listed(token, "time")
    )


def _is_lesson(token: Token) -> bool:
    taught = [c.text.lower() for c in token.lefts if c.dep_ in ("compound", "amod", "nmod")]
    known = words("activities") | words("instruments") | words("languages") | words("subjects") | words("sports")
    return token.lemma_.lower() in words("lesson") and any(t in known for t in [*taught, " ".join(taught)])


def _below(token: Token, *dependencies: str) -> list[str]:
    return [c.text.lower() for c in token.children if c.dep_ in dependencies]


_CLASSES: Mapping[str, Callable[[Token], bool]] = {
    "given": _is_given,
    "named_person": lambda t: is_person(t) and name_below(t) is not None,
    "plural_kin": lambda t: (kin_of(t) or ("", "", ""))[1] == "p",
    "someone": lambda t: t.text.lower() in ("someone", "somebody"),
    "pronoun": lambda t: t.pos_ == "PRON" or t.text.lower() in FIRST,
    "addressee": lambda t: t.text.lower() in ("you", "your", "yours") or "your" in _below(t, "poss"),
    "deictic": lambda t: not {"this", "that", "these", "those"}.isdisjoint(_below(t, "det")),
    "definite": lambda t: not {"a", "an", "some"}.issuperset(_below(t, "det", "poss")),
    "gerund": lambda t: t.text.lower().endswith("ing") and not _below(t, "det"),
    "org": _is_org,
    "place": is_place,
    "town": lambda t: t.text.lower() in words("cities") | words("countries"),
    "occupation": is_occupation,
    "med": lambda t: listed(t, "med") or t.text.lower().endswith(tuple(words("med_suffixes"))),
    "skill": lambda t: listed(t, "activity") or listed(t, "instrument"),
    "lesson_of": _is_lesson,
    "workverb": lambda t: t.lemma_.lower() in words("workverb"),
}
"""Classes that need more than a list. Every other name is a list of words."""
_AS_WRITTEN = frozenset(("kinrole", "phone", "progressive_noun", "shift", "trick"))
"""Lists in which the word stands as it is, whatever goes before it."""


def _one(token: Token, name: str, sentence: Sentence) -> bool:
    kind, _, detail = name.partition(":")
    if kind == "bare":
        return token.text.lower() == detail and not _below(token, "det", "poss")
    if kind == "kin":
        kin = kin_of(token) or (kin_of(k) if (k := kin_group(token)[0]) is not None else None)
        return kin is not None and (not detail or kin[0] == detail)
    if kind == "person" and detail == "name":
        return (is_name(token) and is_person(token)) or kin_of(token) is not None
    if kind == "person":
        return is_person(token) or (token.pos_ == "PRON" and token.text.lower() not in ("it", "this", "that", "what"))
    if kind == "proper":
        return is_name(token) and not (detail == "notime" and listed(token, "time"))
    if kind == "title":
        return sentence.is_title(token)
    if kind in _CLASSES:
        return _CLASSES[kind](token)
    if kind in _AS_WRITTEN:
        return token.text.lower() in words(kind)
    return listed(token, kind)


def fits(token: Token, spec: str, sentence: Sentence) -> bool:
    """Whether the token is of any of the classes in `spec` (divided by `|`)."""
    return any(_one(token, name, sentence) for name in spec.split("|"))
