"""What no verb rule names: plans, aims, habits with their frequency, and dated deeds, as short verb phrases."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .drafts import Draft
from .lexicon import pattern, words
from .phrases import listed, verb_phrase
from .rules import Clause

_FREQUENCY = pattern("frequency", re.I)


def _subject_ok(clause: Clause) -> bool:
    return clause.subject is not None and clause.subject.type in ("person", "animal")


def _has_content(clause: Clause) -> bool:
    """Whether the verb comes with something that tells one deed from another."""
    frame = clause.frame
    held = [t for t in (frame.object, frame.infinitive) if t is not None] + [t for _, t in frame.preps]
    solid = [
        t
        for t in held
        if t.pos_ in ("NOUN", "PROPN", "VERB") and not listed(t, "generic") and t.text.lower() not in words("generic")
    ]
    return bool(solid)


def _addressed(clause: Clause) -> bool:
    return any(t.text.lower() in ("you", "your") for t in clause.frame.verb.subtree)


def _phrase(clause: Clause) -> str:
    return clause.frame.sentence.written(verb_phrase(clause.frame.verb, clause.dates))


def apply(clause: Clause, said: bool) -> Iterator[Draft]:
    """Plans, aims, habits and deeds; `said` is whether another rule already spoke for the clause."""
    if not _subject_ok(clause) or clause.status.kind == "none":
        return
    kind = clause.status.kind
    if kind in ("planned", "possible", "goal", "duty"):
        yield from _intended(clause, said)
    elif not said:
        yield from _habit(clause)
        yield from _deed(clause)


def _intended(clause: Clause, said: bool) -> Iterator[Draft]:
    frame, kind = clause.frame, clause.status.kind
    if clause.status.negated or said or _addressed(clause) or frame.verb.pos_ == "AUX":
        return
    if frame.infinitive is not None and frame.infinitive.pos_ == "VERB":
        return  # its complement says what is meant
    dated = clause.point is not None or clause.since is not None
    if (kind == "duty" and not dated) or (frame.lemma in words("talk_verbs") and kind in ("planned", "duty")):
        return
    if frame.lemma in words("empty_verbs") - words("light_verbs") or (
        not _has_content(clause)
        and frame.lemma not in ("camp", "move", "marry", "retire", "travel", "propose", "hike", "swim", "volunteer")
    ):
        return
    if kind == "possible" and frame.tense in ("past", "perfect"):
        return
    text = _phrase(clause)
    if kind == "goal":
        yield clause.draft("goal", text, modality="actual", rule="goal", confidence=0.7)
    else:
        yield clause.draft("plans", text, rule="plan", confidence=0.8)


def _habit(clause: Clause) -> Iterator[Draft]:
    frame = clause.frame
    if frame.tense not in ("present", "base") or frame.verb.pos_ == "AUX":
        return
    found = _FREQUENCY.search(frame.sentence.doc.text)
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
    dated = clause.point is not None
    if frame.lemma in ("retire", "graduate", "propose", "elope") and frame.object is None and frame.tense == "past":
        yield clause.draft("did", frame.verb.text.lower(), rule="deed", confidence=0.7)
        return
    if frame.infinitive is not None and frame.infinitive.tag_ == "VBG":
        return
    if (
        frame.lemma in words("empty_verbs") - words("light_verbs")
        or not (frame.object is not None or dated)
        or not _has_content(clause)
    ):
        return
    if (frame.lemma in words("deeds") and frame.object is not None) or (
        dated and frame.lemma not in words("empty_verbs")
    ):
        if frame.object is not None and frame.object.pos_ == "PRON":
            return
        yield clause.draft("did", _phrase(clause), rule="deed", confidence=0.7)
