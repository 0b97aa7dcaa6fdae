"""What expires when, and what age takes from a memory's rank.

A policy is a list of rules, general ones first; the last rule that fits a record decides:

    episode=365d                 turns go a year after they were said
    episode:tool=30d             those of tools sooner
    episode:secret=7d!           those with secrets in a week, with all that was read in them
    fact:volatile=90d            facts of soon outdated kinds, counted from when they were last said
    fact:lives_in=never          but where somebody lives stays

A turn's classes are its role, its flags (`secret` for any of the secret ones) and `metadata["class"]`; a fact's are its
predicate, that predicate's class, sensitivity and permanence, its status and its modality. A turn that a standing
fact rests on is spared, unless its rule ends in "!": a fact without a source is none. `metadata["expires"]` (a date)
is a turn's own last day. What is kept (`metadata["keep"]`, or a fact by its sources') does not expire, and a kept turn
does not fade.

Decay is a factor on a hit's score, from 1 for what was said now to FLOOR for what is old, with a half-life (as in the
forgetting curves of Ebbinghaus 1885; the floor is ours, so that the old is ranked lower and never hidden).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.records import Episode, Fact, PartialDate
from memory_agent.semantic.ontology import Ontology

FLOOR = 0.5
"""What age leaves of a score at least."""
_RULE = re.compile(r"(episode|fact)(?::([^\s=,]+))?=(?:(\d+(?:\.\d+)?)([hdwmy])|never)(!?)")
_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.4375, "y": 365.25}
_FORM = "write episode=365d, fact:volatile=90d or fact:lives_in=never; units are h, d, w, m, y"


@dataclass(frozen=True)
class Rule:
    """When records of a kind, or of one class of it, expire."""

    text: str
    kind: str
    cls: str | None
    after: timedelta | None
    """None is never."""
    evidence: bool
    """Whether turns go that a standing fact rests on."""

    def fits(self, kind: str, classes: Collection[str]) -> bool:
        """Whether the rule is about such a record."""
        return self.kind == kind and (self.cls is None or self.cls in classes)


@dataclass(frozen=True)
class Policy:
    """The rules of expiry in their order, and the half-life of ranks; empty by default: nothing goes, nothing fades."""

    rules: tuple[Rule, ...] = ()
    half_life: timedelta | None = None

    @classmethod
    def read(cls, rules: str | Sequence[str] = "", decay: str = "") -> Policy:
        """The policy that the texts say, rules apart by commas. Raises InvalidInput, naming the rule that is none."""
        texts = [text.strip() for text in (rules.split(",") if isinstance(rules, str) else rules)]
        return cls(tuple(_rule(text) for text in texts if text), _span(decay))

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The policy of the settings `expire` and `decay`."""
        return cls.read(settings.expire, settings.decay)

    def rule(self, kind: str, classes: Collection[str]) -> Rule | None:
        """The rule that decides about such a record."""
        return next((rule for rule in reversed(self.rules) if rule.fits(kind, classes)), None)


@dataclass(frozen=True)
class Expiry:
    """What is due by a policy, and what would be but is spared; ids with the reason."""

    due: Mapping[str, str]
    spared: Mapping[str, str]


def expiry(
    policy: Policy, episodes: Iterable[Episode], facts: Iterable[Fact], ontology: Ontology, now: datetime
) -> Expiry:
    """What of these turns and current facts has expired by `now`."""
    turns, due, spared = {turn.id: turn for turn in episodes}, dict[str, str](), dict[str, str]()
    needed: dict[str, str] = {}
    for fact in facts:
        rule = policy.rule("fact", _fact_classes(fact, ontology))
        told = said_last(fact)
        if rule is None or rule.after is None or told + rule.after > now:
            needed |= {source.episode_id: fact.id for source in fact.sources}
        elif any(
            keeps(turns[source.episode_id].metadata, fact.id) for source in fact.sources if source.episode_id in turns
        ):
            spared[fact.id] = "kept"
            needed |= {source.episode_id: fact.id for source in fact.sources}
        else:
            due[fact.id] = f"{rule.text}, last said {told:%Y-%m-%d}"
    for turn in turns.values():
        rule = policy.rule("episode", _turn_classes(turn))
        last = _last_day(turn)
        over = last is not None and last <= now
        if not over and (rule is None or rule.after is None or turn.at + rule.after > now):
            continue
        if turn.metadata.get("keep"):
            spared[turn.id] = "kept"
        elif turn.id in needed and not over and not (rule and rule.evidence):
            spared[turn.id] = f"fact {needed[turn.id]} rests on it"
        else:
            due[turn.id] = (
                f"expires {turn.metadata['expires']}" if over else f"{rule and rule.text}, said {turn.at:%Y-%m-%d}"
            )
    return Expiry(due, spared)


def factor(policy: Policy, record: Episode | Fact, now: datetime, ontology: Ontology) -> float:
    """What age leaves of a record's score, FLOOR to 1. Kept turns and facts that cannot change do not fade."""
    if policy.half_life is None or policy.half_life <= timedelta():
        return 1.0
    if isinstance(record, Episode):
        lasting, told = bool(record.metadata.get("keep")), record.at
    else:
        lasting, told = ontology[record.predicate].permanence == "permanent", said_last(record)
    age = max((now - told) / policy.half_life, 0.0)
    return 1.0 if lasting else float(FLOOR + (1 - FLOOR) * 0.5**age)


def said_last(fact: Fact) -> datetime:
    """When the fact was last said, as far as its sources tell."""
    return max((source.at for source in fact.sources if source.at is not None), default=fact.recorded_at)


def keeps(metadata: Mapping[str, Any], fact_id: str) -> bool:
    """Whether a source with that metadata keeps the fact: it is kept itself, or for this fact."""
    kept = metadata.get("keep")
    return kept is True or (isinstance(kept, (list, tuple)) and fact_id in kept)


def _rule(text: str) -> Rule:
    found = _RULE.fullmatch(text)
    if not found:
        raise InvalidInput(f"{text!r} is no rule of expiry: {_FORM}")
    kind, cls, number, unit, evidence = found.groups()
    if evidence and kind == "fact":
        raise InvalidInput(f"{text!r}: only turns are evidence; leave the ! out")
    return Rule(text, kind, cls, timedelta(days=float(number) * _UNITS[unit]) if number else None, bool(evidence))


def _span(text: str) -> timedelta | None:
    """A half-life as `180d`; None for an empty text."""
    if not text.strip():
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([hdwmy])", text.strip())
    if not found or float(found[1]) == 0:
        raise InvalidInput(f"{text!r} is no half-life: write 180d; units are h, d, w, m, y")
    return timedelta(days=float(found[1]) * _UNITS[found[2]])


def _turn_classes(turn: Episode) -> set[str]:
    flags = {part for flag in turn.flags for part in (flag, flag.partition(":")[0])}
    return {turn.role, *flags, *([str(turn.metadata["class"])] if "class" in turn.metadata else [])}


def _fact_classes(fact: Fact, ontology: Ontology) -> set[str]:
    known = ontology[fact.predicate]
    return {fact.predicate, known.cls, known.sensitivity, known.permanence, fact.status, fact.modality}


def _last_day(turn: Episode) -> datetime | None:
    """The end of the turn's own last day; None where it names none, or nothing that is a date."""
    try:
        return PartialDate(str(turn.metadata["expires"])).latest
    except (KeyError, ValueError):
        return None
