"""What no verb rule names: plans, aims, habits with their frequency, and dated deeds, as short verb phrases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .drafts import Draft
from .frames import Frame
from .lexicon import pattern, words
from .people import Ref
from .phrases import dated, is_name, kin_of, listed, noun_phrase, verb_phrase
from .rules import Clause

if TYPE_CHECKING:
    from spacy.tokens import Token

_FREQUENCY = pattern("frequency", re.I)
_ASKED_PASTIME = pattern("asked_pastime", re.I)
_VAGUELY = re.compile(r"always|usually|normally|typically|every time", re.I)


def _subject_ok(clause: Clause) -> bool:
    return clause.subject is not None and clause.subject.type in ("person", "animal")


def _has_content(clause: Clause) -> bool:
    """Whether the verb comes with something that tells one deed from another."""
    frame = clause.frame
    held = [t for t in (frame.object, frame.infinitive) if t is not None] + [t for _, t in frame.preps]
    solid = [
        t
        for t in held
        if t.pos_ in ("NOUN", "PROPN", "VERB")
        and not dated(t, clause.dates)
        and (_specified(t) or not (listed(t, "generic") or t.text.lower() in words("generic")))
    ]
    return bool(solid)


def _specified(token: Token) -> bool:
    """ "A short story about a lighthouse": a noun that says little, with a phrase that says what it is."""
    inner = (o for c in token.children if c.dep_ == "prep" for o in c.children if o.dep_ == "pobj")
    return token.pos_ == "NOUN" and any(
        o.pos_ in ("NOUN", "PROPN") and not listed(o, "generic") and not listed(o, "abstract") for o in inner
    )


def _addressed(clause: Clause) -> bool:
    return any(t.text.lower() in ("you", "your") for t in clause.frame.verb.subtree)


def _phrase(clause: Clause) -> str:
    tokens = verb_phrase(clause.frame.verb, clause.dates)
    while len(tokens) > 1 and tokens[-1].pos_ == "ADP" and tokens[-1].dep_ in ("prep", "dative", "agent"):
        tokens.pop()  # its object was left out ("setting up something like this for my kids")
    return clause.frame.sentence.written(tokens)


def apply(clause: Clause, said: bool) -> Iterator[Draft]:
    """Plans, aims, habits and deeds; `said` is whether another rule already spoke for the clause."""
    if clause.status.kind == "none":
        return
    if not _subject_ok(clause):
        yield from () if said else possessed(clause)
        yield from () if said else _expected(clause)
        return
    kind = clause.status.kind
    if kind in ("planned", "possible", "goal", "duty"):
        yield from _intended(clause, said)
    elif not said:
        yield from _habit(clause)
        yield from _deed(clause)


_ARRIVALS = {"come", "arrive", "start", "open", "visit", "begin", "end", "finish", "close", "leave"}


def _expected(clause: Clause) -> Iterator[Draft]:
    """ "The movers are coming on the 1st": a dated arrival is a plan of the speaker's."""
    frame, subject = clause.frame, clause.frame.subject
    if subject is None or subject.pos_ not in ("NOUN", "PROPN"):
        return
    shown = frame.object is not None and any(c.text.lower() in ("my", "our") for c in frame.object.lefts)
    if not (frame.lemma in _ARRIVALS or shown or listed(subject, "group")):
        return  # "the gallery's showing my prints", "the choir's singing in the cathedral"
    known = any(c.dep_ in ("det", "poss") and c.text.lower() in ("the", "my", "our") for c in subject.children)
    if not known or clause.status.kind != "planned" or not clause.ahead or clause.status.negated:
        return
    told = verb_phrase(frame.verb, clause.dates) if frame.lemma not in _ARRIVALS else [frame.verb]
    what = frame.sentence.written([*noun_phrase(subject, clause.dates, deep=False), *told])
    was, clause.subject = clause.subject, Ref(clause.discourse.speaker)
    yield clause.draft("plans", what, rule="plan", confidence=0.7)
    clause.subject = was


def _intended(clause: Clause, said: bool) -> Iterator[Draft]:
    frame, kind = clause.frame, clause.status.kind
    if clause.status.negated or said or _addressed(clause):
        return
    becoming = kind == "goal" and frame.complement is not None and frame.complement.pos_ == "NOUN"
    if frame.verb.pos_ == "AUX" and not becoming:
        return
    bound = frame.lemma in ("go", "move", "travel", "fly", "return", "drive") and bool(frame.preps)
    if frame.infinitive is not None and frame.infinitive.pos_ == "VERB" and frame.lemma != "learn" and not bound:
        return  # its complement says what is meant
    vague = frame.object is not None and (frame.object.pos_ == "PRON" or listed(frame.object, "generic"))
    if vague and clause.point is None and not any(t.pos_ == "PROPN" for _, t in frame.preps):
        return  # "I'll add it to my list"
    when = clause.point is not None or clause.since is not None
    if (kind == "duty" and not when) or (
        frame.lemma in words("talk_verbs") and kind in ("planned", "duty") and not (when and frame.object is not None)
    ):
        return
    if frame.lemma in words("empty_verbs") - words("light_verbs") - {"meet", "be", "become"} or (
        not (_has_content(clause) or becoming or frame.lemma == "learn")
        and not (frame.lemma == "stay" and clause.until is not None)
        and frame.lemma not in ("camp", "move", "marry", "retire", "travel", "propose", "hike", "swim", "volunteer")
        and not (when and frame.lemma in ("open", "start", "graduate", "perform", "leave", "defend", "return", "visit"))
    ):
        return
    if kind == "possible" and (frame.tense in ("past", "perfect") or (frame.tense == "present" and _static(clause))):
        return
    text = _phrase(clause)
    if kind == "goal":
        yield clause.draft("goal", text, modality="actual", rule="goal", confidence=0.7)
    else:
        yield clause.draft("plans", text, rule="plan", confidence=0.8)


def _static(clause: Clause) -> bool:
    """ "I probably have loads of books" guesses at what is, not at what will be."""
    modal = clause.frame.auxiliaries & {"might", "may", "could", "will"}
    return not modal and clause.frame.lemma in ("have", "own", "know", "like", "love", "live", "work", "own", "keep")


def _frequency(clause: Clause) -> re.Match[str] | None:
    """The first expression of how often after the verb, or else in the sentence."""
    text, verb = clause.frame.sentence.doc.text, clause.frame.verb
    return _FREQUENCY.search(text, verb.idx) or _FREQUENCY.search(text)


def _habit(clause: Clause) -> Iterator[Draft]:
    frame = clause.frame
    lately = frame.progressive and frame.tense == "perfect"  # "I've been training every morning"
    if (frame.tense not in ("present", "base") and not lately) or frame.verb.pos_ == "AUX":
        return
    if clause.subject is not None and clause.subject.type == "animal":
        return
    if frame.object is not None and (listed(frame.object, "abstract") or listed(frame.object, "generic")):
        return
    hanging = frame.verb.dep_ in ("xcomp", "ccomp", "pcomp", "acl", "relcl") and not lately
    hanging = hanging or (frame.verb.tag_ == "VB" and any(c.tag_ == "TO" for c in frame.verb.lefts))
    if hanging or (not lately and (frame.progressive or frame.verb.tag_ == "VBG")):
        return
    if frame.object is not None and frame.object.pos_ == "PRON":
        return
    if any(c.text.lower() == "never" for c in frame.verb.lefts) and frame.object is not None:
        if frame.object.pos_ in ("NOUN", "PROPN") and frame.lemma not in words("empty_verbs") - words("light_verbs"):
            yield clause.draft("habit", _phrase(clause), polarity="-", rule="habit", confidence=0.7)
        return
    if _ASKED_PASTIME.search(clause.discourse.question) and _pastime(clause):
        yield clause.draft("hobby", _phrase(clause), rule="answer", confidence=0.7)
        return
    found = _frequency(clause)
    outing = frame.lemma == "go" and any(word == "to" and t.pos_ in ("NOUN", "PROPN") for word, t in frame.preps)
    if found and outing and not _VAGUELY.match(found[0]) and not clause.status.negated:
        tokens = verb_phrase(frame.verb, clause.dates)
        tokens += [t for t in frame.sentence.doc if found.start() <= t.idx < found.end()]
        text = frame.sentence.written(sorted(set(tokens), key=lambda t: t.i))
        yield clause.draft("habit", text, rule="habit", confidence=0.7)
        return
    if found and (
        frame.infinitive is not None
        or (frame.lemma in words("empty_verbs") - words("light_verbs") - {"have"} and not _done_by_name(frame))
        or (frame.subject is not None and frame.subject.text.lower() == "we")
    ):
        return
    if (
        found
        and (frame.object is not None or frame.preps or frame.lemma in words("sports_verbs"))
        and not clause.status.negated
    ):
        inner = next((c for c in frame.verb.rights if c.tag_ == "VBG" and c.dep_ in ("xcomp", "advcl", "acl")), None)
        if frame.lemma == "spend" and inner is not None:
            yield clause.draft("habit", frame.sentence.written(verb_phrase(inner, clause.dates)), rule="habit")
            return
        tokens = verb_phrase(frame.verb, clause.dates)
        tokens += [t for t in frame.sentence.doc if found.start() <= t.idx < found.end()]
        yield clause.draft(
            "habit", frame.sentence.written(sorted(set(tokens), key=lambda t: t.i)), rule="habit", confidence=0.7
        )


def _pastime(clause: Clause) -> bool:
    """Whether the clause can answer what somebody does for pleasure: "I go for long walks"."""
    frame, subject = clause.frame, clause.subject
    own = subject is not None and subject.name == clause.discourse.speaker
    idle = frame.lemma in words("empty_verbs") - {"go", "do", "take", "listen", "watch"}
    return (
        own
        and not idle
        and not clause.status.negated
        and (_has_content(clause) or frame.lemma in words("sports_verbs"))
    )


def _done_by_name(frame: Frame) -> bool:
    """ "I do long rides on Sundays": an empty verb whose object says what is done."""
    held = frame.object
    return frame.lemma == "do" and held is not None and held.pos_ == "NOUN" and not listed(held, "generic")


def _deed(clause: Clause) -> Iterator[Draft]:
    frame = clause.frame
    if (
        clause.status.negated
        or frame.tense not in ("past", "perfect")
        or frame.verb.pos_ == "AUX"
        or _addressed(clause)
    ):
        return
    if (frame.lemma == "pass" and "away" in _phrase(clause)) or frame.lemma == "die":
        yield clause.draft("did", "passed away" if frame.lemma == "pass" else "died", rule="deed")
        return
    if _only_when(clause):
        return  # "since I finished school" only says when something else was
    if frame.lemma in _ALONE and frame.object is None and frame.tense == "past":
        yield clause.draft("did", frame.verb.text.lower(), rule="deed", confidence=0.7)
        return
    phrase = _deed_phrase(clause)
    if phrase:
        yield clause.draft("did", phrase, rule="deed", confidence=0.7)
    if phrase and frame.lemma in ("open", "start", "found", "launch") and frame.object is not None:
        founded = listed(frame.object, "shop") or listed(frame.object, "company")
        if founded and not frame.passive:
            what = frame.sentence.written(noun_phrase(frame.object, clause.dates, deep=False))
            yield clause.draft("owns", what, rule="deed", confidence=0.7)


_WHEN = {"since", "when", "while", "until", "till", "before", "after"}
_ALONE = {"retire", "graduate", "propose", "elope"}
_RESOLVES = {"decide", "choose", "agree", "plan", "offer", "promise", "arrange"}
_HANGING = ("pcomp", "advcl", "acl", "xcomp", "conj")
_PHASES = {"start", "begin", "stop", "finish", "end", "quit"}


def _only_when(clause: Clause) -> bool:
    verb = clause.frame.verb
    marked = any(c.text.lower() in _WHEN for c in verb.children)
    return clause.point is None and verb.dep_ == "advcl" and marked


def _deed_phrase(clause: Clause) -> str:
    """The deed in words; empty where the clause tells of none worth keeping."""
    frame, when = clause.frame, clause.point is not None
    if frame.lemma in ("name", "call"):
        return ""
    if frame.verb.dep_ == "relcl" and frame.object is None:
        return ""  # "that stuff I baked at the shelter" tells what was baked, not where it went
    if frame.progressive or (frame.verb.tag_ == "VBG" and frame.verb.dep_ in _HANGING):
        return ""
    if frame.lemma == "grow" and frame.particle == "up":
        return ""
    if frame.lemma in _RESOLVES and frame.infinitive is not None and frame.infinitive.tag_ == "VB":
        return ""  # the plan is what counts
    inner = frame.infinitive or frame.clausal
    if frame.lemma == "help" and inner is not None and inner.pos_ == "VERB" and frame.object is None:
        helped = [c for c in inner.lefts if c.dep_ in ("nsubj", "poss")]
        tokens = [frame.verb, *helped, *verb_phrase(inner, clause.dates)]
        return frame.sentence.written(sorted(set(tokens), key=lambda t: t.i))
    if frame.infinitive is not None and frame.infinitive.tag_ == "VBG":
        told = when or any(c.dep_ == "dobj" for c in frame.infinitive.children)
        return _phrase(clause) if told and frame.lemma in _PHASES else ""
    if not _has_content(clause):
        return ""
    done = frame.lemma in words("deeds")
    if frame.lemma == "raise" and frame.passive:
        return ""
    if frame.passive:
        return _phrase(clause) if done or when else ""
    if frame.object is None:
        placed = any(word in ("at", "for", "in", "to", "with", "from", "on") for word, _ in frame.preps)
        counts = (done and placed and frame.lemma not in words("empty_verbs")) or (
            when and frame.lemma not in words("empty_verbs")
        )
        return _phrase(clause) if counts else ""
    if frame.object.pos_ == "PRON" and not frame.preps:
        return ""
    empty = words("empty_verbs") - words("light_verbs")
    vague = listed(frame.object, "abstract") or listed(frame.object, "generic")
    if frame.lemma in empty or (vague and not (done and _specified(frame.object))):
        return _phrase(clause) if done and when else ""
    return _phrase(clause) if done or when or _own_doing(clause) or _act(clause) else ""


def _act(clause: Clause) -> bool:
    """Any verb of doing, in a main clause and over, that a thing of its own was done to: "swallowed a sock"."""
    frame, held = clause.frame, clause.frame.object
    if frame.tense != "past" or frame.verb.tag_ != "VBD" or held is None or held.pos_ not in ("NOUN", "PROPN"):
        return False
    if frame.verb.dep_ not in ("ROOT", "conj", "ccomp") or (frame.parent is not None and frame.verb.dep_ == "ccomp"):
        return False
    if frame.lemma in words("empty_verbs") | words("talk_verbs") | words("stirring_verbs"):
        return False
    return is_name(held) or any(c.dep_ in ("det", "poss", "nummod", "compound") for c in held.children)


def _own_doing(clause: Clause) -> bool:
    """A light verb with an object of the speaker's own world: "made a cake", "got a tattoo"."""
    frame = clause.frame
    return (
        frame.lemma in ("make", "take", "bring", "get", "throw", "hold", "give")
        and frame.object is not None
        and frame.object.pos_ in ("NOUN", "PROPN")
        and frame.parent is None
        and clause.subject is not None
        and clause.subject.name == clause.discourse.speaker
    )


def possessed(clause: Clause) -> Iterator[Draft]:
    """What befell something of the speaker's: "our team won the cup", "my painting got picked for the show"."""
    frame, subject = clause.frame, clause.frame.subject
    if subject is None or subject.pos_ not in ("NOUN", "PROPN") or clause.status.kind != "actual":
        return
    owner = clause.resolver.owner_of(subject)
    if owner is None or owner.name != clause.discourse.speaker or kin_of(subject) or listed(subject, "animal"):
        return
    was, clause.subject = clause.subject, owner
    grouped = listed(subject, "group") or subject.lemma_.lower() in ("team", "band", "crew", "club", "family")
    for draft in _deed(clause):
        if not grouped:
            things = noun_phrase(subject, clause.dates, deep=False)
            draft.object = f"{frame.sentence.written(things)} {draft.object}"
        yield draft
    clause.subject = was
