"""What no verb rule names: plans, aims, habits with their frequency, and dated deeds, as short verb phrases."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .drafts import Draft
from .lexicon import pattern, words
from .people import Ref
from .phrases import dated, kin_of, listed, noun_phrase, verb_phrase
from .rules import Clause

_FREQUENCY = pattern("frequency", re.I)
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
        and not listed(t, "generic")
        and t.text.lower() not in words("generic")
    ]
    return bool(solid)


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
    if subject is None or subject.pos_ not in ("NOUN", "PROPN") or frame.lemma not in _ARRIVALS:
        return
    known = any(c.dep_ in ("det", "poss") and c.text.lower() in ("the", "my", "our") for c in subject.children)
    if not known or clause.status.kind != "planned" or not clause.ahead or clause.status.negated:
        return
    what = frame.sentence.written([*noun_phrase(subject, clause.dates, deep=False), frame.verb])
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
    if frame.infinitive is not None and frame.infinitive.pos_ == "VERB" and frame.lemma != "learn":
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
    if frame.tense not in ("present", "base") or frame.verb.pos_ == "AUX":
        return
    if clause.subject is not None and clause.subject.type == "animal":
        return
    if frame.object is not None and (listed(frame.object, "abstract") or listed(frame.object, "generic")):
        return
    if frame.progressive or frame.verb.dep_ in ("xcomp", "pcomp", "acl", "relcl") or frame.verb.tag_ == "VBG":
        return
    if frame.object is not None and frame.object.pos_ == "PRON":
        return
    if any(c.text.lower() == "never" for c in frame.verb.lefts) and frame.object is not None:
        if frame.object.pos_ in ("NOUN", "PROPN") and frame.lemma not in words("empty_verbs") - words("light_verbs"):
            yield clause.draft("habit", _phrase(clause), polarity="-", rule="habit", confidence=0.7)
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
        or frame.lemma in words("empty_verbs") - words("light_verbs") - {"have"}
        or (frame.subject is not None and frame.subject.text.lower() == "we")
    ):
        return
    if (
        found
        and (frame.object is not None or frame.preps or frame.lemma in ("run", "swim", "meditate", "jog"))
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
    if frame.lemma in _ALONE and frame.object is None and frame.tense == "past":
        yield clause.draft("did", frame.verb.text.lower(), rule="deed", confidence=0.7)
        return
    phrase = _deed_phrase(clause)
    if phrase:
        yield clause.draft("did", phrase, rule="deed", confidence=0.7)


_WHEN = {"since", "when", "while", "until", "till", "before", "after"}
_ALONE = {"retire", "graduate", "propose", "elope"}
_RESOLVES = {"decide", "choose", "agree", "plan", "offer", "promise", "arrange"}
_HANGING = ("pcomp", "advcl", "acl", "xcomp", "conj")
_PHASES = {"start", "begin", "stop", "finish", "end", "quit"}


def _deed_phrase(clause: Clause) -> str:
    """The deed in words; empty where the clause tells of none worth keeping."""
    frame, when = clause.frame, clause.point is not None
    if not when and frame.verb.dep_ == "advcl" and any(c.text.lower() in _WHEN for c in frame.verb.children):
        return ""  # "since I finished school" only says when something else was
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
    if frame.lemma in empty or listed(frame.object, "abstract") or listed(frame.object, "generic"):
        return _phrase(clause) if done and when else ""
    return _phrase(clause) if done or when or _own_doing(clause) else ""


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
