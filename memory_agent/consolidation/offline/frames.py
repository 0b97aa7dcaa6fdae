"""Clauses out of a dependency parse: who does what to whom, and how it is hedged.

A frame gathers what the rules ask for: the verb's lemma and particle, subject, object, complements,
prepositional arguments (chained ones too: "back from", "out of"), negation, auxiliaries and tense.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .lexicon import words

if TYPE_CHECKING:
    from spacy.tokens import Token

    from .parse import Sentence

_SAME_IN_PAST = {"quit", "split", "hurt", "cut", "hit", "shut", "bet"}
_NEARBY = {"near", "outside", "in", "around"}
_SUBJECTS = ("nsubj", "nsubjpass", "csubj", "expl")
_LEMMAS = {
    "'m": "be", "'re": "be", "ai": "be", "grew": "grow", "got": "get", "wed": "marry", "engaged": "engage",
    "born": "bear",
    "felt": "feel", "hoping": "hope", "hoped": "hope", "laid": "lay",
}  # fmt: skip
"""Forms whose lemma the parser's tables get wrong."""
_NEGATIONS = {"never", "neither", "nor", "hardly", "barely", "not", "n't", "no"}


@dataclass
class Frame:
    """One clause."""

    verb: Token
    sentence: Sentence
    lemma: str
    subject: Token | None = None
    object: Token | None = None
    receiver: Token | None = None
    complement: Token | None = None
    """What a copula or a verb of becoming says of the subject: noun, adjective, or prepositional phrase head."""
    infinitive: Token | None = None
    clausal: Token | None = None
    particle: str = ""
    preps: list[tuple[str, Token]] = field(default_factory=list)
    auxiliaries: frozenset[str] = frozenset()
    negated: bool = False
    ended: bool = False
    """Said to hold no longer ("not any more", "no longer", "used to")."""
    passive: bool = False
    tense: str = "present"
    """past, present, perfect, future or base."""
    progressive: bool = False
    dropped: bool = False
    """The subject is left out at the head of the sentence, so the speaker is meant."""
    parent: Frame | None = None

    @property
    def start(self) -> int:
        return int(self.verb.i)


def lemma_of(token: Token) -> str:
    """The lemma, lower case, mended for the forms that chat brings."""
    low = token.text.lower()
    return _LEMMAS.get(low, "be" if token.lemma_ == "be" else token.lemma_.lower())


def _is_clause(token: Token) -> bool:
    if token.dep_ in ("aux", "auxpass"):
        return False
    if token.pos_ == "AUX":
        return True
    if token.pos_ == "NOUN" and token.dep_ == "conj" and token.head.pos_ == "VERB":
        return token.text.lower() in (
            "work",
            "study",
            "play",
            "volunteer",
            "love",
            "hope",
            "run",
            "live",
        )  # "live in X and work at Y"
    if token.pos_ != "VERB":
        return False
    return token.dep_ not in ("amod", "compound", "prep", "case", "det", "npadvmod")


def _conjuncts(token: Token) -> list[Token]:
    found = [token]
    for child in token.children:
        if (
            child.dep_ in ("conj", "appos")
            and child.dep_ == "conj"
            and child.pos_ in ("NOUN", "PROPN", "PRON", "VERB", "NUM", "ADJ", "X")
        ):
            found += _conjuncts(child)
    return found


def conjuncts(token: Token) -> list[Token]:
    """The token and what is joined to it by "and", "or" or a comma."""
    return _conjuncts(token)


def counted(token: Token) -> Token:
    """What a measure counts: "music" in "a lot of music"; any other noun itself."""
    if token.text.lower() in words("measures"):
        for child in token.children:
            if child.dep_ == "prep" and child.text.lower() == "of":
                return next((o for o in child.children if o.dep_ == "pobj" and o.pos_ != "PRON"), token)
    return token


def _preps(token: Token, prefix: str = "") -> Iterator[tuple[str, Token]]:
    """(preposition, its object) pairs below a token, "out of" and "back from" in one word as well as apart."""
    for child in token.children:
        if child.dep_ in ("prep", "agent", "dative") and child.pos_ in ("ADP", "SCONJ", "VERB", "ADV", "PART"):
            word = child.text.lower()
            for inner in child.children:
                if inner.dep_ in ("pobj", "pcomp"):
                    for each in _conjuncts(_before_date(counted(inner))):
                        yield (f"{prefix} {word}".strip(), each)
            if word == "from":  # "from somewhere near Bergen", "from a village outside Fes"
                below = [i for i in child.children if i.dep_ in ("pobj", "pcomp") and i.pos_ != "PROPN"] or [child]
                yield from (("from", t) for each in below for near, t in _preps(each) if near in _NEARBY)
            if not list(child.children) and token.dep_ == "relcl" and child.i + 1 <= token.i + 2 and not prefix:
                yield word, token.head  # "a shelter I volunteer at"
            yield from _preps(child, f"{prefix} {word}".strip())
        elif child.dep_ in ("advmod", "prt") and not prefix:
            yield from _preps(child, "" if child.text.lower() in ("here", "there") else child.text.lower())


def _before_date(token: Token) -> Token:
    """ "A choir" where the parser took "a choir last autumn" or "college years ago" for one phrase; else the noun."""
    ago = token.i + 1 < len(token.doc) and token.doc[token.i + 1].text.lower() == "ago"
    if token.lemma_.lower() in words("calendar") and (
        ago or any(c.text.lower() in ("last", "this", "next") for c in token.lefts)
    ):
        return next((c for c in token.lefts if c.dep_ in ("nmod", "compound") and c.pos_ == "NOUN"), token)
    return token


def _arguments(frame: Frame, token: Token) -> None:
    for child in token.children:
        dep = child.dep_
        if dep == "dobj" and frame.object is None:
            frame.object = _before_date(counted(child))
        elif dep == "dative" and child.pos_ in ("PRON", "PROPN", "NOUN"):
            frame.receiver = child
        elif dep in ("attr", "acomp", "oprd"):
            frame.complement = frame.complement or child
        elif dep == "xcomp":
            frame.infinitive = frame.infinitive or child
            if child.pos_ in ("ADJ", "NOUN"):
                frame.complement = frame.complement or child
        elif dep == "ccomp" and child.pos_ in ("NOUN", "PROPN", "ADJ") and _own_subject(child) is None:
            frame.object = frame.object or child  # a noun the parser did not know
        elif dep in ("ccomp",):
            frame.clausal = frame.clausal or child
        elif dep == "prt":
            frame.particle = child.text.lower()
    frame.preps = list(_preps(token))
    if frame.object is not None:
        below = list(_preps(frame.object))
        below += [each for _, t in below for each in _preps(t) if each[0] in ("at", "with")]  # "a job as X at Y"
        frame.preps += [p for p in below if p not in frame.preps]


def _own_subject(token: Token) -> Token | None:
    return next((c for c in token.children if c.dep_ in _SUBJECTS and c.dep_ != "expl"), None)


def _find_subject(token: Token) -> Token | None:
    """The subject, through conjunction, control and relative clauses."""
    own = _own_subject(token)
    if own is not None:
        if own.tag_ in ("WP", "WDT") and token.dep_ == "relcl":
            return token.head
        return own
    head = token.head
    if token.dep_ in ("conj", "dep") and head != token and head.pos_ in ("VERB", "AUX"):
        return _find_subject(head)
    if token.dep_ == "conj" and head.dep_ in ("acomp", "attr") and head.head.pos_ in ("VERB", "AUX"):
        return _find_subject(head.head)
    if token.dep_ in ("xcomp", "pcomp", "advcl") and head != token:
        while head.pos_ not in ("VERB", "AUX") and head.head != head:
            head = head.head
        if head.pos_ in ("VERB", "AUX") and head != token:
            if token.dep_ == "xcomp" and head.lemma_.lower() in words("control_verbs"):
                other = next((c for c in head.children if c.dep_ in ("dobj", "dative")), None)
                if other is not None:
                    return other
            return _find_subject(head)
    if token.dep_ == "ccomp" and head.pos_ in ("VERB", "AUX") and token.tag_ in ("VBG",):
        return _find_subject(head)
    if token.dep_ == "acl" and head.text.lower() == "one" and head.dep_ == "attr":
        return _own_subject(head.head)
    if token.dep_ == "acl" and head.pos_ in ("NOUN", "PROPN", "PRON"):
        return head
    return None


def _tense(token: Token, auxiliaries: set[str]) -> str:
    if auxiliaries & {"will", "shall", "'ll", "wo"}:
        return "future"
    aux = [c for c in token.children if c.dep_ in ("aux", "auxpass")]
    if any(c.lemma_ == "have" and c.tag_ in ("VBP", "VBZ", "VB") for c in aux):
        return "perfect"
    if any(c.tag_ == "VBD" for c in aux):
        return "past"
    if aux and any(c.tag_ in ("VBZ", "VBP", "MD") for c in aux):
        return "present"
    if token.tag_ == "VBD" or (token.tag_ == "VBN" and not aux):
        return "past"
    if token.text.lower() in _SAME_IN_PAST and not aux and token.tag_ in ("VB", "VBP"):
        return "past"
    return "base" if token.tag_ == "VB" and not aux else "present"


def frame_of(token: Token, sentence: Sentence) -> Frame:
    """The frame of one verb."""
    auxiliaries = {
        c.lemma_.lower() if c.lemma_ != "'d" else "'d" for c in token.children if c.dep_ in ("aux", "auxpass")
    }
    auxiliaries |= {c.text.lower() for c in token.children if c.dep_ == "aux"}
    frame = Frame(token, sentence, lemma_of(token), auxiliaries=frozenset(auxiliaries))
    frame.tense = _tense(token, auxiliaries)
    _arguments(frame, token)
    frame.subject = _find_subject(token)
    lefts = {c.text.lower() for c in token.children if c.dep_ in ("neg", "advmod", "preconj", "det")}
    if (
        frame.lemma == "get"
        and token.tag_ in ("VBN", "VBD")
        and frame.tense == "perfect"
        and any(c.text.lower() in ("'ve", "have", "has", "'s") for c in token.children)
    ):
        frame.lemma, frame.tense = "have", "present"  # "I've got two cats"
    frame.negated = bool(lefts & _NEGATIONS - {"no"})
    words = [t.text.lower() for t in token.subtree]
    longer = "no longer" in " ".join(words)
    frame.ended = "anymore" in words or longer or ("any" in words and "more" in words and frame.negated)
    frame.negated = frame.negated or longer
    for other in (frame.object, frame.complement):
        if other is not None and any(
            c.dep_ in ("det", "neg") and c.text.lower() in ("no", "neither") for c in other.children
        ):
            frame.negated = True
    frame.passive = any(c.dep_ in ("auxpass", "nsubjpass") for c in token.children)
    frame.progressive = token.tag_ == "VBG" and (
        (token.dep_ == "acl" and token.head.text.lower() == "one")
        or any(c.lemma_ == "be" for c in token.children if c.dep_ == "aux")
    )
    return frame


def frames(sentence: Sentence) -> list[Frame]:
    """Every clause of a sentence in order, each linked to the one it depends on."""
    found = {t.i: frame_of(t, sentence) for t in sentence.doc if _is_clause(t)}
    for frame in found.values():
        head = frame.verb.head
        while head.i not in found and head.head != head:
            head = head.head
        if head.i in found and head.i != frame.verb.i:
            frame.parent = found[head.i]
    for frame in found.values():
        _inherit(frame)
    return [found[i] for i in sorted(found)]


def _carried_out(frame: Frame, parent: Frame) -> bool:
    """ "I had to sell it", "was able to save it", "got the chance to meet them": it was done, not only meant."""
    verb, over = frame.verb, parent.tense in ("past", "perfect")
    if verb.dep_ in ("acl", "relcl"):
        return over and verb.tag_ == "VB" and verb.head.lemma_.lower() in ("chance", "opportunity", "pleasure", "honor")
    if verb.dep_ != "xcomp":
        return False
    if parent.verb.text.lower() == "got":
        return True
    able = parent.complement is not None and parent.complement.text.lower() in ("able", "lucky", "fortunate")
    return over and (parent.lemma in ("have", "manage") or (parent.lemma == "be" and able))


def _inherit(frame: Frame) -> None:
    """What a clause takes over from the one it hangs on: tense and negation of a conjunct, a left-out subject."""
    verb, parent = frame.verb, frame.parent
    bare = not any(c.dep_ in ("aux", "auxpass") for c in verb.children)
    if parent is not None and verb.dep_ == "conj" and bare and _own_subject(verb) is None:
        frame.auxiliaries |= parent.auxiliaries
        if verb.tag_ in ("VB", "VBG", "VBN") and parent.verb.tag_ == verb.tag_:
            frame.tense, frame.progressive = parent.tense, parent.progressive
    if (
        parent is not None
        and verb.tag_ == "VBG"
        and bare
        and verb.dep_ in ("advcl", "xcomp", "pcomp", "conj")
        and not frame.progressive
    ):
        frame.tense = parent.tense
    if parent is not None and _carried_out(frame, parent):
        frame.tense = "past"
    if frame.subject is None and (
        parent is None or verb.dep_ in ("ROOT", "ccomp", "conj", "dep", "parataxis", "advcl")
    ):
        root = frame
        while root.parent is not None and root.subject is None:
            root = root.parent
        frame.dropped = root.subject is None
