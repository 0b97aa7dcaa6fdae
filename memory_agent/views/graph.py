"""The graph as a still drawing and its facts as a table, for pages that run no scripts.

A graph is what `Memory.graph` gives: edges run from subject to object, are keyed by the fact's id
and carry the fact's fields. This module knows nothing of how facts come about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from memory_agent.records import Fact
from memory_agent.semantic import ontology
from memory_agent.semantic.query import first_said
from memory_agent.views import times
from memory_agent.views.formats import label
from memory_agent.views.layout import Box, Point, layout
from memory_agent.views.model import CLASSES
from memory_agent.views.page import esc

MOST_EDGES = 400
"""A drawing of more edges is not readable; the newest are drawn."""
_LONGEST_LABEL = 30


@dataclass(frozen=True)
class _Edge:
    subject: str
    object: str
    fact: Fact
    cls: str
    start: str
    """First day on which it held; the day it was first said when no start is known."""


def graph_svg(graph: nx.MultiDiGraph, *, most: int = MOST_EDGES) -> str:
    """The drawing alone, as an SVG element for a page that has this package's style sheet."""
    edges = _edges(graph)
    return _svg(graph, _names(graph, edges), edges, most)


def drawn_and_listed(graph: nx.MultiDiGraph, *, most: int) -> str:
    """The drawing of at most `most` facts, what it shows in a line, and a table of as many to fold out."""
    edges = _edges(graph)
    names = _names(graph, edges)
    listed = fact_table([edge.fact for edge in edges[:most]])
    return (
        f'<p class="note">{esc(_lead(edges))}</p>{_svg(graph, names, edges, most)}'
        f"<details><summary>The facts, and the words they were read in</summary>{listed}</details>"
    )


def fact_table(facts: Sequence[Fact]) -> str:
    """An HTML table of facts: what is held, since and until when, and the words it was read in."""
    rows, terms = [], ontology.load()
    for fact in facts:
        quotes = "".join(
            f"<blockquote>{esc(s.quote)}<cite>{esc(s.speaker or 'unknown')}"
            f"{', ' + esc(times.day(s.at)) if s.at else ''} · {esc(s.episode_id)}</cite></blockquote>"
            for s in fact.sources
        )
        words = esc(label(fact.predicate, fact.modality, fact.polarity))
        what = f"{esc(fact.subject)} <em>{words}</em> <strong>{esc(fact.object)}</strong>"
        rows.append(
            f'<tr class="{esc(fact.status)}">'
            f"<td>{what}{quotes}</td><td>{esc(times.period(fact, terms))}</td><td>{esc(fact.status)}</td></tr>"
        )
    head = "<thead><tr><th>Fact, and the words it was read in</th><th>True</th><th>Status</th></tr></thead>"
    return f"<table>{head}<tbody>{''.join(rows)}</tbody></table>"


def _edges(graph: nx.MultiDiGraph) -> list[_Edge]:
    terms = ontology.load()
    found = []
    for subject, obj, data in graph.edges(data=True):
        fact = Fact.model_validate(data)
        cls = terms[fact.predicate].cls
        found.append(
            _Edge(
                subject=str(subject),
                object=str(obj),
                fact=fact,
                cls=cls if cls in CLASSES else "other",
                start=(fact.valid_from.earliest if fact.valid_from else first_said(fact)).strftime("%Y-%m-%d"),
            )
        )
    return sorted(found, key=lambda e: (e.fact.subject, e.fact.predicate, e.start, e.fact.object, e.fact.id))


def _names(graph: nx.MultiDiGraph, edges: Sequence[_Edge]) -> dict[str, str]:
    names = {str(node): str(data.get("name") or node) for node, data in graph.nodes(data=True)}
    for edge in edges:
        names[edge.subject], names[edge.object] = edge.fact.subject, edge.fact.object
    return names


def _lead(edges: Sequence[_Edge]) -> str:
    current = sum(e.fact.status == "current" for e in edges)
    subjects = len({e.subject for e in edges})
    past = len(edges) - current
    return f"{len(edges)} facts about {subjects} subjects; {current} hold now, {past} are past or in doubt."


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _box(label: str, hub: bool) -> Box:
    return (len(_clip(label)) * (10.0 if hub else 8.3) + (32 if hub else 20), 38.0 if hub else 28.0)


def _svg(graph: nx.MultiDiGraph, names: Mapping[str, str], edges: Sequence[_Edge], most: int) -> str:
    newest = sorted(edges, key=lambda e: (e.start, e.fact.id))[-most:]
    kept = {id(e) for e in newest}
    drawn = [e for e in edges if id(e) in kept]
    flat = nx.Graph()
    for edge in drawn:
        flat.add_edge(edge.subject, edge.object)
    hubs = {e.subject for e in drawn if sum(o.subject == e.subject for o in drawn) > 1}
    boxes = {n: _box(names[n], n in hubs) for n in flat}
    places = layout(flat, boxes)
    if not places:
        return '<p class="empty">No facts yet.</p>'
    left = min(places[n][0] - boxes[n][0] / 2 for n in places) - 20
    top = min(places[n][1] - boxes[n][1] / 2 for n in places) - 20
    width = max(places[n][0] + boxes[n][0] / 2 for n in places) + 20 - left
    height = max(places[n][1] + boxes[n][1] / 2 for n in places) + 20 - top
    lines = "".join(_draw_edge(e, places, boxes, _side(e, drawn)) for e in drawn)
    nodes = "".join(_draw_node(names[n], places[n], boxes[n], n in hubs) for n in sorted(places))
    note = "" if len(drawn) == len(edges) else f"<p>The newest {len(drawn)} of {len(edges)} facts are drawn.</p>"
    return (
        f'{note}<svg role="img" aria-label="Graph of {len(drawn)} facts" '
        f'viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z"/></marker></defs><g id="view">{lines}{nodes}</g></svg>'
    )


def _side(edge: _Edge, drawn: Sequence[_Edge]) -> float:
    """How far to bow this edge out, so that several between the same two nodes can be told apart."""
    pair = {edge.subject, edge.object}
    same = [e for e in drawn if {e.subject, e.object} == pair]
    if len(same) == 1:
        return 0.0
    step = (same.index(edge) - (len(same) - 1) / 2) * 46
    return step if edge.subject <= edge.object else -step


def _rim(centre: Point, towards: Point, box: Box) -> Point:
    """Where the line from `centre` to `towards` leaves the box."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    if dx == 0 and dy == 0:
        return centre
    share = min((box[0] / 2 + 3) / abs(dx) if dx else math.inf, (box[1] / 2 + 3) / abs(dy) if dy else math.inf, 1.0)
    return centre[0] + dx * share, centre[1] + dy * share


def _draw_edge(edge: _Edge, places: Mapping[str, Point], boxes: Mapping[str, Box], bow: float) -> str:
    a, b = places[edge.subject], places[edge.object]
    if edge.subject == edge.object:
        a, b = (a[0] - 30, a[1]), (a[0] + 30, a[1])
        bow = 90.0
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    middle = ((a[0] + b[0]) / 2 - (b[1] - a[1]) / length * bow, (a[1] + b[1]) / 2 + (b[0] - a[0]) / length * bow)
    start, end = _rim(a, middle, boxes[edge.subject]), _rim(b, middle, boxes[edge.object])
    # The label sits halfway between the two rims, turned along the line but never upside down.
    at = ((start[0] + end[0]) / 4 + middle[0] / 2, (start[1] + end[1]) / 4 + middle[1] / 2) if bow else (
        (start[0] + end[0]) / 2,
        (start[1] + end[1]) / 2,
    )  # fmt: skip
    turn = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
    turn = turn - 180 if turn > 90 else turn + 180 if turn < -90 else turn
    fact = edge.fact
    past = "" if fact.status == "current" else " past"
    path = f"M{start[0]:.1f} {start[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {end[0]:.1f} {end[1]:.1f}"
    return (
        f'<g class="edge cls-{edge.cls}{past}"><title>{esc(fact.text)}</title>'
        f'<path class="line" marker-end="url(#tip)" d="{path}"/>'
        f'<text class="halo" transform="translate({at[0]:.1f} {at[1]:.1f}) rotate({turn:.1f})" dy="-3">'
        f"{esc(_clip(label(fact.predicate, fact.modality, fact.polarity)))}</text></g>"
    )


def _draw_node(name: str, at: Point, box: Box, hub: bool) -> str:
    width, height = box
    return (
        f'<g class="node{" hub" if hub else ""}" '
        f'transform="translate({at[0]:.1f} {at[1]:.1f})"><title>{esc(name)}</title>'
        f'<rect x="{-width / 2:.1f}" y="{-height / 2:.1f}" width="{width:.1f}" height="{height}" rx="{height / 2}"/>'
        f'<text dy="0.34em">{esc(_clip(name))}</text></g>'
    )
