"""The stretches of valid time over which a value held, worked out of the evidence of one predicate.

Three kinds of predicate are treated apart: those whose values change (`changing`), those whose
values cannot, so that a different one is a correction (`lasting`), and occurrences (`occurring`).
Plans and possibilities (`intended`) are weighed among themselves and never end what is actual.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from memory_agent.records import FactStatus, PartialDate
from memory_agent.semantic.evidence import Evidence
from memory_agent.semantic.ordering import Slot, said_before_its_change, said_before_its_end, slots


@dataclass(eq=False)
class Interval:
    """One value over one stretch of time, with what it rests on."""

    native: list[Evidence]
    """Says the value (or denies it, for a negative one)."""
    ending: list[Evidence] = field(default_factory=list)
    """Says that it ended."""
    status: FactStatus = "current"
    end: PartialDate | None = None
    because: Interval | Evidence | None = None
    word: str = ""
    follows: bool = False
    """Another value held before it, so it cannot have begun earlier than that one was last seen."""
    inherited: PartialDate | None = None
    """Start taken over from the statement it corrects."""

    @property
    def first(self) -> Evidence:
        return min(self.native, key=lambda e: e.order)

    @property
    def pair(self) -> tuple[str, str]:
        return self.native[0].pair

    @property
    def positive(self) -> bool:
        return self.native[0].polarity == "+"

    @property
    def is_low(self) -> bool:
        """Whether nobody but sources of low trust says it."""
        return all(e.claim.low_trust for e in self.native)

    @property
    def start(self) -> PartialDate | None:
        """The start as said; for a value that replaced another without a date, the day it was first said."""
        said = _said_date(self.native, "valid_from") or self.inherited
        return said or (self.first.bound if self.follows else None)

    @property
    def stated_end(self) -> PartialDate | None:
        if not self.positive:
            return None
        owners = any(e.claim.owners_word for e in self.native)
        return _said_date([e for e in self.native if e.rank or not owners], "valid_to")

    @property
    def last_said(self) -> datetime:
        return max(e.claim.said_at for e in self.native)

    def close(
        self, status: FactStatus, end: PartialDate | None, because: Interval | Evidence | None, word: str
    ) -> None:
        self.status, self.because, self.word = status, because, word
        self.end = end


def _said_date(evidence: Iterable[Evidence], name: str) -> PartialDate | None:
    """The date the statements amount to: later said ones correct earlier ones, unless they only say less precisely.

    The subject's own word is not corrected by another's, the owner's by no third party's, and nobody's by one of low
    trust.
    """
    best: PartialDate | None = None
    rank = 0
    for e in sorted(_trusted(evidence), key=lambda e: (e.claim.said_at, e.claim.id)):
        date: PartialDate | None = getattr(e.claim, name)
        if date is None or e.rank < rank:
            continue
        coarser = best is not None and overlap(best, date) and _width(date) > _width(best)
        if not coarser or e.rank > rank:
            best, rank = date, e.rank
    return best


def _trusted(evidence: Iterable[Evidence]) -> Sequence[Evidence]:
    """The evidence that is not of low trust, or all where there is no other."""
    listed = list(evidence)
    return [e for e in listed if not e.claim.low_trust] or listed


def overlap(a: PartialDate | None, b: PartialDate | None) -> bool:
    """Whether two dates can mean the same moment; an unknown one can mean any."""
    if a is None or b is None or a == b:
        return True
    return a.earliest < b.latest and b.earliest < a.latest


def _width(date: PartialDate) -> float:
    return (date.latest - date.earliest).total_seconds()


# values that change


def changing(evidence: Sequence[Evidence], single: bool, symmetric: bool) -> list[Interval]:
    """Intervals of a predicate whose values come and go; `single` when a subject has one at a time."""
    evidence, corrected = _without_corrected(evidence, single, symmetric)
    accepted, disputed = _without_disputed(evidence, single, symmetric)
    timeline = _Timeline(single, symmetric)
    moved = said_before_its_end(accepted)
    if single:
        moved = said_before_its_change(moved, symmetric)
    for e in sorted(moved, key=lambda e: e.order):
        timeline.take(e)
    done = timeline.intervals
    for wrong in corrected:
        right = next((i for i in done if any(_same_claim(e, wrong.because) for e in i.native)), None)
        if right and wrong.start:
            right.inherited = wrong.start
    return done + corrected + _disputes(disputed, done, single, symmetric)


def _same_claim(e: Evidence, other: object) -> bool:
    return isinstance(other, Evidence) and e.claim.id == other.claim.id


class _Timeline:
    """Takes evidence in order of valid time and opens and closes intervals."""

    def __init__(self, single: bool, symmetric: bool) -> None:
        self._single, self._symmetric = single, symmetric
        self.intervals: list[Interval] = []
        self._open: dict[Slot, Interval] = {}
        self._used: set[Slot] = set()
        self._last: dict[tuple[str, str], Interval] = {}
        self._denied: dict[tuple[str, str], Interval] = {}

    def take(self, e: Evidence) -> None:
        if e.polarity == "-":
            self._deny(e)
            return
        last = self._last.get(e.pair)
        if last and self._continues(last, e):
            last.native.append(e)
            self._apply_stated_end(last)
            return
        if denied := self._denied.pop(e.pair, None):
            denied.close("superseded", e.bound, e, "newer statement")
        before = self._others(e)
        places = slots(e, self._single, self._symmetric)
        interval = Interval([e], follows=bool(denied) or any(place in self._used for place in places))
        for other in before:
            if not _interlude(e, other):
                other.close("superseded", e.bound, interval, "newer value")
                self._free(other)
        self.intervals.append(interval)
        self._last[e.pair] = interval
        for place in places:
            self._used.add(place)
            self._open.setdefault(place, interval)
        self._apply_stated_end(interval)

    def _continues(self, interval: Interval, e: Evidence) -> bool:
        if interval in self._open.values():
            return True
        return interval.end is not None and e.key < interval.end.earliest

    def _others(self, e: Evidence) -> list[Interval]:
        found = [self._open[slot] for slot in slots(e, self._single, self._symmetric) if slot in self._open]
        return list({id(i): i for i in found}.values())

    def _apply_stated_end(self, interval: Interval) -> None:
        end = interval.stated_end
        if end is None or interval.status == "superseded":
            return
        if end.earliest <= interval.last_said:
            interval.close("ended", end, None, "")
            self._free(interval)
        else:
            interval.end = end

    def _free(self, interval: Interval) -> None:
        for slot in [slot for slot, held in self._open.items() if held is interval]:
            del self._open[slot]

    def _deny(self, e: Evidence) -> None:
        ended = self._ended_by(e)
        for interval in ended:
            interval.ending.append(e)
            interval.close("ended", e.bound, e if e.projected else None, "ended it" if e.projected else "")
            self._free(interval)
        if ended or e.projected or (e.anything and not self._single and self._last_of(e.subject_id)):
            return
        if last := self._last.get(e.pair):
            last.ending.append(e)
            return
        if denied := self._denied.get(e.pair):
            denied.native.append(e)
            return
        self._denied[e.pair] = interval = Interval([e])
        self.intervals.append(interval)

    def _ended_by(self, e: Evidence) -> list[Interval]:
        held = {id(i): i for i in self._open.values()}.values()
        if e.anything:
            return [i for i in held if e.subject_id in i.pair[: 2 if self._symmetric else 1]]
        return [i for i in held if i.pair == e.pair]

    def _last_of(self, subject_id: str) -> bool:
        return any(pair[0] == subject_id for pair in self._last)


def _interlude(e: Evidence, other: Interval) -> bool:
    """Whether `e` states a stretch that was over before `other`, begun earlier, was said to go on."""
    end = e.claim.valid_to
    return end is not None and any(n.claim.said_at >= end.earliest and n.date for n in other.native)


def _without_corrected(
    evidence: Sequence[Evidence], single: bool, symmetric: bool
) -> tuple[list[Evidence], list[Interval]]:
    """The evidence that stands, and intervals of what its own speaker took back ("I meant Porto")."""
    kept = list(evidence)
    corrected: list[Interval] = []
    for e in sorted((e for e in evidence if e.claim.correction and not e.projected), key=lambda e: e.claim.said_at):
        wrong = _corrected_by(e, kept, single, symmetric)
        if not wrong:
            continue
        kept = [k for k in kept if k not in wrong]
        interval = Interval(wrong)
        standing: Evidence = e
        if e.polarity == "-":
            interval.ending.append(e)
            kept.remove(e)
        elif e.claim.valid_from is None:
            standing = replace(e, key=min(w.key for w in wrong))
            kept[kept.index(e)] = standing
        interval.close("superseded", None, standing, "corrected")
        corrected.append(interval)
    return kept, corrected


def _corrected_by(e: Evidence, kept: Sequence[Evidence], single: bool, symmetric: bool) -> list[Evidence]:
    """The same speaker's earlier statements of the value that `e` takes back."""
    places = set(slots(e, single, symmetric))
    earlier = [
        k
        for k in kept
        if k.polarity == "+"
        and k.claim.speaker == e.claim.speaker
        and k.claim.said_at < e.claim.said_at
        and (k.pair != e.pair if e.polarity == "+" else k.pair == e.pair)
        and places & set(slots(k, single, symmetric))
    ]
    if not earlier:
        return []
    last = max(earlier, key=lambda k: (k.claim.said_at, k.claim.id))
    return [k for k in earlier if k.pair == last.pair]


def _without_disputed(
    evidence: Sequence[Evidence], single: bool, symmetric: bool
) -> tuple[list[Evidence], list[Evidence]]:
    """The evidence that stands, and what others say against the subject's own word.

    Another's word stands where the subject says the same around that time or said nothing before,
    and where it tells of a dated change after the subject's last word. A third party's word, dated or not, stands
    against the owner's only where that was said of a later time. A word of low trust stands where no other evidence is
    of the same place, or some says the same.
    """
    trusted: dict[Slot, list[Evidence]] = defaultdict(list)
    for e in evidence:
        for slot in slots(e, single, symmetric) if not e.claim.low_trust else ():
            trusted[slot].append(e)
    own = _by_place((e for e in evidence if e.own), single, symmetric)
    owners = _by_place((e for e in evidence if e.claim.owners_word), single, symmetric)
    accepted: list[Evidence] = []
    disputed: list[Evidence] = []
    for e in evidence:
        if e.claim.low_trust:
            rivals = [r for s in slots(e, single, symmetric) for r in trusted.get(s, ())]
            against = bool(rivals) and not any(r.pair == e.pair and r.polarity == e.polarity for r in rivals)
        else:
            places = slots(e, single, symmetric)
            against = not e.own and any(_contradicts(e, own[s]) for s in places if s in own)
            if not e.rank:
                against = against or any(_contradicts(e, owners[s], dated=True) for s in places if s in owners)
        (disputed if against else accepted).append(e)
    return accepted, [e for e in disputed if not e.projected]


def _by_place(evidence: Iterable[Evidence], single: bool, symmetric: bool) -> dict[Slot, list[Evidence]]:
    """What is stated of each place by sources that are not of low trust, in order of valid time."""
    found: dict[Slot, list[Evidence]] = defaultdict(list)
    for e in sorted(evidence, key=lambda e: e.order):
        for slot in slots(e, single, symmetric) if not e.projected and not e.claim.low_trust else ():
            found[slot].append(e)
    return found


def _contradicts(e: Evidence, own: Sequence[Evidence], *, dated: bool = False) -> bool:
    """Whether `e` says otherwise than `own` did before it; with `dated` also where it tells of a dated change."""
    before = [o for o in own if o.key <= e.key]
    after = [o for o in own if o.key > e.key]
    if not before:
        return False
    around = [before[-1], *after[:1]]
    if any(o.pair == e.pair and o.polarity == e.polarity for o in around):
        return False
    if before[-1].polarity == "-" and before[-1].pair != e.pair:
        return False
    return dated or bool(after) or e.date is None


def _disputes(
    evidence: Sequence[Evidence], standing: Sequence[Interval], single: bool, symmetric: bool
) -> list[Interval]:
    found: dict[tuple[tuple[str, str], str], Interval] = {}
    for e in sorted(evidence, key=lambda e: e.order):
        interval = found.setdefault((e.pair, e.polarity), Interval([]))
        interval.native.append(e)
    for interval in found.values():
        places = set(slots(interval.first, single, symmetric))
        rivals = [
            i
            for i in standing
            if (interval.is_low or any(n.rank for n in i.native)) and places & set(slots(i.first, single, symmetric))
        ]
        rival = max(rivals, key=lambda i: i.first.order, default=None)
        own = rival is None or any(n.own for n in rival.native)
        word = "contradicts the subject's own word" if own else "contradicts the owner's word"
        word = "contradicts what others say" if interval.is_low else word
        interval.close("disputed", None, rival, word)
    return list(found.values())


# values that cannot change


def lasting(evidence: Sequence[Evidence], single: bool) -> list[Interval]:
    """Intervals of a predicate whose values cannot change: a different one is a correction or a dispute."""
    by_value: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for e in evidence:
        if not e.projected:
            by_value[e.pair].append(e)
    decided = [interval for said in by_value.values() for interval in _decided(said)]
    if single:
        by_subject: dict[str, list[Interval]] = defaultdict(list)
        for interval in decided:
            if interval.positive and interval.status == "current":
                by_subject[interval.first.subject_id].append(interval)
        for rivals in by_subject.values():
            _prefer(rivals)
    return decided


def _decided(said: Sequence[Evidence]) -> list[Interval]:
    """One interval for those who say a value and one for those who deny it, the weaker one closed."""
    sides = [
        Interval([e for e in said if e.polarity == sign]) for sign in "+-" if any(e.polarity == sign for e in said)
    ]
    if len(sides) == 2:
        _prefer(sides)
    for side in sides:
        if side.status == "current" and side.positive:
            side.end = side.stated_end
    return sides


def _prefer(rivals: Sequence[Interval]) -> None:
    """Leave one of `rivals` standing: the subject's own word, the owner's, what most say, what was said last.

    What rests on words of low trust alone stands against nothing else.
    """

    def weight(i: Interval) -> tuple[bool, int, int, datetime, str]:
        rank = max(e.rank for e in i.native)
        speakers = 0 if rank else len({e.claim.speaker for e in i.native})
        return not i.is_low, rank, speakers, i.last_said, max(e.claim.id for e in i.native)

    best = max(rivals, key=weight)
    speakers = {e.claim.speaker for e in best.native}
    for rival in rivals:
        if rival is best:
            continue
        if {e.claim.speaker for e in rival.native} <= speakers:
            rival.close("superseded", None, best, "corrected")
        else:
            rival.close("disputed", None, best, "contradicts")


# occurrences


def occurring(evidence: Sequence[Evidence]) -> list[Interval]:
    """One interval for each date at which something happened; the undated and less precise join the nearest fit."""
    by_value: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for e in evidence:
        if not e.projected:
            by_value[e.pair].append(e)
    return [i for said in by_value.values() for cluster in _clusters(said) for i in _decided(cluster)]


def _clusters(said: Sequence[Evidence]) -> list[list[Evidence]]:
    def rank(e: Evidence) -> tuple[float, datetime, datetime, str]:
        date = e.claim.valid_from
        width = _width(date) if date else float("inf")
        return width, date.earliest if date else e.claim.said_at, e.claim.said_at, e.claim.id

    clusters: list[list[Evidence]] = []
    for e in sorted(said, key=rank):
        fitting = next((c for c in clusters if overlap(c[0].claim.valid_from, e.claim.valid_from)), None)
        if fitting is None:
            clusters.append([e])
        else:
            fitting.append(e)
    return clusters


# plans and possibilities


def intended(evidence: Sequence[Evidence], actual: Sequence[Interval], single: bool, symmetric: bool) -> list[Interval]:
    """Intervals of what is planned or possible, closed when cancelled, replaced, denied, or come true."""
    done: list[Interval] = []
    open_: dict[tuple[str, str, str], Interval] = {}
    denied: dict[tuple[str, str], Interval] = {}
    arrivals: list[tuple[datetime, int, str, Evidence | Interval]] = [
        (e.claim.said_at, 0, e.claim.id, e) for e in evidence
    ]
    true: list[tuple[datetime, int, str, Evidence | Interval]] = [
        (e.claim.said_at, 1, e.claim.id, i) for i in actual for e in i.native
    ]
    for _, _, _, what in sorted(arrivals + true, key=lambda a: a[:3]):
        if isinstance(what, Interval):
            for modality in ("planned", "possible"):
                if plan := open_.pop((*what.pair, modality), None):
                    plan.close("superseded", None, what, "came true" if what.positive else "denied")
            continue
        if what.polarity == "-":
            _cancel(what, open_, denied, done)
            continue
        if refused := denied.pop(what.pair, None):
            refused.close("superseded", what.bound, what, "newer statement")
        place = (*what.pair, what.modality)
        if place in open_:
            open_[place].native.append(what)
            continue
        plan = Interval([what])
        if single and what.modality == "planned":
            _replace_plans(plan, open_, symmetric)
        open_[place] = plan
        done.append(plan)
    for plan in open_.values():
        plan.end = plan.stated_end
    return done


def _cancel(
    e: Evidence,
    open_: dict[tuple[str, str, str], Interval],
    denied: dict[tuple[str, str], Interval],
    done: list[Interval],
) -> None:
    cancelled = [open_.pop((*e.pair, m)) for m in ("planned", "possible") if (*e.pair, m) in open_]
    for plan in cancelled:
        plan.ending.append(e)
        plan.close("ended", e.bound, None, "")
    if cancelled:
        return
    if e.pair in denied:
        denied[e.pair].native.append(e)
        return
    denied[e.pair] = interval = Interval([e])
    done.append(interval)


def _replace_plans(plan: Interval, open_: dict[tuple[str, str, str], Interval], symmetric: bool) -> None:
    """Close the plans for another value of the same place: nobody plans to live in two towns."""
    places = set(slots(plan.first, True, symmetric))
    for key, other in list(open_.items()):
        if key[2] == "planned" and places & set(slots(other.first, True, symmetric)):
            other.close("superseded", plan.first.bound, plan, "newer plan")
            del open_[key]
