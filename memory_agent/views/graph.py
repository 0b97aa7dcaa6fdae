"""The temporal graph as one page: a drawing, a slider over valid time, and every fact with what it was read in.

A graph is what `Memory.graph` gives: edges run from subject to object, are keyed by the fact's id
and carry the fact's fields. The page knows nothing of how facts come about.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import networkx as nx

from memory_agent.records import Fact
from memory_agent.semantic import ontology
from memory_agent.views.layout import Box, Point, layout
from memory_agent.views.page import asset, esc, page

MOST_EDGES = 400
"""A drawing of more edges is not readable; the newest are drawn, all stand in the table."""
_LONGEST_LABEL = 30
_CLASSES = (
    "identity", "location", "work", "education", "family", "social", "home", "preference", "health", "plan", "event",
)  # fmt: skip


@dataclass(frozen=True)
class _Edge:
    subject: str
    object: str
    fact: Fact
    cls: str
    start: str
    """First month in which it held, as "2025-03"; the month it was first said when no start is known."""
    end: str | None
    """First month in which it no longer held."""


def graph_html(graph: nx.MultiDiGraph, *, title: str = "Memory graph", lead: str = "") -> str:
    """A page that stands alone: drawing, time slider, filters, and a table of the facts with their sources.

    `title` and `lead` are shown as text. The same graph gives the same page, byte for byte.
    """
    edges = _edges(graph)
    names = _names(graph, edges)
    classes = [c for c in (*_CLASSES, "other") if any(e.cls == c for e in edges)]
    body = "\n".join(
        (
            f"<header><h1>{esc(title)}</h1><p>{esc(lead or _lead(names, edges))}</p></header>",
            _controls(classes, edges),
            f'<main class="split"><section class="drawing" aria-label="Graph">{_svg(graph, names, edges)}</section>',
            f'<section class="facts" aria-label="Facts">{fact_table([e.fact for e in edges])}</section></main>',
        )
    )
    months = _months(edges)
    data = {
        "months": months,
        "edges": {
            e.fact.id: {"cls": e.cls, "start": e.start, "end": e.end, "ends": [e.subject, e.object]} for e in edges
        },
    }
    return page(title, body, script=asset("graph.js"), data=data, whole=True)


def graph_svg(graph: nx.MultiDiGraph) -> str:
    """The drawing alone, as an SVG element for a page that has this package's style sheet."""
    edges = _edges(graph)
    return _svg(graph, _names(graph, edges), edges)


def fact_table(facts: Sequence[Fact]) -> str:
    """An HTML table of facts: what is held, since and until when, and the words it was read in."""
    rows = []
    for fact in facts:
        quotes = "".join(
            f"<blockquote>{esc(s.quote)}<cite>{esc(s.speaker or 'unknown')}"
            f"{', ' + esc(s.at.date().isoformat()) if s.at else ''} · {esc(s.episode_id)}</cite></blockquote>"
            for s in fact.sources
        )
        since = esc(fact.valid_from or f"by {_said(fact):%Y-%m-%d}")
        until = esc(fact.valid_to or ("now" if fact.status == "current" else "?"))
        what = f"{esc(fact.subject)} <em>{esc(_predicate(fact))}</em> <strong>{esc(fact.object)}</strong>"
        rows.append(
            f'<tr id="row-{esc(fact.id)}" data-fact="{esc(fact.id)}" class="{esc(fact.status)}" tabindex="0">'
            f"<td>{what}{quotes}</td><td>{since} to {until}</td><td>{esc(fact.status)}</td></tr>"
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
                cls=cls if cls in _CLASSES else "other",
                start=(fact.valid_from.earliest if fact.valid_from else _said(fact)).strftime("%Y-%m"),
                end=fact.valid_to.earliest.strftime("%Y-%m") if fact.valid_to else None,
            )
        )
    return sorted(found, key=lambda e: (e.fact.subject, e.fact.predicate, e.start, e.fact.object, e.fact.id))


def _said(fact: Fact) -> datetime:
    """When it was first said."""
    return min((s.at for s in fact.sources if s.at), default=fact.recorded_at)


def _names(graph: nx.MultiDiGraph, edges: Sequence[_Edge]) -> dict[str, str]:
    names = {str(node): str(data.get("name") or node) for node, data in graph.nodes(data=True)}
    for edge in edges:
        names[edge.subject], names[edge.object] = edge.fact.subject, edge.fact.object
    return names


def _lead(names: Mapping[str, str], edges: Sequence[_Edge]) -> str:
    current = sum(e.fact.status == "current" for e in edges)
    subjects = len({e.subject for e in edges})
    past = len(edges) - current
    return f"{len(edges)} facts about {subjects} subjects; {current} hold now, {past} are past or in doubt."


def _predicate(fact: Fact) -> str:
    words = fact.predicate.replace("_", " ")
    if fact.modality != "actual":
        words = f"{words} ({fact.modality})"
    return f"not: {words}" if fact.polarity == "-" else words


def _months(edges: Sequence[_Edge]) -> list[str]:
    """Every month from the first start to the last change."""
    marks = sorted({e.start for e in edges} | {e.end for e in edges if e.end})
    if not marks:
        return []
    # Facts that hold since childhood must not stretch the slider over decades of nothing.
    first, last = marks[0], marks[-1]
    year, month = int(first[:4]), int(first[5:])
    months = []
    while (text := f"{year:04d}-{month:02d}") <= last:
        months.append(text)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return months if len(months) <= 60 else marks


def _controls(classes: Sequence[str], edges: Sequence[_Edge]) -> str:
    months = _months(edges)
    last = len(months)  # one past the last month: now
    chips = "".join(
        f'<label class="chip cls-{c}"><input type="checkbox" data-cls="{c}" checked>{c}</label>' for c in classes
    )
    slider = (
        f'<label class="time">True in <input id="when" type="range" min="0" max="{last}" value="{last}" step="1">'
        '<output id="when-text" for="when">now</output></label>'
    )
    past = '<label class="chip"><input type="checkbox" id="past" checked>past facts, faded</label>'
    search = '<label class="find">Find <input id="find" type="search" placeholder="name or word"></label>'
    return f'<nav class="controls">{slider}{search}{past}<span class="chips">{chips}</span></nav>'


def _clip(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def _box(label: str, hub: bool) -> Box:
    return (len(_clip(label)) * (10.0 if hub else 8.3) + (32 if hub else 20), 38.0 if hub else 28.0)


def _svg(graph: nx.MultiDiGraph, names: Mapping[str, str], edges: Sequence[_Edge]) -> str:
    newest = sorted(edges, key=lambda e: (e.start, e.fact.id))[-MOST_EDGES:]
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
    nodes = "".join(_draw_node(n, names[n], places[n], boxes[n], n in hubs) for n in sorted(places))
    note = "" if len(drawn) == len(edges) else f"<p>The newest {len(drawn)} of {len(edges)} facts are drawn.</p>"
    return (
        f'{note}<svg id="graph" role="img" aria-label="Graph of {len(drawn)} facts" '
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
        f'<g class="edge cls-{edge.cls}{past}" data-fact="{esc(fact.id)}"><title>{esc(fact.text)}</title>'
        f'<path class="hit" d="{path}"/><path class="line" marker-end="url(#tip)" d="{path}"/>'
        f'<text class="halo" transform="translate({at[0]:.1f} {at[1]:.1f}) rotate({turn:.1f})" dy="-3">'
        f"{esc(_clip(_predicate(fact)))}</text></g>"
    )


def _draw_node(node: str, name: str, at: Point, box: Box, hub: bool) -> str:
    width, height = box
    return (
        f'<g class="node{" hub" if hub else ""}" data-node="{esc(node)}" tabindex="0" role="button" '
        f'aria-label="{esc(name)}" transform="translate({at[0]:.1f} {at[1]:.1f})"><title>{esc(name)}</title>'
        f'<rect x="{-width / 2:.1f}" y="{-height / 2:.1f}" width="{width:.1f}" height="{height}" rx="{height / 2}"/>'
        f'<text dy="0.34em">{esc(_clip(name))}</text></g>'
    )
