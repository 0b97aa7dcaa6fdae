"""The knowledge graph in formats of others, every field of every entity and fact in it, and back.

    graphml   entities and values are nodes, versions of facts are edges
    turtle    RDF 1.1, each version a reified statement, its sources and times in PROV-O terms
    csv       two tables, entities.csv and facts.csv

`read(write(graph)) == graph` for each: that is what is tested. Lists and sources travel as JSON text
in GraphML and CSV; in Turtle each source is a node of its own. Text that XML or CSV would bend (control
characters, spaces at its ends) is written as a JSON string.
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
from memory_agent.protocols import Query
from memory_agent.records import Entity, Fact, Record
from memory_agent.space import Space

ENTITY_FIELDS = tuple(name for name in Entity.model_fields if name != "position")
FACT_FIELDS = tuple(name for name in Fact.model_fields if name != "position")
BASE = "urn:slowwave:"


@dataclass(frozen=True)
class Graph:
    """Entities by id, and facts by id and version."""

    entities: tuple[Entity, ...]
    facts: tuple[Fact, ...]

    @classmethod
    def of(cls, entities: Iterable[Entity], facts: Iterable[Fact]) -> Graph:
        """In an order that does not depend on where they come from."""
        bare = (e.model_copy(update={"position": 0}) for e in entities)
        said = (f.model_copy(update={"position": 0}) for f in facts)
        return cls(tuple(sorted(bare, key=lambda e: e.id)), tuple(sorted(said, key=lambda f: (f.id, f.version))))

    @classmethod
    def in_space(cls, space: Space, *, versions: bool = True) -> Graph:
        """What the space holds; without `versions` only what is believed now."""
        query = Query() if versions else Query(where={"retired_at": None})
        return cls.of(space.ledger.select(Entity), space.ledger.select(Fact, query))


def write(graph: Graph, format: str) -> dict[str, str]:
    """The graph in `format`, as texts by file suffix ("" for the one file, or table names for csv)."""
    if format == "graphml":
        return {"": _graphml(graph)}
    if format == "turtle":
        return {"": _turtle(graph)}
    if format == "csv":
        return {
            "entities": _table(ENTITY_FIELDS, graph.entities),
            "facts": _table(FACT_FIELDS, graph.facts),
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
            return Graph.of(_rows(texts["entities"], Entity), _rows(texts["facts"], Fact))
    except MALFORMED as error:
        raise InvalidInput(f"this is no graph in {format}: {type(error).__name__}: {error}") from error
    raise InvalidInput(f"no format {format!r}: graphml, turtle or csv")


# fields as flat text: what is not said is left out; lists and numbers are JSON, and so is text that a format may bend

JSON_FIELDS = frozenset({"version", "confidence", "sources", "aliases", "start", "end"})
_PLAIN = re.compile('(?![\\s"])[\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+(?<!\\s)')


def _flat(record: Record, fields: Iterable[str]) -> dict[str, str]:
    said = record.model_dump(mode="json")
    flat = {}
    for name in fields:
        value = said[name]
        if value is None:
            continue
        plain = name not in JSON_FIELDS and _PLAIN.fullmatch(value) is not None
        flat[name] = value if plain else _json(value)
    return flat


def _json(value: Any) -> str:
    """JSON as written, or in ASCII where it holds what XML cannot."""
    written = json.dumps(value, ensure_ascii=False)
    return written if _xml(written) == written else json.dumps(value)


def _whole(flat: Mapping[str, str], kind: type[Any]) -> Any:
    return kind.model_validate({name: _value(name, text) for name, text in flat.items()})


def _value(name: str, text: str) -> Any:
    return json.loads(text) if name in JSON_FIELDS or text.startswith('"') else text


def _table(fields: tuple[str, ...], records: Iterable[Record]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(_flat(record, fields))
    return out.getvalue()


def _rows(text: str, kind: type[Any]) -> list[Any]:
    reader = csv.DictReader(io.StringIO(text), restkey="", restval="")
    return [_whole({k: v for k, v in row.items() if v}, kind) for row in reader]


# GraphML


def _graphml(graph: Graph) -> str:
    import networkx as nx

    made = nx.MultiDiGraph()
    for entity in graph.entities:
        made.add_node(entity.id, label=_xml(entity.name), **_flat(entity, ENTITY_FIELDS))
    for fact in graph.facts:
        ends = [fact.subject_id, fact.object_id or _xml(f"value:{fact.object}")]
        for end in ends:
            if end not in made:
                made.add_node(end, label=_xml(fact.object if end == ends[1] else fact.subject))
        key, label = _xml(f"{fact.id}@{fact.version}"), _xml(fact.predicate)
        made.add_edge(*ends, key=key, label=label, **_flat(fact, FACT_FIELDS))
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
    entities = [_whole(_of(data, ENTITY_FIELDS), Entity) for _, data in made.nodes(data=True) if "id" in data]
    facts = [_whole(_of(data, FACT_FIELDS), Fact) for _, _, data in made.edges(data=True)]
    return Graph.of(entities, facts)


def _of(data: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, str]:
    return {name: str(data[name]) for name in fields if name in data}


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
        _literals(rdflib, made, node, entity, ENTITY_FIELDS, ())
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
        _literals(rdflib, made, node, fact, FACT_FIELDS, ("sources",))
        for number, source in enumerate(fact.sources):
            span = rdflib.URIRef(f"{node}/source/{number}")
            made.add((node, prov.wasDerivedFrom, span))
            made.add((span, rdf.type, prov.Entity))
            turn = rdflib.URIRef(f"{BASE}episode/{quote(source.episode_id, safe='')}")
            made.add((span, prov.hadPrimarySource, turn))
            _literals(rdflib, made, span, source, tuple(type(source).model_fields), ())
    return str(made.serialize(format="turtle"))


def _literals(
    rdflib: Any, made: Any, node: Any, record: Record, fields: tuple[str, ...], without: tuple[str, ...]
) -> None:
    for name, value in _flat(record, fields).items():
        if name not in without:
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

    entities = [_whole(told(node), Entity) for node in made.subjects(rdflib.RDF.type, rdflib.URIRef(f"{own}Entity"))]
    facts = []
    for node in made.subjects(rdflib.RDF.type, rdflib.RDF.Statement):
        spans = sorted(made.objects(node, prov.wasDerivedFrom), key=lambda n: int(str(n).rpartition("/")[2]))
        said = told(node)
        said["sources"] = "[]"
        if spans:
            said["sources"] = json.dumps([_span(told(span)) for span in spans])
        facts.append(_whole(said, Fact))
    return Graph.of(entities, facts)


def _span(told: Mapping[str, str]) -> dict[str, Any]:
    return {name: _value(name, text) for name, text in told.items()}
