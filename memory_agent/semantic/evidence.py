"""Claims made comparable: who said what of whom, where it stands in time, and what else it implies.

A claim becomes one `Evidence` for its own predicate, and further, `projected` ones for predicates
that it bears on: "used to live in Rome" ends `lives_in Rome`, "divorced" ends `spouse`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from memory_agent.records import Claim, Entity, Modality, PartialDate, Polarity
from memory_agent.semantic.folding import fold, fold_value
from memory_agent.semantic.ontology import Ontology

_TICK = timedelta(microseconds=1)


class People:
    """Which entity an id stands for after merges, and what each is called."""

    def __init__(self, entities: Mapping[str, Entity] | None = None) -> None:
        self._entities: Mapping[str, Entity] = entities or {}

    def root(self, id: str) -> str:
        """The id that `id` was merged into, at the end of the chain; its own when it was not."""
        seen = {id}
        while (entity := self._entities.get(id)) is not None and entity.merged_into and entity.merged_into not in seen:
            id = entity.merged_into
            seen.add(id)
        return id

    def name(self, id: str, otherwise: str) -> str:
        """The name of the entity `id`, or `otherwise` when it is not known."""
        entity = self._entities.get(id)
        return entity.name if entity else otherwise

    def is_called(self, id: str, name: str, otherwise: str) -> bool:
        """Whether `name` is one of the entity's names (`otherwise`, when the entity is not known)."""
        entity = self._entities.get(id)
        names = (entity.name, *entity.aliases, otherwise) if entity else (otherwise,)
        return fold(name) in {fold(each) for each in names}


@dataclass(frozen=True, eq=False)
class Evidence:
    """One claim as it bears on one predicate."""

    claim: Claim
    predicate: str
    subject_id: str
    subject: str
    object_id: str | None
    object: str
    polarity: Polarity
    modality: Modality
    own: bool
    """Said by the subject about itself (by either end, where the predicate goes both ways)."""
    key: datetime
    """Where it stands in valid time: its latest possible start (or end, for a negation), never after it was said."""
    group: str
    """The predicate whose evidence it is weighed with."""
    pair: tuple[str, str]
    """Subject and value, in an order that an inverse or symmetric claim shares."""
    anything: bool = False
    """It names no value: the negation of it ends whatever holds."""
    projected: bool = False
    """It only ends what others say, and states nothing itself."""

    @property
    def date(self) -> PartialDate | None:
        """When it began, or when it ended for a negation; None where it was not said."""
        return self.claim.valid_from if self.polarity == "+" else self.claim.valid_to or self.claim.valid_from

    @property
    def rank(self) -> int:
        """Whose word it is: 2 the subject's own, 1 the memory's owner's, 0 a third party's."""
        return 2 if self.own else int(self.claim.owners_word)

    @property
    def bound(self) -> PartialDate:
        """`date`, or the day it was said: the change had happened by then."""
        return self.date or PartialDate.at(self.claim.said_at)

    @property
    def order(self) -> tuple[datetime, bool, datetime, str]:
        """Sorts by valid time, a statement before its negation, then by when it was said; total over claims."""
        return self.key, self.polarity == "-", self.claim.said_at, self.claim.id


def gather(claims: Iterable[Claim], ontology: Ontology, people: People) -> list[Evidence]:
    """All evidence in `claims`, projections included, each claim once, in an order that does not depend on theirs."""
    distinct = {claim.id: claim for claim in claims}
    return [e for _, claim in sorted(distinct.items()) for e in _evidence_of(claim, ontology, people)]


def _evidence_of(claim: Claim, ontology: Ontology, people: People) -> Iterator[Evidence]:
    subject_id = people.root(claim.subject_id)
    object_id = people.root(claim.object_id) if claim.object_id else None
    if object_id == subject_id:  # two that were merged; nobody is their own sister
        return
    value = object_id or fold_value(claim.object)
    group, pair = grouped(claim.predicate, subject_id, object_id, value, ontology)
    direct = Evidence(
        claim=claim,
        predicate=claim.predicate,
        subject_id=subject_id,
        subject=people.name(subject_id, claim.subject),
        object_id=object_id,
        object=people.name(object_id, claim.object) if object_id else claim.object,
        polarity=claim.polarity,
        modality=claim.modality,
        own=_is_own(claim, subject_id, object_id, ontology, people),
        key=_key(claim, claim.polarity, claim.modality),
        group=group,
        pair=pair,
        anything=object_id is None and value in ontology.anything_keys,
    )
    yield direct
    if claim.polarity == "+" and claim.modality == "actual":
        yield from _projections(direct, value, ontology)


def _is_own(claim: Claim, subject_id: str, object_id: str | None, ontology: Ontology, people: People) -> bool:
    if people.is_called(subject_id, claim.speaker, claim.subject):
        return True
    mutual = object_id is not None and ontology.reversed_name(claim.predicate) is not None
    return mutual and object_id is not None and people.is_called(object_id, claim.speaker, claim.object)


def _projections(direct: Evidence, value: str, ontology: Ontology) -> Iterator[Evidence]:
    ended = replace(direct, polarity="-", projected=True)
    if present := ontology.past_of.get(direct.predicate):
        group, pair = grouped(present, direct.subject_id, direct.object_id, value, ontology)
        when = direct.claim.valid_to
        key = _latest(when, direct.claim.said_at) if when else direct.claim.said_at
        yield replace(ended, predicate=present, group=group, pair=pair, key=key)
    for rule in ontology.ends:
        if rule.when != direct.predicate or (rule.values and value not in rule.values):
            continue
        for other in rule.ends:
            group, pair = grouped(other, direct.subject_id, direct.object_id, value, ontology)
            yield replace(ended, predicate=other, group=group, pair=pair, anything=rule.object == "any")


def grouped(
    predicate: str, subject_id: str, object_id: str | None, value: str, ontology: Ontology
) -> tuple[str, tuple[str, str]]:
    """The group of a statement and its pair, equal for (Ana, child, Bo) and (Bo, parent, Ana)."""
    other = ontology.reversed_name(predicate) if object_id else None
    if other is None:
        return predicate, (subject_id, value)
    if other == predicate:
        first, second = sorted((subject_id, value))
        return predicate, (first, second)
    return (predicate, (subject_id, value)) if predicate < other else (other, (value, subject_id))


def _key(claim: Claim, polarity: Polarity, modality: Modality) -> datetime:
    if modality != "actual":
        return claim.said_at
    when = claim.valid_from if polarity == "+" else claim.valid_to or claim.valid_from
    if when:
        key = _latest(when, claim.said_at)
        return min(key, _latest(claim.valid_to, claim.said_at)) if claim.valid_to and polarity == "+" else key
    if claim.valid_to and claim.valid_to.earliest <= claim.said_at:
        return claim.valid_to.earliest - _TICK
    return claim.said_at


def _latest(when: PartialDate, said_at: datetime) -> datetime:
    """The latest moment that `when` can mean, given that it was said at `said_at` of the past."""
    last = max(when.earliest, when.latest - _TICK)
    return last if when.earliest > said_at else min(last, said_at)
