"""Facts asked along both axes of time, and the same facts as a graph."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from memory_agent.errors import InvalidInput
from memory_agent.protocols import Query
from memory_agent.records import Fact, PartialDate
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.folding import fold_value
from memory_agent.semantic.ontology import Ontology, load
from memory_agent.space import Space

if TYPE_CHECKING:
    import networkx as nx

Moment = datetime | date | str
STANDING = ("current", "stale", "disputed")
"""The states of a fact that is not over."""
_TICK = timedelta(microseconds=1)
_CHAIN = 3
"""Nodes of a chain that implies something: its two ends and at least one between."""


def instant(moment: Moment, *, end: bool = False) -> datetime:
    """The UTC instant that `moment` means: the start of a date, or its last moment with `end`.

    Raises InvalidInput for a naive datetime or text that is no date.
    """
    try:
        if isinstance(moment, datetime):
            when = PartialDate.at(moment, "instant")
        else:
            when = PartialDate(moment) if isinstance(moment, str) else PartialDate.at(moment)
    except ValueError as error:
        wanted = "write 2024, 2024-03, 2024-03-14 or an instant with its zone, as 2024-03-14T10:00:00+00:00"
        raise InvalidInput(f"{moment!r} is no moment: {wanted}") from error
    return when.latest - _TICK if end and when.latest > when.earliest else when.earliest


def facts(
    space: Space,
    about: str | None = None,
    *,
    as_of: Moment | None = None,
    known_at: Moment | None = None,
    predicate: str | None = None,
    past: bool = False,
) -> list[Fact]:
    """The facts of one entity (its id, a name or an alias; as subject or object) or of all, in ledger order.

    Without times, those that hold now, the stale and the disputed among them marked as such; `past`
    adds those that were superseded or ended. `as_of` gives those that held then (a day or month means
    its start), `known_at` what was believed then (a day or month means its end). A name that nobody
    bears gives no facts.
    """
    believed = None if known_at is None else instant(known_at, end=True)
    when = None if as_of is None else instant(as_of)
    where: dict[str, object] = {} if believed else {"retired_at": None}
    if predicate:
        where["predicate"] = predicate
    found = _about(space, about, where)
    if believed:
        found = [f for f in found if f.recorded_at <= believed and (f.retired_at is None or believed < f.retired_at)]
    if past and when is None:
        return found
    now = believed or space.clock.now()
    ontology = load()
    return [f for f in found if (holds(f, when, ontology) if when else stands(f, now))]


def _about(space: Space, about: str | None, where: dict[str, object]) -> list[Fact]:
    if about is None:
        return space.ledger.select(Fact, Query(where=where))
    directory = Directory.of(space.ledger)
    ids = [id for entity in directory.find(about) for id in directory.members(entity.id)]
    if not ids:
        return []
    rows: dict[tuple[str, int], Fact] = {}
    for column in ("subject_id", "object_id"):
        for fact in space.ledger.select(Fact, Query(where={**where, column: ids})):
            rows[fact.id, fact.version] = fact
    return sorted(rows.values(), key=lambda f: (f.position, f.recorded_at))


def stands(fact: Fact, now: datetime) -> bool:
    """Whether the fact is not over: neither replaced nor ended, nor past an end that was announced."""
    return fact.status in STANDING and not (fact.valid_to and fact.valid_to.latest <= now)


def holds(fact: Fact, when: datetime, ontology: Ontology) -> bool:
    """Whether the fact was true at `when`, by `span`."""
    interval = span(fact, ontology)
    return interval is not None and interval[0] <= when < interval[1]


def span(fact: Fact, ontology: Ontology) -> tuple[datetime, datetime] | None:
    """The half-open UTC interval in which the fact was true, `datetime.min` and `max` where it is open.

    Without a start date a lasting fact held always, any other since it was first said; plans hold
    from when they were made. None for what was corrected: it never held.
    """
    if fact.status == "superseded" and (fact.because or "").endswith("corrected"):
        return None
    said = first_said(fact)
    if fact.modality != "actual":
        start = said
    elif fact.valid_from:
        start = fact.valid_from.earliest
    else:
        lasting = ontology[fact.predicate].permanence == "permanent" and not ontology[fact.predicate].event
        start = datetime.min.replace(tzinfo=UTC) if lasting else min(said, _end(fact))
    return start, _end(fact)


def _end(fact: Fact) -> datetime:
    if fact.valid_to is None:
        return datetime.max.replace(tzinfo=UTC)
    return fact.valid_to.earliest if fact.status in ("superseded", "ended") else fact.valid_to.latest


def graph(
    space: Space,
    *,
    as_of: Moment | None = None,
    known_at: Moment | None = None,
    past: bool = False,
    implied: bool = False,
) -> nx.MultiDiGraph:
    """The facts as a graph, those that `facts` gives for the same arguments.

    With `implied`, what follows from them by transitive predicates is added: an office in Leipzig is in
    Saxony, if Leipzig is. Such an edge has `implied=True` and, in `via`, the ids of the facts it follows from.

    Nodes are entity ids (`name`, `type`, `entity=True`) and values ("value:<text>"; `name`,
    `type="value"`, `entity=False`); edges go from subject to object, are keyed by the fact's id and
    carry every field of the fact, times as ISO text and sources as dicts.
    """
    import networkx as nx

    made = nx.MultiDiGraph()
    directory = Directory.of(space.ledger)
    for fact in facts(space, as_of=as_of, known_at=known_at, past=past):
        ends = []
        for id, name in ((fact.subject_id, fact.subject), (fact.object_id, fact.object)):
            node = id or f"value:{fold_value(name)}"
            if node not in made:
                known = directory.entities.get(id) if id else None
                kind = known.type if known else ("thing" if id else "value")
                made.add_node(node, name=known.name if known else name, type=kind, entity=id is not None)
            ends.append(node)
        made.add_edge(*ends, key=fact.id, **fact.model_dump(mode="json"))
    if implied:
        _add_implied(made, load())
    return made


def _add_implied(made: nx.MultiDiGraph, ontology: Ontology) -> None:
    """Close the transitive predicates: an edge from each node to all that chains of one predicate reach."""
    import networkx as nx

    for name in (p.name for p in ontology.predicates if p.transitive):
        steps = nx.DiGraph()
        for a, b, fact in made.edges(data=True):
            sure = fact["predicate"] == name and (fact["polarity"], fact["modality"]) == ("+", "actual")
            if sure and fact["status"] in STANDING:
                steps.add_edge(a, b, fact=fact)
        for start in list(steps):
            for end, path in nx.single_source_shortest_path(steps, start).items():
                if len(path) < _CHAIN or end == start:
                    continue
                via = [steps.edges[pair]["fact"] for pair in itertools.pairwise(path)]
                key, last = f"implied:{name}:{start}:{end}", via[-1]
                said = {
                    "id": key,
                    "object": last["object"],
                    "object_id": last["object_id"],
                    "text": ontology.statement(via[0]["subject"], name, last["object"]),
                    "valid_from": None,
                    "implied": True,
                    "via": [fact["id"] for fact in via],
                }
                made.add_edge(start, end, key=key, **via[0] | said)


def first_said(fact: Fact) -> datetime:
    """When a source first said it; when it was recorded, where none has a time."""
    return min((source.at for source in fact.sources if source.at), default=fact.recorded_at)
