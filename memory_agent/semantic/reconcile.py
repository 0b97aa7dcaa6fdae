"""Facts out of claims: a pure function, so that neither the order of arrival nor a merge leaves a trace.

    derived = reconcile(claims, ontology, entities)

Rules, in the order in which they decide:

- Order is that of valid time: the date that was said, else the moment it was said. An imprecise
  date counts as late as it can be, but never later than it was said ("last year" follows what was
  said to hold in June of that year).
- `valid_from` is the date that was said. A value that took the place of another without one starts
  on the day it was first said, a bound; a first value without a date has none.
- A predicate of cardinality "one" holds one value: a later one ends the earlier at its own start. A
  negation ends the value it names and adds nothing; where nothing stood it is a fact itself.
- Where values cannot change (permanence "permanent"), and where the words say so ("I meant ..."),
  another value is a correction: the earlier one never held.
- The subject's own word comes first; what others say against it is kept as "disputed". Another's
  dated report of a change after the subject's last word is believed.
- Of somebody else the owner's word comes before a third party's, dated or not, which is "disputed" against it until the
  owner says so too, or approves it; nor does what only third parties tell make it stale.
- What only sources of low trust say ends, dates and outdates nothing that others say; against it, it is "disputed".
- Plans and possibilities never end what is actual. They end when cancelled, replaced, or come true.
- A fact that depends on another predicate of the same subject is "stale" once that one has changed
  after the fact was last said. So is a plan told with "we", or with a partner's name, once they part.

What this module needs besides claims is their entities (for names and merges); it knows no ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from memory_agent.records import (
    Claim,
    Entity,
    Fact,
    FactStatus,
    Instant,
    Modality,
    PartialDate,
    Polarity,
    Record,
    Source,
)  # fmt: skip
from memory_agent.semantic.evidence import Evidence, People, gather
from memory_agent.semantic.folding import fold, key
from memory_agent.semantic.intervals import Interval, changing, intended, lasting, occurring
from memory_agent.semantic.ontology import Ontology

OWN_WORD = 1.0
HEARSAY = 0.9
"""What a claim's confidence is multiplied by, when the subject says it and when another does."""


class Derived(Record):
    """A fact as it follows from claims: all of a Fact but when it was recorded."""

    id: str
    subject: str
    subject_id: str
    predicate: str
    object: str
    object_id: str | None = None
    text: str
    polarity: Polarity = "+"
    modality: Modality = "actual"
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None
    confidence: float = 1.0
    status: FactStatus = "current"
    because: str | None = None
    sources: tuple[Source, ...] = ()

    def fact(self, version: int, recorded_at: Instant) -> Fact:
        """This as a version of the stored fact."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return Fact(**given, version=version, recorded_at=recorded_at)

    def matches(self, fact: Fact) -> bool:
        """Whether the stored version says all that this does."""
        return all(getattr(self, name) == getattr(fact, name) for name in type(self).model_fields)


def reconcile(
    claims: Iterable[Claim], ontology: Ontology, entities: Mapping[str, Entity] | None = None
) -> list[Derived]:
    """The facts that `claims` amount to, by id.

    `entities` (by id) gives names and merges; without it each claim's own names and ids stand. The
    result does not depend on the order of `claims`, nor on a claim being given twice.
    """
    groups: dict[str, list[Evidence]] = defaultdict(list)
    for e in gather(claims, ontology, People(entities)):
        groups[e.group].append(e)
    intervals = [i for name, evidence in sorted(groups.items()) for i in _intervals(name, evidence, ontology)]
    ids = _identify(intervals)
    _cascade(intervals, ontology)
    said = {e.claim.id: ids[id(i)] for i in intervals for e in i.native}
    return sorted((_derived(i, ids, said, ontology) for i in intervals), key=lambda d: d.id)


def _intervals(name: str, evidence: Sequence[Evidence], ontology: Ontology) -> list[Interval]:
    predicate = ontology[name]
    single = predicate.cardinality == "one"
    actual = [e for e in evidence if e.modality == "actual"]
    if predicate.event:
        found = occurring(actual)
    elif predicate.permanence == "permanent":
        found = lasting(actual, single)
    else:
        found = changing(actual, single, predicate.symmetric)
    others = [e for e in evidence if e.modality != "actual"]
    low = [e for e in others if e.claim.low_trust]
    trusted = [e for e in others if not e.claim.low_trust]
    planned = intended(trusted, [i for i in found if not i.is_low], single, predicate.symmetric)
    return found + planned + (intended(low, found, single, predicate.symmetric) if low else [])


def _identify(intervals: Sequence[Interval]) -> dict[int, str]:
    """Fact ids by `id(interval)`: a hash of what is said and of which stretch of it this is."""
    alike: dict[tuple[str, ...], list[Interval]] = defaultdict(list)
    for interval in intervals:
        e = interval.first
        alike[(e.group, *e.pair, e.polarity, e.modality)].append(interval)
    ids = {}
    for parts, stretches in alike.items():
        for number, interval in enumerate(sorted(stretches, key=lambda i: i.first.order)):
            ids[id(interval)] = f"fact_{key(*parts, str(number))}"
    return ids


def _derived(interval: Interval, ids: Mapping[int, str], said: Mapping[str, str], ontology: Ontology) -> Derived:
    shown = min(interval.native, key=lambda e: (not e.own, e.claim.said_at, e.claim.id))
    start, end = interval.start, interval.end
    over = interval.status in ("superseded", "ended") and interval.word != "corrected"
    return Derived(
        id=ids[id(interval)],
        subject=shown.subject,
        subject_id=shown.subject_id,
        predicate=shown.predicate,
        object=shown.object,
        object_id=shown.object_id,
        text=ontology.statement(
            shown.subject,
            shown.predicate,
            shown.object,
            polarity=shown.polarity,
            modality=shown.modality,
            past=over,
            valid_from=start,
            valid_to=end,
        ),
        polarity=shown.polarity,
        modality=shown.modality,
        valid_from=start,
        valid_to=end,
        confidence=_confidence(interval),
        status=interval.status,
        because=_because(interval, ids, said),
        sources=_sources(interval),
    )


def _because(interval: Interval, ids: Mapping[int, str], said: Mapping[str, str]) -> str | None:
    cause = interval.because
    if isinstance(cause, Interval):
        return f"{ids[id(cause)]} {interval.word}"
    if isinstance(cause, Evidence) and cause.claim.id in said:
        return f"{said[cause.claim.id]} {interval.word}"
    return None


def _confidence(interval: Interval) -> float:
    """One minus the chance that every episode that says it is wrong, were they independent."""
    best: dict[str, float] = {}
    for e in interval.native:
        weighed = e.claim.confidence * (OWN_WORD if e.own else HEARSAY)
        best[e.claim.episode_id] = max(best.get(e.claim.episode_id, 0.0), weighed)
    wrong = 1.0
    for _, confidence in sorted(best.items()):
        wrong *= 1 - confidence
    return round(1 - wrong, 4)


def _sources(interval: Interval) -> tuple[Source, ...]:
    spans = {
        (e.claim.said_at, e.claim.episode_id, e.claim.start, e.claim.end): e.claim
        for e in (*interval.native, *interval.ending)
    }
    return tuple(
        Source(episode_id=c.episode_id, start=c.start, end=c.end, quote=c.quote, speaker=c.speaker, at=c.said_at)
        for _, c in sorted(spans.items())
    )


def _cascade(intervals: Sequence[Interval], ontology: Ontology) -> None:
    """Mark as stale what depends on a predicate of the same subject that changed after it was last said."""
    changes: dict[tuple[str, str], list[tuple[datetime, str, Interval]]] = defaultdict(list)
    for interval in intervals:
        for moment in _change_moments(interval):
            for subject in _subjects(interval, ontology):
                changes[subject, interval.first.group].append((moment, interval.first.claim.id, interval))
    for interval in sorted(intervals, key=lambda i: _depth(i.first.predicate, ontology, 0)):
        if interval.status != "current" or not interval.positive:
            continue
        found = [
            change
            for needed in ontology[interval.first.predicate].depends_on
            for subject in _subjects(interval, ontology)
            for change in changes.get((subject, needed), ())
            if change[0] > interval.last_said
        ]
        found += _parted(interval, changes, ontology)
        if any(e.claim.owners_word for e in interval.native):
            found = [change for change in found if any(e.rank for e in (*change[2].native, *change[2].ending))]
        if not found:
            continue
        moment, _, cause = min(found, key=lambda c: c[:2])
        interval.status, interval.because, interval.word = "stale", cause, f"{cause.first.predicate} changed"
        for subject in _subjects(interval, ontology):
            changes[subject, interval.first.group].append((moment, interval.first.claim.id, interval))


def _parted(
    interval: Interval, changes: Mapping[tuple[str, str], list[tuple[datetime, str, Interval]]], ontology: Ontology
) -> list[tuple[datetime, str, Interval]]:
    """The ends of relationships, after it was last said, that a joint plan rested on."""
    joint = ontology.joint
    if interval.first.predicate not in joint.predicates:
        return []
    said = {word for e in interval.native for word in fold(e.claim.quote).split()}
    said = {word.strip('.,!?;:"') for word in said}
    ours = bool(said & set(joint.words))
    return [
        change
        for kind in joint.on
        for change in changes.get((interval.first.subject_id, kind), ())
        if change[0] > interval.last_said
        and change[2].status in ("superseded", "ended")
        and (
            ours or fold(change[2].first.object).split()[0] in said or fold(change[2].first.subject).split()[0] in said
        )
    ]


def _subjects(interval: Interval, ontology: Ontology) -> tuple[str, ...]:
    first = interval.first
    return first.pair if first.object_id and ontology[first.predicate].symmetric else (first.subject_id,)


def _depth(predicate: str, ontology: Ontology, seen: int) -> int:
    """How long the longest chain of dependencies below `predicate` is (cut at the number of predicates)."""
    needed = ontology[predicate].depends_on
    if not needed or seen > len(ontology.predicates):
        return 0
    return 1 + max(_depth(name, ontology, seen + 1) for name in needed)


def _change_moments(interval: Interval) -> list[datetime]:
    """When a value came (where that was said) and when it went, in valid time."""
    if not interval.positive or interval.first.modality != "actual" or interval.status == "disputed":
        return []
    if interval.word == "corrected" or interval.is_low:
        return []
    moments = [interval.first.key] if interval.first.date else []
    if interval.status not in ("superseded", "ended"):
        return moments
    if interval.ending:
        moments.append(min(e.key for e in interval.ending))
    elif isinstance(interval.because, Interval):
        moments.append(interval.because.first.key)
    elif interval.end:
        moments.append(interval.end.earliest)
    return moments
