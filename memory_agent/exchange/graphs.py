"""The knowledge graph in formats of others, with the records that it rests on, and back.

    graphml   entities and values are nodes, versions of facts are edges; turns, claims and the rest are nodes
    turtle    RDF 1.1, each version a reified statement, its sources and times in PROV-O terms
    csv       a table for each kind of record, entities.csv and facts.csv first

`read(write(graph)) == graph` for each, and a whole graph (not cut down to what is believed now) put into an empty
memory by `lines.restore` makes the same memory: both are tested. Lists and sources travel as JSON text in
GraphML and CSV; in Turtle each source is a node of its own. Text that XML or CSV would bend (control characters,
spaces at its ends), or that looks like JSON, is written as a JSON string.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from memory_agent.errors import MALFORMED, InvalidInput, MissingExtra
from memory_agent.exchange.lines import PORTABLE
from memory_agent.protocols import Query
from memory_agent.records import Entity, Fact, Record, Stored
from memory_agent.space import Space

BASE = "urn:slowwave:"
GRAPH: dict[str, type[Stored]] = {Entity.kind: Entity, Fact.kind: Fact}
REST: dict[str, type[Stored]] = {name: kind for name, kind in PORTABLE.items() if name not in GRAPH}
"""Every other kind that a memory is restored from: turns, claims, blocks, tombstones and the like."""
TABLES = {name: f"{name[:-1]}ies" if name.endswith("y") else f"{name}s" for name in (*GRAPH, *REST)}
"""Kind of record to the name of its csv table."""


@dataclass(frozen=True)
class Graph:
    """Entities by id, facts by id and version, and the records that they rest on by kind, id and version."""

    entities: tuple[Entity, ...]
    facts: tuple[Fact, ...]
    rest: tuple[Stored, ...] = ()

    @classmethod
    def of(cls, entities: Iterable[Entity], facts: Iterable[Fact], rest: Iterable[Stored] = ()) -> Graph:
        """In an order that does not depend on where they come from."""

        def bare(records: Iterable[Any]) -> tuple[Any, ...]:
            return tuple(sorted((r.model_copy(update={"position": 0}) for r in records), key=_order))

        return cls(bare(entities), bare(facts), bare(rest))

    @classmethod
    def in_space(cls, space: Space, *, versions: bool = True) -> Graph:
        """What the space holds; without `versions` only entities and what is believed of them now."""
        query = Query() if versions else Query(where={"retired_at": None})
        rest = [record for kind in REST.values() for record in space.ledger.select(kind)] if versions else []
        return cls.of(space.ledger.select(Entity), space.ledger.select(Fact, query), rest)

    def records(self) -> list[Stored]:
        """All records, for `lines.restore`.

        Raises InvalidInput for a graph without the turns that its facts were read from: a memory cannot stand on it.
        """
        turns = {record.id for record in self.rest if record.kind == "episode"}
        missing = sorted({s.episode_id for f in self.facts for s in f.sources} - turns)
        if missing:
            raise InvalidInput(
                f"this graph holds facts without the turns they were read from ({missing[0]}, ...): it was written "
                "with --current or by another tool. Only a whole export can be restored"
            )
        return [*self.rest, *self.entities, *self.facts]


def _order(record: Stored) -> tuple[str, str, int]:
    return record.kind, record.id, getattr(record, "version", 0)


def write(graph: Graph, format: str) -> dict[str, str]:
    """The graph in `format`, as texts by file suffix ("" for the one file, or table names for csv)."""
    if format == "graphml":
        return {"": _graphml(graph)}
    if format == "turtle":
        return {"": _turtle(graph)}
    if format == "csv":
        said = {Entity.kind: graph.entities, Fact.kind: graph.facts}
        said |= {name: tuple(r for r in graph.rest if r.kind == name) for name in REST}
        return {
            TABLES[name]: _table((GRAPH | REST)[name], rows) for name, rows in said.items() if rows or name in GRAPH
        }
    raise InvalidInput(f"no format {format!r}: graphml, turtle or csv")


def read(texts: Mapping[str, str], format: str) -> Graph:
    """The graph that `write` wrote. Raises InvalidInput when it cannot be read as one."""
    try:
        if format == "graphml":
            return _from_graphml(texts[""])
        if format == "turtle":
            return _from_turtle(texts[""])
        if format == "csv":
            rest = [r for name, kind in REST.items() for r in _rows(texts.get(TABLES[name], ""), kind)]
            return Graph.of(_rows(texts["entities"], Entity), _rows(texts["facts"], Fact), rest)
    except MALFORMED as error:
        raise InvalidInput(f"this is no graph in {format}: {type(error).__name__}: {error}") from error
    raise InvalidInput(f"no format {format!r}: graphml, turtle or csv")


# Fields as flat text: a field at its default of None is left out; what is no text is JSON, and so is text that a
# format may bend or that would be taken for JSON.

_PLAIN = re.compile('(?!null$|[\\s"\\[{])[\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+(?<!\\s)')


def _fields(kind: type[Record]) -> tuple[str, ...]:
    return tuple(name for name in kind.model_fields if name != "position")


def _flat(record: Record, fields: Iterable[str]) -> dict[str, str]:
    said = record.model_dump(mode="json")
    flat = {}
    for name in fields:
        value = said[name]
        if value is None and type(record).model_fields[name].default is None:
            continue
        plain = isinstance(value, str) and _PLAIN.fullmatch(value) is not None
        flat[name] = value if plain else _json(value)
    return flat


def _json(value: Any) -> str:
    """JSON as written, or in ASCII where it holds what XML cannot."""
    written = json.dumps(value, ensure_ascii=False)
    return written if _xml(written) == written else json.dumps(value)


def _whole(flat: Mapping[str, str], kind: type[Any]) -> Any:
    return kind.model_validate({name: _value(text) for name, text in flat.items()})


def _value(text: str) -> Any:
    """The value; numbers stay text, which the record's own type reads."""
    return json.loads(text) if text == "null" or text[:1] in ('"', "[", "{") else text


def _table(kind: type[Record], records: Iterable[Record]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _fields(kind), lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(_flat(record, _fields(kind)))
    return out.getvalue()


def _rows(text: str, kind: type[Any]) -> list[Any]:
    reader = csv.DictReader(io.StringIO(text), restkey="", restval="")
    return [_whole({k: v for k, v in row.items() if v}, kind) for row in reader]


# GraphML


def _graphml(graph: Graph) -> str:
    import networkx as nx

    made = nx.MultiDiGraph()
    for entity in graph.entities:
        made.add_node(entity.id, label=_xml(entity.name), record=entity.kind, **_flat(entity, _fields(Entity)))
    for number, record in enumerate(graph.rest):
        shown = _xml(f"{record.kind} {record.id}")
        said = {"label": shown, "record": record.kind} | _flat(record, _fields(type(record)))
        made.add_node(f"{record.kind}:{number}", **said)
    for fact in graph.facts:
        ends = [fact.subject_id, fact.object_id or _xml(f"value:{fact.object}")]
        for end in ends:
            if end not in made:
                made.add_node(end, label=_xml(fact.object if end == ends[1] else fact.subject))
        key, label = _xml(f"{fact.id}@{fact.version}"), _xml(fact.predicate)
        made.add_edge(*ends, key=key, label=label, **_flat(fact, _fields(Fact)))
    out = io.BytesIO()
    nx.write_graphml(made, out, named_key_ids=True)
    return out.getvalue().decode("utf-8")


def _xml(text: str) -> str:
    """Text that is only shown: what XML cannot hold becomes U+FFFD."""
    return re.sub("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def _from_graphml(text: str) -> Graph:
    import networkx as nx

    try:
        made = nx.read_graphml(io.BytesIO(text.encode("utf-8")), force_multigraph=True)
    except nx.NetworkXException as error:
        raise ValueError(str(error)) from error
    told = [data for _, data in made.nodes(data=True) if data.get("record")]
    entities = [_of(data, Entity) for data in told if data["record"] == Entity.kind]
    facts = [_of(data, Fact) for _, _, data in made.edges(data=True)]
    return Graph.of(entities, facts, [_of(data, REST[data["record"]]) for data in told if data["record"] in REST])


def _of(data: Mapping[str, Any], kind: type[Any]) -> Any:
    return _whole({name: str(data[name]) for name in _fields(kind) if name in data}, kind)


# RDF


def _rdflib() -> Any:
    try:
        import rdflib
    except ModuleNotFoundError as error:
        raise MissingExtra("RDF/Turtle", "rdf") from error
    return rdflib


def _turtle(graph: Graph) -> str:
    rdflib = _rdflib()
    rdf, prov, own = rdflib.RDF, rdflib.PROV, rdflib.Namespace(f"{BASE}term/")
    made = rdflib.Graph()
    for prefix, space in (("prov", prov), ("mem", own), ("rel", rdflib.Namespace(f"{BASE}predicate/"))):
        made.bind(prefix, space)
    for entity in graph.entities:
        node = rdflib.URIRef(f"{BASE}entity/{quote(entity.id, safe='')}")
        made.add((node, rdf.type, own.Entity))
        _literals(rdflib, made, node, entity, _fields(Entity))
    for record in graph.rest:
        node = rdflib.URIRef(f"{BASE}{record.kind}/{quote(record.id, safe='')}")
        made.add((node, rdf.type, own[type(record).__name__]))
        if record.kind == "episode":
            made.add((node, rdf.type, prov.Entity))
        _literals(rdflib, made, node, record, _fields(type(record)))
    for fact in graph.facts:
        node = rdflib.URIRef(f"{BASE}fact/{quote(fact.id, safe='')}/{fact.version}")
        made.add((node, rdf.type, rdf.Statement))
        made.add((node, rdf.type, prov.Entity))
        made.add((node, rdf.subject, rdflib.URIRef(f"{BASE}entity/{quote(fact.subject_id, safe='')}")))
        made.add((node, rdf.predicate, rdflib.URIRef(f"{BASE}predicate/{quote(fact.predicate, safe='')}")))
        thing = rdflib.URIRef(f"{BASE}entity/{quote(fact.object_id, safe='')}") if fact.object_id else None
        made.add((node, rdf.object, thing if thing is not None else rdflib.Literal(fact.object)))
        made.add((node, prov.generatedAtTime, _time(rdflib, fact.recorded_at)))
        if fact.retired_at:
            made.add((node, prov.invalidatedAtTime, _time(rdflib, fact.retired_at)))
        _literals(rdflib, made, node, fact, (name for name in _fields(Fact) if name != "sources"))
        for number, source in enumerate(fact.sources):
            span = rdflib.URIRef(f"{node}/source/{number}")
            made.add((node, prov.wasDerivedFrom, span))
            made.add((span, rdf.type, prov.Entity))
            turn = rdflib.URIRef(f"{BASE}episode/{quote(source.episode_id, safe='')}")
            made.add((span, prov.hadPrimarySource, turn))
            _literals(rdflib, made, span, source, type(source).model_fields)
    return str(made.serialize(format="turtle"))


def _literals(rdflib: Any, made: Any, node: Any, record: Record, fields: Iterable[str]) -> None:
    for name, value in _flat(record, fields).items():
        made.add((node, rdflib.URIRef(f"{BASE}term/{name}"), rdflib.Literal(value)))


def _time(rdflib: Any, moment: Any) -> Any:
    return rdflib.Literal(moment.isoformat(), datatype=rdflib.XSD.dateTime)


def _from_turtle(text: str) -> Graph:
    rdflib = _rdflib()
    made = rdflib.Graph()
    try:
        made.parse(data=text, format="turtle")
    except rdflib.plugins.parsers.notation3.BadSyntax as error:
        raise InvalidInput(f"this is no Turtle: {error.message}") from error
    own, prov = f"{BASE}term/", rdflib.PROV

    def told(node: Any) -> dict[str, str]:
        return {str(p).removeprefix(own): str(o) for p, o in made.predicate_objects(node) if str(p).startswith(own)}

    def typed(kind: type[Any]) -> list[Any]:
        nodes = made.subjects(rdflib.RDF.type, rdflib.URIRef(f"{own}{kind.__name__}"))
        return [_whole(told(node), kind) for node in nodes]

    facts = []
    for node in made.subjects(rdflib.RDF.type, rdflib.RDF.Statement):
        spans = sorted(made.objects(node, prov.wasDerivedFrom), key=lambda n: int(str(n).rpartition("/")[2]))
        said = told(node)
        said["sources"] = "[]"
        if spans:
            said["sources"] = json.dumps([{name: _value(text) for name, text in told(span).items()} for span in spans])
        facts.append(_whole(said, Fact))
    return Graph.of(typed(Entity), facts, [record for kind in REST.values() for record in typed(kind)])
