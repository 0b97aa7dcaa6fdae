"""Short noun and verb phrases, in the words of the text, and the classes a noun belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dates import Expression
from .lexicon import table, words

if TYPE_CHECKING:
    from spacy.tokens import Token


_LISTS = {
    **{name: f"{name}s" for name in ["event", "place", "animal", "instrument", "language", "subject", "occupation"]},
    **{name: f"{name}s" for name in ["belonging", "vehicle", "group", "workplace", "school", "read", "trip"]},
    **{name: f"{name}s" for name in ["diet", "religion"]},
    "activity": "activities",
    "condition": "condition_nouns",
    "med": "medication",
}
"""The word list of a class, where it is not called by the class's own name."""


def forms(token: Token) -> list[str]:
    """The lower-case phrases that may name a token's class: with its modifiers first, bare last."""
    chain = [c for c in token.lefts if c.dep_ in ("compound", "amod", "nmod", "nummod") and not c.is_punct]
    full = [*(c.text.lower() for c in chain), token.text.lower()]
    base = [*full[:-1], token.lemma_.lower()]
    found = []
    for i in range(len(full)):
        found += [" ".join(full[i:]), " ".join(base[i:])]
    return list(dict.fromkeys(found))


def listed(token: Token, name: str) -> bool:
    """Whether the token, with or without its modifiers, stands in the word list."""
    known = words(_LISTS.get(name, name))
    return any(form in known for form in forms(token))


def kin_of(token: Token) -> tuple[str, str, str] | None:
    """(predicate, gender, the word) when the noun names a relation: sister, flatmate, boss."""
    kin = table("kin")
    for form in forms(token):
        if form in kin:
            predicate, gender = kin[form]
            return predicate, gender, form
    low = token.text.lower()
    if token.pos_ == "NOUN" and (low in words("occupations") or low.endswith(tuple(words("occupation_suffixes")))):
        owned = any(c.dep_ == "poss" for c in token.children) or (
            token.dep_ == "appos" and any(c.dep_ == "poss" for c in token.children)
        )
        if owned and low not in words("not_occupations"):
            return "knows", "", low
    return None


def is_name(token: Token) -> bool:
    """Whether the token is written as a proper name."""
    if token.text.lower() in words("bare_kin") and token.dep_ != "compound":
        return False  # "Mum's called Ruth"
    return bool((token.pos_ == "PROPN" and token.text[:1].isupper()) or token.text == "Titleword")


def given_name(token: Token) -> str | None:
    """The gender of a known given name: "m", "f" or "" (not known); None when it is no name."""
    low = token.text.lower().strip(".")
    if low == "alex":  # stands in for a name of unknown gender
        return ""
    return "m" if low in words("male_names") else "f" if low in words("female_names") else None


def is_place(token: Token) -> bool:
    """Whether the noun names a place or a kind of place."""
    full = [*(c.text.lower() for c in token.lefts if c.dep_ in ("compound", "amod")), token.text.lower()]
    known = words("countries") | words("cities")
    if any(" ".join(full[i:]) in known for i in range(len(full))):
        return True
    return (token.ent_type_ in ("GPE", "LOC", "FAC") and token.text[:1].isupper()) or listed(token, "place")


def noun_phrase(token: Token, skip: list[Expression], *, deep: bool = True) -> list[Token]:
    """The tokens of a short phrase headed by `token`: no article, no relative clause, no date."""
    kept: list[Token] = []
    for child in token.lefts:
        if child.dep_ in ("compound", "nmod") and is_name(child) and child.nbor().text == ",":
            # "at Heineken, same desk": what follows the comma is an afterthought, not the head of the name.
            return noun_phrase(child, skip, deep=False)
        if child.dep_ in (
            "det",
            "poss",
            "predet",
            "preconj",
            "punct",
            "cc",
            "neg",
            "case",
            "prep",
            "appos",
            "relcl",
            "aux",
            "mark",
            "nsubj",
        ):
            if child.dep_ == "poss" and dated(child, skip):
                continue  # "tomorrow's opening"
            if child.dep_ == "poss" and child.pos_ in ("PROPN", "NOUN") and not kin_of(child):
                kept += list(child.subtree)
            continue
        if child.text.lower() in words("determiners") or (
            child.dep_ == "amod" and child.text.lower() in words("empty_adjectives")
        ):
            continue
        if child.dep_ in ("compound", "amod", "nummod", "nmod", "advmod", "quantmod", "npadvmod"):
            kept += [
                t for t in child.subtree if t.text.lower() not in words("determiners") and t.dep_ not in ("relcl",)
            ]
    kept.append(token)
    if deep:
        kept += _tail(token, skip)
    return [t for t in kept if not dated(t, skip)]


def _tail(token: Token, skip: list[Expression]) -> list[Token]:
    """Prepositional modifiers of a noun: all of "of" and "for", else the nearest one."""
    kept: list[Token] = []
    for child in token.rights:
        if child.dep_ == "prep" and child.text.lower() in words("relations_prep") and not dated(child, skip):
            objects = [c for c in child.children if c.dep_ in ("pobj", "pcomp")]
            if objects and not dated(objects[0], skip) and objects[0].pos_ in ("NOUN", "PROPN", "NUM", "VERB"):
                if objects[0].lemma_.lower() in words("time"):
                    continue
                inner = noun_phrase(objects[0], skip, deep=child.text.lower() == "of")
                if objects[0].pos_ == "VERB":
                    inner = [
                        objects[0],
                        *[t for c in objects[0].children if c.dep_ == "dobj" for t in noun_phrase(c, skip, deep=False)],
                    ]
                kept += [child, *inner]
        elif child.dep_ == "nummod":
            kept.append(child)
    return kept


def gerund(lemma: str) -> str:
    """The verb as the name of an activity: "swim" gives "swimming"."""
    if lemma.endswith("e") and not lemma.endswith("ee"):
        return lemma[:-1] + "ing"
    if len(lemma) <= 4 and lemma[-1] in "mgnpt" and lemma[-2] in "aiou" and lemma[-3] not in "aeiou":
        return lemma + lemma[-1] + "ing"
    return lemma + "ing"


def dated(token: Token, skip: list[Expression]) -> bool:
    """Whether the token is part of a date expression."""
    return any(e.start <= token.idx < e.end for e in skip)


def verb_phrase(verb: Token, skip: list[Expression], *, with_verb: bool = True, preps: int = 2) -> list[Token]:
    """A verb with its particle, object and nearest prepositional phrases, without dates and subordinate clauses."""
    kept = [verb] if with_verb else []
    left = preps
    for child in verb.rights:
        if dated(child, skip) or child.text.lower() in ("too", "also", "though", "again", "there", "here"):
            continue
        if child.dep_ == "dative" and child.pos_ == "ADP":
            held = next((t for t in child.children if t.dep_ == "pobj"), None)
            if held is not None and held.pos_ in ("NOUN", "PROPN"):
                kept += [child, *noun_phrase(held, skip, deep=False)]
        elif child.dep_ in ("dobj", "attr", "oprd", "acomp", "dative") and child.pos_ != "PRON":
            kept += noun_phrase(child, skip)
            left -= 1 if any(t.dep_ == "prep" for t in kept) else 0
        elif child.dep_ == "advmod" and child.text.lower() == "back":
            kept += [t for t in child.subtree if not dated(t, skip)]
        elif child.dep_ == "prt" or (
            child.dep_ == "advmod" and child.text.lower() in ("back", "up", "out", "off", "away", "in", "down", "over")
        ):
            kept.append(child)
        elif child.dep_ in ("prep", "agent") and left > 0:
            inner_prep = next((t for t in child.children if t.dep_ == "prep"), None)
            if inner_prep is not None:  # "out of college", "back from Spain"
                kept.append(child)
                child = inner_prep
            objects = [t for t in child.children if t.dep_ in ("pobj", "pcomp")]
            if objects and not dated(objects[0], skip) and objects[0].pos_ in ("NOUN", "PROPN", "VERB"):
                inner = verb_phrase(objects[0], skip) if objects[0].pos_ == "VERB" else noun_phrase(objects[0], skip)
                kept += [child, *inner]
                left -= 1
        elif child.dep_ == "xcomp" and child.pos_ == "VERB":
            kept += [t for t in child.lefts if t.tag_ == "TO"]
            kept += verb_phrase(child, skip, preps=left)
    return sorted(set(kept), key=lambda t: t.i)
