"""Whether a clause is asserted, and how firmly.

Questions, wishes, conditions, fiction, sarcasm and instructions assert nothing; plans, duties, hopes
and guesses do, each in its own modality. The cues are data (`data/cues.json`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from .frames import Frame
from .lexicon import data
from .parse import Sentence

Kind = Literal["actual", "planned", "possible", "goal", "duty", "none"]


@dataclass(frozen=True)
class Status:
    """How a clause stands: its kind, its polarity, and whether it tells of an end ("stopped smoking")."""

    kind: Kind
    negated: bool = False
    ended: bool = False


NONE = Status("none")
_GIVEN = {"since", "because", "as", "although", "though"}


@cache
def cue(name: str) -> frozenset[str]:
    """A list of cue words."""
    return frozenset(data("cues")[name].split("|"))


@cache
def _pattern(name: str) -> re.Pattern[str]:
    raw = data("cues")[name]
    return re.compile(raw if isinstance(raw, str) else "|".join(raw), re.I)


def asks(sentence: Sentence) -> bool:
    """Whether the sentence is a question, with or without its mark."""
    return sentence.segment.question or bool(_pattern("question").search(sentence.doc.text))


def blocked(sentence: Sentence) -> bool:
    """Whether nothing in the sentence is meant as a statement of fact."""
    return asks(sentence) or bool(_pattern("blocked").search(sentence.doc.text))


def spreads(sentence: Sentence) -> bool:
    """Whether the sentence opens fiction or pasted text that goes on after it."""
    return bool(_pattern("spreading").search(sentence.doc.text))


def sarcastic(text: str) -> bool:
    """Whether the wording gives away that the opposite is meant."""
    return bool(_pattern("sarcasm").search(text))


def _marked(frame: Frame) -> str:
    return next((c.text.lower() for c in frame.verb.children if c.dep_ == "mark"), "")


def _conditional(frame: Frame) -> bool:
    if _marked(frame) in ("if", "unless", "whether", "lest", "should"):
        return True
    return any(
        c.dep_ == "advcl" and any(m.dep_ == "mark" and m.text.lower() in ("if", "unless") for m in c.children)
        for c in frame.verb.children
    )


def _own(frame: Frame, future: bool) -> Kind:
    """The kind a clause has by its own verb group."""
    aux, verb = frame.auxiliaries, frame.verb
    words = {c.text.lower() for c in verb.children if c.dep_ in ("advmod", "aux", "neg")}
    if aux & {"would", "'d"} and frame.lemma not in ("like", "love", "prefer") and frame.tense != "perfect":
        return "none"
    if aux & {"might", "may"} or words & cue("possible"):
        return "possible"
    if aux & {"could", "should", "ought"}:
        return "none"
    if aux & {"must"}:
        return "duty"
    if frame.tense == "future":
        return "planned"
    if frame.progressive and frame.tense == "present" and (future or frame.lemma in cue("arranged")):
        return "planned"
    if frame.passive and frame.tense == "present" and future:
        return "planned"  # "is getting married in May"
    if frame.tense == "present" and future and frame.lemma in cue("timetabled") and not frame.dropped:
        return "planned"
    if frame.dropped and "do" in aux and frame.negated:
        return "none"  # "Don't miss a beat!"
    if (
        frame.tense == "base"
        and frame.dropped
        and not (frame.lemma in cue("bare") or frame.verb.i > frame.verb.sent.start + 3)
    ):
        return "none"  # an imperative
    if frame.tense == "base" and frame.dropped and frame.lemma not in cue("bare"):
        return "none"
    return "actual"


def _step(parent: Frame, child: Frame, kind: Kind) -> Status | None:
    """What hanging under `parent` does to `child`; None when the parent leaves it as it is."""
    lemma, dep = parent.lemma, child.verb.dep_
    if dep in ("conj", "relcl", "parataxis", "dep", "appos", "acl") or _loose(child):
        return None
    if lemma in ("feel", "seem", "look") and any(c.text.lower() == "like" for c in parent.verb.children):
        return NONE  # "it feels like yesterday I put this dress on"
    if dep == "advcl":
        return Status("none") if parent.auxiliaries & {"would", "could"} else None
    bare_infinitive = child.verb.tag_ == "VB"
    if parent.auxiliaries & {"would", "'d"} and lemma in ("like", "love", "prefer"):
        return Status("goal", parent.negated)
    if lemma in cue("stop"):
        return Status("actual", not parent.negated, ended=not parent.negated)
    if (lemma == "think" and dep == "pcomp") or (
        lemma in cue("consider") and dep in ("xcomp", "pcomp") and lemma != "think"
    ):
        return Status("possible", parent.negated)
    if lemma == "use" and bare_infinitive:
        return Status("actual", True, ended=True)
    if lemma in ("go",) and parent.progressive and bare_infinitive and dep == "xcomp":
        return Status("planned", parent.negated)
    if lemma in ("have", "need") and bare_infinitive and dep == "xcomp":
        return None if parent.tense == "past" else Status("duty", parent.negated)
    if lemma in cue("training") and bare_infinitive and dep in ("xcomp", "advcl"):
        return Status("goal", parent.negated)
    if (
        bare_infinitive
        and dep == "xcomp"
        and lemma in ("hope", "want", "wish", "dream", "aspire", "long", "aim", "seek")
    ):
        return (
            Status("none")
            if parent.verb.tag_ == "VBD" or child.subject != parent.subject
            else Status("goal", parent.negated)
        )
    if lemma in ("dream",) and dep == "pcomp":
        return Status("goal", parent.negated)
    if parent.verb.text.lower() == "got" and bare_infinitive:
        return None  # "I got to teach a class"
    if bare_infinitive and dep == "xcomp" and lemma in cue("plan") and lemma not in cue("through"):
        return Status("planned", parent.negated)
    if lemma in ("plan", "look") and dep in ("pcomp", "xcomp"):
        return Status("planned", parent.negated)
    if lemma in ("decide", "agree", "promise", "choose") and bare_infinitive:
        return Status("planned", parent.negated)
    if lemma == "be" and bare_infinitive and any(c.text.lower() == "off" for c in parent.verb.children):
        return Status("planned", parent.negated)
    if lemma == "be" and bare_infinitive and dep == "xcomp":
        return _of_adjective(parent, child)
    if lemma in cue("say") and dep == "ccomp" and parent.negated:
        return NONE  # "I never said I was moving"
    if lemma in cue("think") and dep == "ccomp":
        return Status("possible", child.negated or parent.negated) if lemma != "feel" else NONE
    if lemma in cue("unreal") or (lemma == "hope" and dep == "ccomp"):
        return NONE
    return None


def _loose(child: Frame) -> bool:
    """A clause complement that stands before its governor is a comma splice: it speaks for itself."""
    return bool(child.verb.dep_ == "ccomp" and child.verb.i < child.verb.head.i)


def _of_adjective(parent: Frame, child: Frame) -> Status | None:
    word = parent.complement.text.lower() if parent.complement is not None else ""
    if word in ("able", "lucky", "fortunate") and parent.tense in ("past", "perfect"):
        return Status("actual", parent.negated)
    if word in ("due", "set", "about", "ready", "scheduled", "supposed"):
        return Status("planned", parent.negated)
    if word in ("keen", "eager", "hoping", "desperate"):
        return Status("goal", parent.negated)
    if word in ("unsure", "likely", "tempted", "bound"):
        return Status("possible", parent.negated)
    return NONE


def status_of(frame: Frame, future: bool) -> Status:
    """How the clause stands. `future` says whether a date in it lies ahead."""
    kind = _own(frame, future)
    negated, ended = frame.negated, frame.ended
    current: Frame | None = frame
    for _ in range(6):
        if current is None or kind == "none":
            break
        if _conditional(current):
            return NONE
        parent = current.parent
        if parent is None:
            break
        if current.verb.dep_ == "advcl" and _marked(current) in _GIVEN and not parent.auxiliaries & {"would", "could"}:
            break  # "I'd like to save up, since I'm using my phone": a reason stands by itself
        step = _step(parent, current, kind)
        if step is not None:
            if step.kind == "none":
                return NONE
            kind = step.kind if kind in ("actual", "planned", "duty") and step.kind != "actual" else kind
            negated = negated != step.negated if step.negated else negated
            ended = ended or step.ended
        if current.verb.dep_ not in ("conj", "relcl", "parataxis", "dep", "appos", "acl") and not _loose(current):
            above = _own(parent, future)
            if above == "none" and parent.lemma not in (
                "like",
                "love",
                "prefer",
                "remind",
                "remember",
                "note",
                "know",
                "tell",
                "guess",
            ):
                return NONE
            if above in ("planned", "possible") and kind == "actual" and current.verb.dep_ in ("xcomp", "pcomp"):
                kind = above
        current = parent
    return Status(kind, negated, ended)
