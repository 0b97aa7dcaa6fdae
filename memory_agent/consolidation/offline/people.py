"""Who is meant: first person to the speaker, pronouns to what was last named, "my sister Ana" to Ana.

A `Discourse` is carried along a session. It remembers the people, animals and places named so far
and, for each subject and predicate, the last object ("I don't work there anymore").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .lexicon import words
from .phrases import forms, given_name, is_name, is_place, kin_of, listed

if TYPE_CHECKING:
    from spacy.tokens import Token

    from .parse import Sentence

FIRST = {"i", "me", "my", "mine", "myself", "we", "us", "our", "ours", "ourselves"}
_SECOND = {"you", "your", "yours", "yourself"}
_HE, _SHE, _THEY = (
    {"he", "him", "his", "himself"},
    {"she", "her", "hers", "herself"},
    {"they", "them", "their", "theirs"},
)
_IT = {"it", "its", "itself"}
_ROLES_WITHOUT_OWNER = {
    "boss", "manager", "landlord", "landlady", "supervisor", "flatmate", "roommate", "housemate",
    "neighbour", "neighbours", "neighbor", "neighbors",
}  # fmt: skip


@dataclass(frozen=True)
class Ref:
    """Somebody or something referred to: the name to write, its type, and what else it is called."""

    name: str
    type: str = "person"
    gender: str = ""
    plural: bool = False
    relation: tuple[str, str, str] | None = None
    """(owner, predicate, relation word) when the mention says what it is to somebody."""
    named: bool = True


@dataclass
class Discourse:
    """What has been named so far, newest last."""

    speaker: str
    addressee: str | None = None
    people: list[Ref] = field(default_factory=list)
    last: dict[tuple[str, str], str] = field(default_factory=dict)
    question: str = ""
    """What the other speaker has just asked, if anything."""

    def turn_to(self, speaker: str) -> None:
        """Another speaker takes the floor."""
        if speaker != self.speaker:
            self.speaker, self.addressee = speaker, self.speaker

    def note(self, ref: Ref) -> None:
        """Remember a mention."""
        if ref.name in (self.speaker, self.addressee):
            return
        self.people = [*[p for p in self.people if p.name != ref.name][-30:], ref]

    def recent(
        self,
        gender: str = "",
        *,
        plural: bool = False,
        types: tuple[str, ...] = ("person", "animal"),
        but: Collection[str] = (),
    ) -> Ref | None:
        """The latest mention that a pronoun of that gender and number can stand for, other than those names."""
        for ref in reversed(self.people):
            if (
                ref.name not in but
                and ref.type in types
                and ref.plural == plural
                and (not gender or ref.gender in ("", gender))
            ):
                return ref
        return None


def name_phrase(token: Token, sentence: Sentence) -> str:
    """A proper name with its compounds, as written."""
    if sentence.is_title(token):
        return sentence.written([token])
    parts = [
        c
        for c in token.lefts
        if c.dep_ in ("compound", "nmod", "flat") and (is_name(c) or c.text.endswith(".")) and not kin_of(c)
    ]
    parts += [c for c in token.rights if c.dep_ in ("flat", "compound") and is_name(c)]
    return sentence.written([*parts, token])


def kin_group(token: Token) -> tuple[Token | None, Token | None]:
    """(relation noun, name) of a phrase such as "my sister Ana", "Ana, my sister", or either alone."""
    if kin_of(token) and not is_name(token):
        for child in token.children:
            if child.dep_ in ("appos", "flat", "nmod") and is_name(child):
                return token, child
            if child.dep_ in ("acl", "relcl") and child.lemma_ in ("name", "call"):
                named = next(
                    (c for c in child.children if c.dep_ in ("oprd", "dobj", "attr", "xcomp") and is_name(c)), None
                )
                if named is not None:
                    return token, named
        after = token.doc[token.i + 1] if token.i + 1 < len(token.doc) else None
        if after is not None and after.dep_ == "compound" and is_name(after) and is_name(after.head):
            after = after.head  # "our boss Mr Pereira"
        if (
            after is not None
            and is_name(after)
            and after.head.i in (token.i, token.head.i)
            and after.dep_ in ("appos", "dep", "oprd", "nsubj", "conj")
        ):
            return (token, after) if after.dep_ != "conj" else (token, None)
        return token, None
    if is_name(token):
        for child in token.lefts:
            if (
                child.dep_ in ("compound", "nmod", "amod", "appos", "poss")
                and kin_of(child)
                and child.dep_ != "poss"
                and not is_name(child)
            ):
                return child, token
        for child in token.rights:
            if child.dep_ == "appos" and kin_of(child):
                return child, token
        if token.dep_ == "appos" and kin_of(token.head):
            return token.head, token
        return None, token
    return None, None


_SOMEBODY = {
    "guy", "girl", "woman", "man", "lady", "someone", "somebody", "person", "boy", "lad", "bloke", "chap",
    "kid", "dude", "gal", "artist", "student", "idol", "hero", "author", "singer", "actor", "actress", "writer",
}  # fmt: skip


def name_below(token: Token) -> Token | None:
    """The name of somebody described: "this amazing woman, Jean", "someone called Rita", "my idol Bo"."""
    if token.text.lower() not in _SOMEBODY:
        return None
    for child in token.children:
        if child.dep_ in ("appos", "flat", "nmod") and is_name(child):
            return child
        if child.dep_ in ("acl", "relcl") and child.lemma_ in ("name", "call"):
            return next((c for c in child.children if c.dep_ in ("oprd", "dobj", "attr", "xcomp") and is_name(c)), None)
    after = token.doc[token.i + 1 : token.i + 3]
    named = next((t for t in after if is_name(t) and t.head.i in (token.i, token.head.i)), None)
    return named if named is not None and all(t.text == "," or t == named for t in after[: named.i - token.i]) else None


def possessor(token: Token) -> Token | None:
    """The possessive modifier of a noun: "my", "Ana's", or the object of "of"."""
    for child in token.children:
        if child.dep_ == "poss":
            return child
    for child in token.children:
        if child.dep_ == "prep" and child.text.lower() == "of":
            for inner in child.children:
                if inner.dep_ == "pobj" and inner.text.lower() in ("mine", "ours", "hers", "his", "theirs"):
                    return inner
    return None


class Resolver:
    """Names what the tokens of one sentence refer to."""

    def __init__(self, sentence: Sentence, discourse: Discourse) -> None:
        self.sentence, self.discourse = sentence, discourse
        self._before = {ref.name for ref in discourse.people}
        self._first: dict[str, int] = {}
        """Where in this sentence somebody was first named."""

    def resolve(self, token: Token, *, remember: bool = True) -> Ref | None:
        """The referent of a noun or pronoun that can be a subject; None when it cannot be told."""
        low = token.text.lower()
        if low in ("mine", "ours"):
            return None  # "Mine's into dinosaurs" is of a child or a car, not of the speaker
        if token.pos_ == "PRON" or low in FIRST or low in _SECOND:
            return self._pronoun(low, token.i)
        kin, name = kin_group(token)
        if kin is None and name is None and (below := name_below(token)) is not None:
            name = token = below
        if kin is not None:
            ref = self._relation(kin, name)
        elif is_name(token):
            ref = self._named(token)
        else:
            ref = self._thing(token)
        if ref is not None and remember:
            self.discourse.note(ref)
            self._first.setdefault(ref.name, token.i)
        return ref

    def _pronoun(self, low: str, at: int) -> Ref | None:
        here = self.discourse
        # "She moved back in with her mum": a pronoun is not whom the sentence names first after it.
        later = {name for name, i in self._first.items() if i > at and name not in self._before}
        if low in FIRST:
            return Ref(here.speaker)
        if low in _HE:
            return here.recent("m", but=later)
        if low in _SHE:
            return here.recent("f", but=later)
        if low in _THEY:
            return here.recent(plural=True, but=later)
        if low in _IT:
            return here.recent(types=("animal", "organisation"))
        return None

    def _named(self, token: Token) -> Ref | None:
        name = name_phrase(token, self.sentence)
        if self.sentence.is_title(token):
            return Ref(name, "work")
        low = name.lower()
        if is_place(token):
            return Ref(name, "place")
        for who in (self.discourse.speaker, self.discourse.addressee):
            if who and (low == who.lower() or (len(low) > 2 and who.lower().startswith(low))):
                return Ref(who)
        known = next((p for p in reversed(self.discourse.people) if p.name.lower() == low), None)
        if known is not None:
            return known
        first = next((t for t in [*token.lefts, token] if is_name(t)), token)
        gender = given_name(first) or given_name(token) or ""
        if token.ent_type_ in ("ORG", "PRODUCT", "FAC") and not gender:
            return Ref(name, "organisation")
        if token.text.lower() in words("languages") | words("nationalities"):
            return None
        if any(t.text.rstrip(".") in ("Mrs", "Ms", "Miss") for t in token.lefts):
            gender = "f"
        elif any(t.text.rstrip(".") == "Mr" for t in token.lefts):
            gender = "m"
        return Ref(name, "person", gender)

    def owner_of(self, token: Token) -> Ref | None:
        """Who a possessed noun belongs to."""
        owner = possessor(token)
        if owner is None:
            return None
        low = owner.text.lower()
        if low in ("mine", "ours"):
            return Ref(self.discourse.speaker)
        if low in _SECOND:
            return Ref(self.discourse.addressee) if self.discourse.addressee else None
        subject_of_clause = next((c for c in token.head.children if c.dep_ in ("nsubj", "nsubjpass")), None)
        third = _HE | _SHE | _THEY
        if low in third and subject_of_clause is not None and subject_of_clause.i < owner.i:
            own = subject_of_clause.pos_ != "PRON" or subject_of_clause.text.lower() in third
            if own:
                return self.resolve(subject_of_clause, remember=False)
        return self.resolve(owner, remember=False)

    def _relation(self, kin: Token, name: Token | None) -> Ref | None:
        predicate, gender, word = kin_of(kin) or ("", "", "")
        owner = self.owner_of(kin) or (self.owner_of(name) if name is not None else None)
        if owner is None:
            definite = any(c.text.lower() == "the" for c in kin.children) and predicate == "child" and gender == "p"
            bare = definite or kin.text.lower() in words("bare_kin") or word in _ROLES_WITHOUT_OWNER
            indefinite = any(c.dep_ == "det" and c.text.lower() not in ("the", "both") for c in kin.children)
            unowned = possessor(kin) is None and (possessor(name) is None if name is not None else True)
            if unowned and ((bare and not indefinite) or (name is not None and word in _ROLES_WITHOUT_OWNER)):
                owner = Ref(self.discourse.speaker)
            elif name is not None:
                return self._named(name)
            else:
                return None
        relation = (owner.name, predicate, word)
        if name is not None:
            written = name_phrase(name, self.sentence)
            return Ref(written, "person", gender if gender in "mf" else given_name(name) or "", relation=relation)
        unnamed = f"{owner.name}'s {word}"
        known = next((p for p in reversed(self.discourse.people) if p.relation == relation and p.named), None)
        return known or Ref(unnamed, "person", gender.replace("p", ""), gender == "p", relation, named=False)

    def _thing(self, token: Token) -> Ref | None:
        """A pet, a team or an office spoken of; other nouns are nobody."""
        if listed(token, "animal"):
            owner = self.owner_of(token)
            name = next((c for c in token.children if c.dep_ in ("appos", "flat") and is_name(c)), None)
            if name is not None:
                return Ref(
                    name_phrase(name, self.sentence),
                    "animal",
                    relation=(owner.name, "has_pet", token.text.lower()) if owner else None,
                )
            known = self.discourse.recent(types=("animal",))
            if owner is not None:
                kind = token.text.lower()
                return known or Ref(
                    f"{owner.name}'s {kind}",
                    "animal",
                    "",
                    token.tag_ == "NNS",
                    (owner.name, "has_pet", kind),
                    named=False,
                )
            return known
        if any(
            f
            in ("team", "office", "company", "department", "band", "shop", "store", "studio", "school", "club", "firm")
            for f in forms(token)
        ):
            owner = self.owner_of(token)
            if (
                owner is None
                and any(c.text.lower() == "the" for c in token.children)
                and token.text.lower() in ("office", "team", "company")
            ):
                owner = Ref(self.discourse.speaker)
            if owner is not None:
                kind = " ".join(t.text.lower() for t in [*(c for c in token.lefts if c.dep_ == "compound"), token])
                return Ref(f"{owner.name}'s {kind}", "organisation", named=False)
        return None

    def people_in(self) -> Iterator[tuple[Token, Ref]]:
        """Every mention of a person or an animal in the sentence."""
        for token in self.sentence.doc:
            if token.pos_ not in ("NOUN", "PROPN") or (token.dep_ in ("compound", "amod") and not is_name(token)):
                continue
            if token.dep_ == "appos" and kin_of(token.head):
                continue
            ref = self.resolve(token, remember=False)
            if ref is not None and ref.type in ("person", "animal"):
                yield token, ref
