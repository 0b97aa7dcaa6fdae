"""Verbs to predicates: the table in `data/verbs.json`, and the few lines that walk it.

A rule names verbs, the argument it reads ("obj", "iobj", "xcomp", "inf", "@at|for", "none"), the
classes that the argument must or must not be of, and the predicate. For each argument the first
rule that fits speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from memory_agent.records import Modality, PartialDate, Polarity

from .classes import fits
from .dates import Expression
from .drafts import OBJECT_TYPES, Draft
from .frames import Frame, conjuncts
from .lexicon import data, pattern, words
from .people import Discourse, Ref, Resolver, name_below, name_phrase
from .phrases import gerund, is_name, is_place, noun_phrase, verb_phrase
from .regard import at_hand, for_you
from .status import Status

if TYPE_CHECKING:
    from spacy.tokens import Token

    from .parse import Sentence

Rule = dict[str, Any]


@dataclass
class Clause:
    """A frame with all that is known of it: its subject, its standing, its dates."""

    frame: Frame
    subject: Ref | None
    status: Status
    since: PartialDate | None
    until: PartialDate | None
    point: PartialDate | None
    said: date
    ahead: bool
    """Whether its date lies after the turn."""
    dates: list[Expression]
    resolver: Resolver
    discourse: Discourse

    @property
    def modality(self) -> Modality:
        kind = self.status.kind
        return "possible" if kind == "possible" else "planned" if kind in ("planned", "duty", "goal") else "actual"

    def draft(
        self, predicate: str, obj: str, *, polarity: Polarity = "+", rule: str, subject: Ref | None = None, **more: Any
    ) -> Draft:
        """A draft of this clause, with its dates where they belong."""
        who = subject or self.subject
        assert who is not None
        start, end = self.since or self.point, self.until
        if polarity == "-" and predicate not in ("prefers", "likes", "dislikes"):
            start, end = None, end or self.point
        more.setdefault("modality", self.modality)
        more |= {"valid_from": start, "valid_to": end, "subject_type": who.type, "position": self.frame.verb.i}
        return Draft(who.name, predicate, obj, polarity, rule=rule, **more)


@lru_cache(maxsize=1)
def _by_verb() -> dict[str, list[Rule]]:
    index: dict[str, list[Rule]] = {}
    for rule in data("verbs"):
        for verb in rule["v"].split("|"):
            index.setdefault(verb, []).append(rule)
    return index


def _arguments(clause: Clause, rule: Rule) -> list[Token]:
    """The tokens that the rule's argument names in this clause."""
    frame, arg = clause.frame, rule["arg"]
    if arg == "obj":
        token = frame.object or (
            frame.complement if frame.lemma in ("become", "go", "turn", "make", "get", "eat") or frame.passive else None
        )
        return conjuncts(token) if token is not None else []
    if arg == "languages":  # "Hindi at home, English at work and a bit of Dutch"
        last = min((t.i for t in frame.verb.doc[frame.verb.i + 1 :] if t.pos_ == "VERB"), default=len(frame.verb.doc))
        return list(frame.verb.doc[frame.verb.i + 1 : last])
    if arg == "@there":
        return [frame.verb] if any(c.text.lower() in ("there", "here") for c in frame.verb.children) else []
    if arg == "oprd":
        return [frame.complement] if frame.complement is not None else []
    if arg == "iobj":
        return conjuncts(frame.object) if frame.receiver is not None and frame.object is not None else []
    if arg in ("xcomp", "inf"):
        token = frame.infinitive
        if (
            token is None
            or (token.pos_ != "VERB" and not token.text.lower().endswith("ing"))
            or (arg == "inf" and token.tag_ != "VB")
            or (frame.lemma == "learn" and frame.object is not None)  # "learning to sign to talk to Leo"
            or (rule.get("gerund") and not token.text.lower().endswith("ing"))
        ):
            return []
        return list(conjuncts(token))
    if arg == "ccomp":
        said = frame.clausal  # one that stands before its verb is a comma splice
        return [said] if said is not None and said.i > frame.verb.i else []
    if arg.startswith("@"):
        wanted = arg[1:].split("|")
        return [
            t for word, t in frame.preps if word in wanted or (frame.particle and f"{frame.particle} {word}" in wanted)
        ]
    return [frame.verb]


def _fits_clause(clause: Clause, rule: Rule) -> bool:
    frame, status = clause.frame, clause.status
    if rule.get("o") in ("married", "engaged") and status.kind != "actual":
        return False
    particle = rule.get("prt")
    if particle == "-" and frame.particle:
        return False
    if (
        particle
        and particle != "-"
        and frame.particle not in particle.split("|")
        and not any(c.text.lower() in particle.split("|") for c in frame.verb.rights)
    ):
        return False
    if rule.get("passive") and not (frame.passive or (frame.verb.tag_ == "VBN" and frame.tense != "perfect")):
        return False
    if not rule.get("passive") and frame.passive and rule["arg"] in ("obj", "iobj"):
        return False
    if rule.get("cannot") and not (frame.negated and frame.auxiliaries & {"can", "could", "ca"}):
        return False
    if rule.get("neg_only") and not (status.negated or frame.lemma in ("avoid", "skip", "drop")):
        return False
    present = frame.tense in ("present", "base") or (frame.tense == "perfect" and frame.progressive)
    if (rule.get("present_only") and not present) or (rule.get("past_only") and (present or status.kind != "actual")):
        return False
    plain = frame.verb.tag_ != "VBG" and frame.object is None and not status.negated
    if (
        frame.lemma == "try"
        and rule["p"] in ("hobby", "did")
        and pattern("only_once", re.I).search(frame.sentence.doc.text)
    ):
        return False  # "I tried jogging once"
    if rule["p"] == "child" and present and any(c.text.lower() in ("when", "once") for c in frame.verb.lefts):
        return False  # "for when I have kids"
    if rule.get("simple_only") and not (plain and not _taught(frame) and not _purposed(frame)):
        return False
    if rule.get("perfect_only") and frame.tense != "perfect":
        return False
    if rule.get("progressive_only") and not frame.progressive:
        return False
    if rule.get("not_progressive") and frame.progressive:
        return False
    if rule.get("future_only") and not (clause.point and present):
        return False
    if rule.get("verbs_only") and not (frame.passive or frame.tense in ("past", "perfect")):
        return False
    return not (rule.get("dated") and clause.point is None)


def _taught(frame: Frame) -> bool:
    """ "She taught me to knit", "I know how to weld": what can be done, not what is done."""
    return frame.verb.dep_ == "xcomp" and frame.parent is not None and frame.parent.lemma in words("enabling_verbs")


def _purposed(frame: Frame) -> bool:
    """ "I cook for four", "I cycle to work", "I swim every morning": a duty, a way or a habit rather than a hobby."""
    if any(word in ("for", "to") for word, _ in frame.preps):
        return True
    return bool(pattern("frequency", re.I).search(frame.sentence.doc.text))


def _abstract_task(token: Token, sentence: Sentence) -> bool:
    """ "Working on building up confidence": a gerund whose object is nothing that is made."""
    held = next((c for c in token.children if c.dep_ == "dobj"), None)
    return held is None or fits(held, "abstract|generic|pronoun", sentence)


def _fits_argument(clause: Clause, rule: Rule, token: Token) -> bool:
    sentence = clause.frame.sentence
    if rule.get("is") and not fits(token, rule["is"], sentence):
        return False
    if rule["p"] == "works_on" and token.pos_ == "VERB" and _abstract_task(token, sentence):
        return False
    if rule.get("not") and fits(token, rule["not"], sentence):
        return False
    if rule.get("arg_is"):
        inner = next((c for c in token.children if c.dep_ == "dobj"), token)
        if inner == token:
            inner = next((o for c in token.children if c.dep_ == "prep" for o in c.children if o.dep_ == "pobj"), token)
        leads = rule.get("lead", "do|learn|practise|practice|play|take|try|study").split("|")
        if (token.lemma_ not in leads and inner != token) or not fits(inner, rule["arg_is"], sentence):
            return False
    if rule.get("years") and not (
        clause.frame.object is not None and clause.frame.object.lemma_.lower() in words("spans")
    ):
        return False
    held = clause.frame.object
    if rule.get("arg_obj") and (held is None or not fits(held, rule["arg_obj"], sentence)):
        return False
    if rule.get("arg3") and not any(word == rule["arg3"] for word, _ in clause.frame.preps):
        return False
    if rule.get("arg2"):
        if not any(word in rule["arg2"].split("|") for word, _ in clause.frame.preps):
            return False
        if rule.get("second") and not fits(_second(clause, rule), rule["second"], sentence):
            return False
    return not (rule["arg"] not in ("none", "xcomp", "inf", "ccomp") and token.pos_ == "PRON" and not rule.get("is"))


def _object_text(clause: Clause, rule: Rule, token: Token) -> str:
    sentence, form = clause.frame.sentence, rule.get("fmt", "np")
    if rule.get("o"):
        fixed: str = rule["o"]
        return fixed
    if form == "vp":
        return sentence.written(verb_phrase(clause.frame.verb, clause.dates))
    if form in ("inf", "clause"):
        return sentence.written(verb_phrase(token, clause.dates))
    if form == "ger":
        return gerund(clause.frame.verb.lemma_.lower())
    if form == "collect":
        return "collecting " + sentence.written(noun_phrase(token, clause.dates, deep=False))
    if form == "obj":
        inner = next((c for c in token.children if c.dep_ == "dobj"), None)
        inner = inner or next(
            (o for c in token.children if c.dep_ == "prep" for o in c.children if o.dep_ == "pobj"), token
        )
        return sentence.written(noun_phrase(inner, clause.dates))
    if form == "lesson":
        return sentence.written([t for t in token.lefts if t.dep_ in ("compound", "amod", "nmod")])
    if form == "driver":
        return sentence.written([token]) + " driver"
    if form == "teacher":
        return sentence.written(noun_phrase(token, clause.dates, deep=False)) + " teacher"
    if form == "miss":
        return "misses " + sentence.written(noun_phrase(token, clause.dates, deep=False))
    if token.pos_ == "VERB":
        return sentence.written(verb_phrase(token, clause.dates))
    titled = next((t for t in token.subtree if sentence.is_title(t)), None)
    if titled is not None and rule["p"] in ("read", "works_on", "likes"):
        return sentence.written([titled])
    return entity_text(token, clause)


def entity_text(token: Token, clause: Clause) -> str:
    """The object in words: a person by name (or "Maya's sister"), anything else as a short phrase.

    Empty for a pronoun whose referent cannot be told.
    """
    if token.pos_ == "PRON" and token.dep_ != "poss" and token.text.lower() in words("personal"):
        meant = clause.resolver.resolve(token)
        return meant.name if meant is not None else ""
    named = name_below(token)
    if named is not None:
        return name_phrase(named, clause.frame.sentence)
    if fits(token, "given|kin", clause.frame.sentence):
        ref = clause.resolver.resolve(token)
        if ref is not None:
            return ref.name
    return clause.frame.sentence.written(noun_phrase(token, clause.dates))


def _standing(clause: Clause, rule: Rule) -> tuple[str, Polarity, Modality] | None:
    """Predicate, polarity and modality of a rule that fits; None when the clause does not assert it."""
    status, frame, predicate = clause.status, clause.frame, rule["p"]
    negated = status.negated
    ends = rule.get("pol") == "-"
    if rule["kind"] == "event":
        if frame.verb.dep_ == "pcomp" and frame.verb.tag_ == "VBG" and predicate == "did":
            return None  # "a first step towards becoming a mother"
        if status.kind in ("planned", "possible", "goal", "duty"):
            wanted = rule.get("plan")
            return (
                (wanted, "+", clause.modality)
                if wanted and status.kind in ("planned", "possible") and not negated
                else None
            )
        if frame.tense in ("present", "base") and not frame.passive and not ends and not rule.get("present_ok"):
            if frame.progressive and rule.get("progressive"):
                return rule["progressive"], "-" if negated else "+", "actual"
            return None
        if ends and negated:
            return None
        if negated and predicate == "did":
            return None
        if clause.ahead and frame.tense == "present":
            return ("plans" if predicate == "attended" else predicate), "+", "planned"
        return predicate, "-" if ends or negated else "+", rule.get("past_modality", "actual")
    if frame.verb.tag_ == "VBG" and frame.dropped and frame.lemma in ("love", "like", "enjoy"):
        return None  # "Loving the new look!" is praise
    if frame.dropped and frame.lemma in ("love", "like", "enjoy", "appreciate") and _the(frame.object):
        return None  # and so is "Love the red and blue"
    if predicate in ("likes", "favourite") and at_hand(clause.frame):
        return None
    if frame.auxiliaries & {"would", "'d"} and frame.lemma in ("like", "love", "prefer", "enjoy", "hate"):
        return None
    if status.kind in ("goal", "duty", "planned"):
        return (predicate, "+", "planned") if rule.get("plan") and status.kind == "planned" and not negated else None
    if rule.get("cannot") or rule.get("modality"):
        return predicate, "+", rule.get("modality", "actual")
    past = rule.get("past")
    meanwhile = frame.verb.tag_ == "VBG" and frame.verb.dep_ == "advcl"  # "sprained it playing squash"
    begun = frame.verb.dep_ == "xcomp" and frame.parent is not None and frame.parent.lemma in ("start", "begin", "take")
    gone = (frame.tense == "past" and clause.since is None and not meanwhile and not begun) or status.ended
    if frame.ended:
        return predicate, "-", "actual"
    if gone and past:
        if past.endswith("?"):
            return None
        if past.endswith("-"):
            return (past[:-1], "-", "actual") if not (frame.negated and not frame.ended) else None
        if past != predicate or not status.ended:
            return past, "-" if status.negated and not status.ended else "+", "actual"
    if gone and not status.ended and predicate not in ("allergic_to",):
        return (predicate, "-", clause.modality) if negated and clause.frame.ended else None
    if rule.get("future_only"):
        return predicate, "+", "planned"
    if rule.get("neg_only"):
        return predicate, "-", clause.modality
    return predicate, "-" if negated else "+", clause.modality


def _the(token: Token | None) -> bool:
    return token is not None and any(c.text.lower() in ("the", "all", "our", "how") for c in token.children)


def _recipient(clause: Clause, rule: Rule) -> Ref | None:
    receiver = clause.frame.receiver if rule["arg"] == "iobj" else clause.frame.object
    return clause.resolver.resolve(receiver) if receiver is not None else None


def subjects(clause: Clause) -> list[Ref]:
    """The subject, and who is joined to it: "Rui and I"."""
    token = clause.frame.subject
    if clause.subject is None or token is None or len(conjuncts(token)) == 1:
        return [clause.subject] if clause.subject is not None else []
    found = [clause.resolver.resolve(t) for t in conjuncts(token)]
    return [r for r in found if r is not None] or [clause.subject]


_SHARED = (
    "child",
    "has_pet",
    "owns",
    "relationship_status",
    "did",
    "plans",
    "visited",
    "attended",
    "bought",
    "read",
    "goal",
    "works_on",
)


def apply(clause: Clause) -> Iterator[Draft]:
    """Every fact that the verb table reads in the clause, for each of its subjects."""
    original = clause.subject
    who: list[Ref | None] = [*subjects(clause)] or [None]
    said_of_me = any(each is not None and each.name == clause.discourse.speaker for each in who)
    for each in who:
        clause.subject = each
        for draft in _apply(clause):
            if said_of_me and draft.subject != clause.discourse.speaker and draft.predicate in _SHARED:
                continue  # "Ana and I went camping" is kept as the speaker's
            yield draft
    clause.subject = original


def _apply(clause: Clause) -> Iterator[Draft]:
    used: set[int] = set()
    for rule in _by_verb().get(clause.frame.lemma, ()):
        if not _fits_clause(clause, rule):
            continue
        subject = _recipient(clause, rule) if rule.get("recipient") else clause.subject
        if subject is None or (rule.get("subj") in ("organisation", "person") and subject.type != rule["subj"]):
            continue
        for token in _arguments(clause, rule):
            if token.i in used or (rule["arg"] == "none" and used) or not _fits_argument(clause, rule, token):
                continue
            standing = _standing(clause, rule)
            used |= {token.i, _second(clause, rule).i} if rule.get("arg2") else {token.i}
            if standing is None:
                continue
            draft = _build(clause, rule, token, standing, subject)
            kept = draft is not None and draft.predicate in ("has_pet", "owns")
            if draft is not None and not (kept and (subject.type == "animal" or for_you(clause.frame))):
                yield draft
                yield from located(clause, draft, token)


_SITED = ("works_at", "owns", "studies_at", "volunteers_at", "previously_worked_at", "member_of")


def located(clause: Clause, draft: Draft, token: Token) -> Iterator[Draft]:
    """ "A bakery in Graz": the place that the object's own phrase gives it."""
    if draft.predicate not in _SITED or draft.polarity == "-":
        return
    for prep in (c for c in token.children if c.dep_ == "prep" and c.text.lower() == "in"):
        for place in (c for c in prep.children if c.dep_ == "pobj" and (is_place(c) or is_name(c))):
            where = clause.frame.sentence.written(noun_phrase(place, clause.dates, deep=False))
            if not where:
                continue  # "a job at a brewery in August"
            yield Draft(draft.object, "located_in", where, subject_type="organisation", rule="site", position=token.i)


def _build(
    clause: Clause, rule: Rule, token: Token, standing: tuple[str, Polarity, Modality], subject: Ref
) -> Draft | None:
    predicate, polarity, modality = standing
    if rule.get("arg2"):
        token = _second(clause, rule)
    text = _object_text(clause, rule, token)
    if predicate in _SITED and text and token.pos_ in ("NOUN", "PROPN"):
        text = text.split(" in ")[0]
    if text == "@works_at":
        found = clause.discourse.last.get((subject.name, "works_at"))
        if found is None:
            left = "in notice" if rule.get("is") == "notice" else "job"
            return (
                clause.draft("did", f"{clause.frame.verb.text} {left}", rule="job", subject=subject)
                if polarity == "-" and token.pos_ != "VERB"
                else None
            )
        text = found
    if text == "@partner":
        known = _other_half(clause)
        known = (
            known
            or clause.discourse.last.get((subject.name, "partner"))
            or clause.discourse.last.get((subject.name, "engaged_to"))
            or clause.discourse.last.get((subject.name, "spouse"))
        )
        if known is None:
            predicate, text, polarity = "relationship_status", "single", "+"
        else:
            text = known
    if text == "@object":
        if clause.frame.object is None or not (is_place(clause.frame.object) or is_name(clause.frame.object)):
            return None
        text = entity_text(clause.frame.object, clause)
    if text == "@company":
        company = next((t for word, t in clause.frame.preps if word == "with" and t.pos_ in ("NOUN", "PROPN")), None)
        if company is None:
            return None
        text = entity_text(company, clause)
    if text == "@subject":
        text, subject = subject.name, Ref(clause.discourse.speaker)
    if rule.get("owe"):
        text = _owed(clause, token)
    if not text or text.casefold() == subject.name.casefold():
        return None
    together = {"married": "spouse", "engaged": "engaged_to"}.get(text) if predicate == "relationship_status" else None
    if together and (other := _other_half(clause)) is not None:  # "Mia and I got engaged"
        predicate, text, subject = together, other, Ref(clause.discourse.speaker)
    lifelong = clause.frame.tense == "perfect" and clause.frame.progressive
    if predicate == "works_on" and lifelong and pattern("since_youth", re.I).search(clause.frame.sentence.doc.text):
        predicate, text = "hobby", clause.frame.sentence.written(verb_phrase(clause.frame.verb, clause.dates))
    if predicate == "works_on" and subject.name == f"{clause.discourse.speaker}'s team":
        subject = Ref(clause.discourse.speaker)
    draft = clause.draft(
        predicate, text, polarity=polarity, modality=modality, rule=f"verb:{clause.frame.lemma}", subject=subject
    )
    if OBJECT_TYPES.get(predicate) == "person" and text == clause.discourse.addressee and predicate == "met":
        return None
    return draft


def _second(clause: Clause, rule: Rule) -> Token:
    """The argument that a rule of two arguments is about: Zalando in "a job at Zalando"."""
    return next(t for word, t in clause.frame.preps if word in rule["arg2"].split("|"))


def _other_half(clause: Clause) -> str | None:
    """Who else "we" are in "Rui and I broke up", or "we broke up, me and Rui"."""
    for token in clause.frame.sentence.doc:
        if fits(token, "given", clause.frame.sentence) and is_name(token):
            near = {t.text.lower() for t in token.doc[max(0, token.i - 2) : token.i + 3]}
            if near & {"i", "me"} and "and" in near:
                return name_phrase(token, clause.frame.sentence)
    return None


def _owed(clause: Clause, token: Token) -> str:
    """ "I owe Sam 20 euros": the sum and the person."""
    sentence, frame = clause.frame.sentence, clause.frame
    sum_ = sentence.written(noun_phrase(token, clause.dates))
    return f"{sum_} to {entity_text(frame.receiver, clause)}" if frame.receiver is not None else sum_
