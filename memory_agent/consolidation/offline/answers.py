"""Short answers, read with the question they answer: "Luna and Oliver!", "Yes, for two years now", "40 min by tram"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from .classes import fits
from .drafts import Draft
from .frames import conjuncts
from .lexicon import data, pattern, words
from .people import Discourse, name_phrase
from .phrases import is_name, noun_phrase

if TYPE_CHECKING:
    from spacy.tokens import Span, Token

    from .parse import Sentence

_LEAD = pattern("answer_lead", re.I)
_PETS = pattern("pets", re.I)
_JOURNEY = pattern("journey", re.I)
_CHILDREN = re.compile(r"\b(?:kids?|children|baby|babies|son|daughter|twins|newborn)\b", re.I)
_YOU = (
    (r"\byour\b", "my"),
    (r"\byours\b", "mine"),
    (r"\byourself\b", "myself"),
    (r"\byou(?:'re| are|re)\b", "I am"),
    (r"\byou(?:'ve| have)\b", "I have"),
    (r"\byou\b", "I"),
)


@lru_cache(maxsize=1)
def _questions() -> tuple[tuple[re.Pattern[str], dict[str, Any]], ...]:
    return tuple((re.compile(entry["re"], re.I), entry) for entry in data("answers")["wh"])


@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(data("answers")[name], re.I)


def polarity(text: str) -> str:
    """ "+" when an answer opens with yes, "-" with no, "" otherwise."""
    return "+" if _pattern("yes").search(text) else "-" if _pattern("no").search(text) else ""


def statement(question: str) -> str | None:
    """A yes-or-no question to "you" as a statement about "I"; None when it is another kind of question."""
    lasting = re.search(r"\bhow long (?:have|has) you (?P<rest>[^?]*)\?", question, re.I)
    if lasting:
        text = f"I have {lasting['rest']}."
        for second, first in _YOU:
            text = re.sub(second, first, text, flags=re.I)
        return text
    often = re.search(r"\bhow often do you (?:guys |all )?(?P<rest>[^?]*)\?", question, re.I)
    if often:
        return f"I {often['rest']} @often."
    found = pattern("asked_you", re.I).search(question)
    if not found or re.search(r"\b(?:what|where|who|when|why|how|which)\b", found[0], re.I):
        return None
    aux, rest = (found["aux"] or "").lower(), re.sub(r"\b(?:ever|yet|any|still)\b ", "", found["rest"])
    middle = {
        "do": "",
        "did": "did ",
        "are": "am ",
        "were": "was ",
        "have": "have ",
        "had": "had ",
        "can": "can ",
        "will": "will ",
    }.get(aux)
    if middle is None:
        middle = aux.replace("n't", "") + " " if aux and aux not in ("is", "was") else "" if not aux else aux + " "
    if not aux and not re.match(r"(?:still )?\w+ing\b|still|got|have|live|work|play|speak|like", found["rest"], re.I):
        return None
    if not aux and re.match(r"(?:still )?\w+ing\b", found["rest"], re.I):
        middle = "am "
    text = f"{found['you']} {middle}{rest}"
    for second, first in _YOU:
        text = re.sub(second, first, text, flags=re.I)
    return text.strip() + "."


def _fragment(sentence: Sentence) -> list[Token]:
    """The heads of a verbless answer; none when it is a full sentence of its own."""
    doc = _before_clause(sentence)
    start = _LEAD.sub("", sentence.doc.text[sentence.lead :])[:1]
    if not start:
        return []
    verbs = [
        t
        for t in doc
        if not _has_to_be(t)
        and t.pos_ in ("VERB", "AUX")
        and t.dep_ in ("ROOT", "ccomp", "conj")
        and t.tag_ not in ("VBG",)
    ]
    if any(
        v.lemma_ != "be" or not any(c.text.lower() in ("it", "they", "he", "she", "name", "names") for c in v.children)
        for v in verbs
    ):
        return []
    if sentence.doc[0].text.lower() in (
        "hey",
        "hi",
        "hello",
        "thanks",
        "thank",
        "wow",
        "that",
        "sorry",
        "aww",
        "aw",
        "awesome",
        "congrats",
        "glad",
        "sounds",
    ):
        return []
    if any(c.text.lower() in ("it", "that") for v in verbs for c in v.children if c.dep_ == "nsubj") and any(
        t.pos_ == "ADJ" and t.dep_ in ("amod", "acomp") for t in doc
    ):
        return []
    heads = [
        t
        for t in doc
        if t.pos_ in ("NOUN", "PROPN", "NUM", "X")
        and t.dep_ not in ("compound", "amod", "nummod", "poss", "nmod", "npadvmod", "nsubj")
    ]
    heads = [t for t in heads if t.idx >= sentence.lead]
    if not heads:
        heads = [t for t in doc if t.pos_ in ("PROPN", "NOUN", "NUM", "VERB") and t.tag_ not in ("VB", "VBP", "VBD")]
    return [t for t in conjuncts(heads[0]) if t.i < doc.end] if heads else []


def tacked_on(sentence: Sentence) -> bool:
    """Whether a clause of its own follows a verbless answer, so that what it says is beside the answer."""
    return len(_before_clause(sentence)) < len(sentence.doc)


def _before_clause(sentence: Sentence) -> Span:
    """The sentence up to where a clause of its own is tacked on: "Just outside Leeds, we moved in the spring"."""
    doc = sentence.doc
    for comma in (t for t in doc if t.text == "," and 0 < t.i < len(doc) - 1):
        after = doc[comma.i + 1 :]
        verbs = [t for t in doc[: comma.i] if t.pos_ in ("VERB", "AUX") and t.idx >= sentence.lead]
        if not all(v.lemma_ == "be" or _has_to_be(v) for v in verbs):
            break
        if any(t.dep_ in ("nsubj", "nsubjpass") for t in after[:3]):
            return doc[: comma.i]
    return doc[:]


def _has_to_be(token: Token) -> bool:
    """ "It has to be X", "I'd say X" and their like give an answer as "it is X" does."""
    if token.lemma_ == "have" and [t.text for t in token.doc[token.i + 1 : token.i + 3]] == ["to", "be"]:
        return True
    return token.lemma_ == "say" and any(c.text.lower() in ("'d", "would") for c in token.children)


def read(sentence: Sentence, question: str, discourse: Discourse) -> Iterator[Draft]:
    """What a fragment says as the answer to a question with a question word."""
    entry = next((e for asked, e in _questions() if asked.search(question)), None)
    if entry is None or len(_before_clause(sentence)) > 16:
        return
    tail = sentence.doc.text
    kind, predicate = entry["kind"], entry["p"]
    if kind == "journey":
        if found := _JOURNEY.search(tail):
            yield Draft(discourse.speaker, predicate, _within(sentence, *found.span()), rule="answer")
        return
    if polarity(tail) == "-" and kind != "np":
        return
    heads = _fragment(sentence)
    if not heads:
        return
    if kind == "fragment":
        start = _LEAD.match(sentence.doc.text)
        skip = start.end() if start else sentence.lead
        text = sentence.written(
            [t for t in sentence.doc if (t.idx >= skip and not t.is_punct) or (t.idx >= skip and t.text in ("-", "/"))]
        )
        if re.search(r"\d|\b(?:by|on|an?|half) ", text):
            yield Draft(discourse.speaker, predicate, re.split(r",| to ", text)[0].strip(), rule="answer")
        return
    if kind == "number":
        yield from _age(heads, predicate, sentence, discourse)
        return
    if predicate in ("child", "sibling"):  # "Two older brothers, Mark and Dean"
        heads = [t for t in sentence.doc if is_name(t) and t.dep_ != "compound"] or [
            h for h in heads if h.pos_ != "NUM"
        ]
    for head in heads:
        text = _answer(head, kind, sentence)
        if text and text != discourse.addressee:
            yield from _fact(text, head, predicate, entry, question, discourse)


def _within(sentence: Sentence, start: int, end: int) -> str:
    return sentence.written([t for t in sentence.doc if start <= t.idx < end])


def _age(heads: list[Token], predicate: str, sentence: Sentence, discourse: Discourse) -> Iterator[Draft]:
    number = next((t for h in heads for t in h.subtree if t.like_num), None)
    about = discourse.recent() if predicate == "@age" else None
    if number is not None and (predicate != "@age" or about is not None):
        yield Draft(
            about.name if about is not None else discourse.speaker, "has_age", sentence.written([number]), rule="answer"
        )


def _answer(head: Token, kind: str, sentence: Sentence) -> str:
    if kind == "name":
        return name_phrase(head, sentence) if is_name(head) else ""
    if kind == "pet":
        return sentence.written(noun_phrase(head, [])) if fits(head, "animal", sentence) or is_name(head) else ""
    if kind == "title":
        return sentence.written([head]) if sentence.is_title(head) or is_name(head) else ""
    if kind == "place":
        return sentence.written(noun_phrase(head, [])) if head.text[:1].isupper() else ""
    if kind == "language":
        return sentence.written([head]) if fits(head, "language", sentence) else ""
    text = sentence.doc.text[head.idx : head.idx + len(head.text)]
    if head.pos_ in ("PRON", "INTJ") or text.lower() in words("generic") or polarity(text):
        return ""
    return sentence.written(noun_phrase(head, []))


def _fact(
    text: str, head: Token, predicate: str, entry: dict[str, Any], question: str, discourse: Discourse
) -> Iterator[Draft]:
    speaker = discourse.speaker
    if predicate == "@names":
        about = next(
            (p for p in reversed(discourse.people) if not p.named and p.relation and p.relation[0] == speaker), None
        )
        if about is not None and about.relation is not None and not _PETS.search(question):
            yield Draft(speaker, about.relation[1], text, rule="answer", aliases=[(about.name, text)])
        elif _PETS.search(question):
            yield Draft(speaker, "has_pet", text, rule="answer")
        elif _CHILDREN.search(question):
            yield Draft(speaker, "child", text, rule="answer")
    elif predicate == "@species":
        about = discourse.recent(types=("animal",))
        if about is not None:
            yield Draft(about.name, "species", text, rule="answer", subject_type="animal")
    else:
        yield Draft(speaker, predicate, text, modality=entry.get("modality", "actual"), rule="answer")
