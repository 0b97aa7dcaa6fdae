"""What noun phrases state in passing: "my sister Ana", "Pedro, my roommate", "our dog Biscuit", "my job at X"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .classes import is_occupation
from .drafts import Draft
from .frames import conjuncts
from .lexicon import words
from .people import Discourse, Ref, Resolver, kin_group, name_phrase
from .phrases import forms, is_name, kin_of, listed, noun_phrase

if TYPE_CHECKING:
    from spacy.tokens import Token

    from .parse import Sentence


def apply(sentence: Sentence, resolver: Resolver, discourse: Discourse) -> Iterator[Draft]:
    """Every relation that a noun phrase of the sentence states."""
    for token in sentence.doc:
        if token.pos_ not in ("NOUN", "PROPN", "ADJ", "X"):
            continue
        yield from _relation(token, sentence, resolver)
        yield from _pet(token, sentence, resolver, discourse)
        yield from _job(token, sentence, resolver)
        yield from _trade(token, sentence)


def _trade(token: Token, sentence: Sentence) -> Iterator[Draft]:
    """ "The sculptor ..., Ines Brandt, ...", "Dr. Weiss, my cardiologist": what somebody named does for a living."""
    name, trade = next((c for c in token.children if c.dep_ == "appos"), None), token
    if name is not None and is_name(token) and not is_name(name):
        name, trade = token, name
    if name is None or not is_name(name) or is_name(trade) or not is_occupation(trade) or listed(trade, "animal"):
        return
    if kin_of(trade) is not None and (kin_of(trade) or ("",))[0] != "knows":
        return
    what = sentence.written(noun_phrase(trade, [], deep=False))
    yield Draft(name_phrase(name, sentence), "occupation", what, rule="trade", position=token.i)


def _job(token: Token, sentence: Sentence, resolver: Resolver) -> Iterator[Draft]:
    """ "My job at Google": where somebody works, unless the clause is of losing or leaving it."""
    if token.lemma_.lower() not in ("job", "position", "role", "internship") or token.head.lemma_.lower() in _LEAVING:
        return
    owner = resolver.owner_of(token)
    if owner is None:
        return
    if any(
        c.text.lower() in ("old", "last", "previous", "former", "first", "new", "next") for c in token.lefts
    ) or _unreal(token.head):
        return
    for prep in (c for c in token.children if c.dep_ == "prep" and c.text.lower() in ("at", "with", "for")):
        for place in (c for c in prep.children if c.dep_ == "pobj" and c.pos_ in ("PROPN", "NOUN")):
            yield Draft(
                owner.name,
                "works_at",
                sentence.written(noun_phrase(place, [], deep=False)),
                rule="job",
                position=token.i,
            )


_LEAVING = {
    "leave",
    "quit",
    "lose",
    "get",
    "start",
    "take",
    "accept",
    "apply",
    "land",
    "find",
    "turn",
    "decline",
    "resign",
    "miss",
    "interview",
    "offer",
    "give",
    "about",
}


def _names_after(kin: Token, first: Token | None) -> list[Token]:
    """The names that stand for a relation noun; of a plural ("my kids Mia and Oskar") all that are joined."""
    if first is None:
        return []
    plural = (kin_of(kin) or ("", "", ""))[1] == "p"
    named = (
        list(conjuncts(first)) + [t for c in kin.children if c.dep_ == "conj" for t in conjuncts(c)]
        if plural
        else [first]
    )
    return [t for t in named if is_name(t)]


def _relation(token: Token, sentence: Sentence, resolver: Resolver) -> Iterator[Draft]:
    kin, name = kin_group(token)
    if kin is None or (name is not None and token != kin and token != name):
        return
    if (
        name is not None
        and token == name
        and kin_of(kin)
        and kin.head != token
        and kin.i < token.i
        and kin_group(kin)[1] == token
    ):
        return
    if any(c.text.lower() in ("favourite", "favorite") for c in kin.lefts):
        return
    found = kin_of(kin)
    ref = resolver.resolve(token)
    if found is None or ref is None or ref.relation is None or name is None:
        return
    owner, predicate, word = ref.relation
    if predicate == "manager" and any(t.text.rstrip(".") in ("Prof", "Professor") for t in name.lefts):
        predicate = "knows"  # who supervises a thesis
    low = {t.text.lower() for t in [*kin.lefts, kin]}
    gone = words("ex") | {"former", "late"} | ({"old"} if predicate in ("manager", "roommate") else set())
    over = bool(low & gone) and predicate in (
        "spouse",
        "partner",
        "manager",
        "roommate",
        "colleague",
        "knows",
    )
    for each in _names_after(kin, name):
        written = name_phrase(each, sentence)
        if written.casefold() == owner.casefold():
            continue
        aliases = [(f"{owner}'s {word}", written)] if found[1] != "p" else []
        yield Draft(owner, predicate, written, "-" if over else "+", rule="nominal", aliases=aliases, position=token.i)
        if predicate == "knows" and word in words("occupations") - {"supervisor"}:
            yield Draft(written, "occupation", word, rule="nominal", position=token.i)


_KEEPING = {"have", "adopt", "get", "own", "keep", "rescue", "buy", "foster"}


def _unreal(verb: Token) -> bool:
    if verb.tag_ == "VBG":
        return True
    return any(
        c.dep_ == "neg" or c.text.lower() in ("would", "might", "could", "will", "may", "'ll", "'d", "can", "if", "to")
        for c in verb.children
    )


def _called(token: Token) -> list[Token]:
    """The names that an animal is given: "Biscuit" of "my dog Biscuit", "Rex" of "a puppy named Rex"."""
    names: list[Token] = [t for c in token.children if c.dep_ in ("appos", "flat") and is_name(c) for t in conjuncts(c)]
    after = token.doc[token.i + 1] if token.i + 1 < len(token.doc) else None
    if (
        not names
        and after is not None
        and is_name(after)
        and after.ent_type_ != "GPE"
        and token.head.i in (after.i, after.head.i)
    ):
        names = [after]
    for child in token.children:
        if child.dep_ in ("acl", "relcl") and child.lemma_ in ("name", "call"):
            names += [
                t for c in child.children if c.dep_ in ("oprd", "dobj", "attr", "ccomp", "xcomp") for t in conjuncts(c)
            ]
    if not names and token.dep_ == "appos" and is_name(token.head):
        names = [token.head]
    return names


def _pet(token: Token, sentence: Sentence, resolver: Resolver, discourse: Discourse) -> Iterator[Draft]:
    """ "my dog Biscuit", "our two cats, Miso and Tofu", "a puppy named Rex"."""
    if not listed(token, "animal"):
        return
    names = _called(token)
    if any(t.text.lower() in ("stuffed", "plush", "toy", "plushie", "balloon", "inflatable") for t in token.lefts):
        return
    owner = resolver.owner_of(token) or (resolver.owner_of(names[0]) if names else None)
    verb = token.head
    if owner is None and token.dep_ in ("dobj", "attr") and verb.lemma_.lower() in _KEEPING and not _unreal(verb):
        subject = next((c for c in verb.children if c.dep_ == "nsubj"), None)
        gift = {t.text.lower() for t in token.doc[token.i : token.i + 3]} >= {"for", "you"}
        owner = resolver.resolve(subject) if subject is not None and not gift else None
    kind = next((f for f in forms(token) if f in words("animals")), token.lemma_.lower())
    for each in names:
        written = name_phrase(each, sentence)
        discourse.note(Ref(written, "animal"))
        if owner is not None and owner.name != written:
            yield Draft(
                owner.name,
                "has_pet",
                written,
                rule="pet",
                position=token.i,
                aliases=[(f"{owner.name}'s {kind}", written)],
            )
        yield Draft(
            written,
            "species",
            kind.rstrip("s") if token.tag_ == "NNS" else kind,
            subject_type="animal",
            rule="pet",
            position=token.i,
        )
    if owner is not None and not names and token.dep_ in ("nsubj", "dobj", "nsubjpass", "pobj", "ROOT"):
        written = sentence.written(
            [t for t in [*token.lefts, token] if t.dep_ in ("amod", "compound", "nummod") or t == token]
        )
        kept = f"{owner.name}'s {token.text.lower()}"
        discourse.note(Ref(kept, "animal", "", token.tag_ == "NNS", (owner.name, "has_pet", kind), named=False))
        if token.lemma_.lower() not in ("pet", "animal"):
            yield Draft(owner.name, "has_pet", written, rule="pet", position=token.i, confidence=0.7)
