"""Where the nodes of a graph go: the same graph always gives the same picture.

Nodes with several neighbours are spread by Fruchterman-Reingold (networkx, fixed seed) and then
pushed apart; what hangs on one node only is fanned out around it, in the widest gaps that its other
edges leave. At the end label boxes that overlap are nudged until they do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import networkx as nx

Point = tuple[float, float]
Box = tuple[float, float]

SEED = 7
GAP = 10.0
LINE = 98.0
"""Length of the line between a node and its leaf: room for the label on it."""


def layout(graph: nx.Graph, boxes: Mapping[str, Box]) -> dict[str, Point]:
    """A position in pixels for every node of `graph` (undirected, simple); `boxes` are label sizes (width, height)."""
    owners = _owners(graph)
    around: dict[str, list[str]] = {}
    for leaf, owner in sorted(owners.items()):
        around.setdefault(owner, []).append(leaf)
    core = graph.subgraph([n for n in graph if n not in owners])
    reach = {n: _reach(n, around, boxes) for n in core}
    centres = _spread(core, reach)
    places = dict(centres)
    for owner in core:
        towards = [_angle(centres[owner], centres[n]) for n in core[owner] if n != owner]
        fan = _fan(owner, centres[owner], around.get(owner, ()), towards, boxes)
        places.update(fan)
        for leaf, at in fan.items():  # what hangs on a leaf goes on in the same direction
            angle = _angle(centres[owner], at)
            for further in around.get(leaf, ()):
                step = _inside(boxes[leaf], angle) + LINE + _inside(boxes[further], angle)
                at = (at[0] + step * math.cos(angle), at[1] + step * math.sin(angle))
                places[further] = at
    _separate(places, boxes, held=set(core))
    return places


def _owners(graph: nx.Graph) -> dict[str, str]:
    """What hangs on one node only, with that node: single nodes, and a node that carries just one of those."""
    near = {node: {n for n in graph[node] if n != node} for node in graph}
    owners: dict[str, str] = {}
    for node, others in near.items():
        if len(others) == 1 and node not in owners:
            (other,) = others
            if len(near[other]) == 1:  # a pair on its own: the one that was added first stays
                owners[other] = node
            else:
                owners[node] = other
    for node, others in near.items():
        if node not in owners and len(others) == 2:
            leaves = [n for n in others if len(near[n]) == 1]
            rest = [n for n in others if len(near[n]) > 1]
            if len(leaves) == 1 and rest[0] not in owners:
                owners[node] = rest[0]
    return owners


def _reach(node: str, around: Mapping[str, Sequence[str]], boxes: Mapping[str, Box]) -> float:
    """The radius of the disc that a node and what hangs on it need."""
    leaves = around.get(node, ())
    if not leaves:
        return max(boxes[node]) / 2 + GAP
    widest = sum(boxes[leaf][0] for leaf in leaves) / len(leaves)
    chained = sum(leaf in around for leaf in leaves)
    return max(LINE + boxes[node][0] / 4 + widest / 2, 27.0 * (len(leaves) + chained))


def _spread(core: nx.Graph, reach: Mapping[str, float]) -> dict[str, Point]:
    """Positions for the nodes that hold the picture together, their discs apart, components on shelves."""
    pieces = []
    for part in sorted(sorted(p) for p in nx.connected_components(core)):
        piece = nx.Graph()
        piece.add_nodes_from(part)
        piece.add_edges_from(sorted((min(a, b), max(a, b)) for a, b in core.subgraph(part).edges if a != b))
        scale = sum(reach[n] for n in part)
        spots = nx.spring_layout(piece, seed=SEED, iterations=200, scale=scale) if len(part) > 1 else {part[0]: (0, 0)}
        points = {n: (float(x) * 1.15, float(y)) for n, (x, y) in spots.items()}
        _push_discs(points, reach)
        left, top = min(points[n][0] - reach[n] for n in part), min(points[n][1] - reach[n] for n in part)
        size = (
            max(points[n][0] + reach[n] for n in part) - left,
            max(points[n][1] + reach[n] for n in part) - top,
        )
        pieces.append((size, {n: (x - left, y - top) for n, (x, y) in points.items()}))
    pieces.sort(key=lambda p: (-p[0][1], sorted(p[1])))
    shelf = max([math.sqrt(1.3 * sum(w * h for (w, h), _ in pieces)), *(w for (w, _), _ in pieces)], default=0.0)
    places: dict[str, Point] = {}
    x = y = height = 0.0
    for (wide, high), points in pieces:
        if x and x + wide > shelf:
            x, y, height = 0.0, y + height, 0.0
        places.update({n: (px + x, py + y) for n, (px, py) in points.items()})
        x, height = x + wide, max(height, high)
    return places


def _push_discs(points: dict[str, Point], reach: Mapping[str, float]) -> None:
    """Pull the nodes in until discs touch, then push those apart that overlap."""
    names = sorted(points)
    for step in range(240):
        moved = False
        if step < 120:
            points.update({n: (points[n][0] * 0.98, points[n][1] * 0.98) for n in names})
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                dx, dy = points[b][0] - points[a][0], points[b][1] - points[a][1]
                apart = math.hypot(dx, dy) or 1e-6
                short = (reach[a] + reach[b]) * 0.9 - apart
                if short > 0:
                    moved = True
                    ux, uy = dx / apart * short / 2, dy / apart * short / 2
                    points[a] = (points[a][0] - ux, points[a][1] - uy)
                    points[b] = (points[b][0] + ux, points[b][1] + uy)
        if not moved and step >= 120:
            return


def _angle(a: Point, b: Point) -> float:
    return math.atan2(b[1] - a[1], b[0] - a[0]) % math.tau


def _fan(
    owner: str, centre: Point, leaves: Sequence[str], towards: Sequence[float], boxes: Mapping[str, Box]
) -> dict[str, Point]:
    """Leaves around `centre`, shared out over the gaps between the directions in `towards`."""
    marks = sorted(towards) or [math.pi / 2]
    gaps = [(marks[i], ((marks[(i + 1) % len(marks)] - marks[i]) % math.tau) or math.tau) for i in range(len(marks))]
    counts = [0] * len(gaps)
    for _ in leaves:  # each leaf goes where it gets the widest share
        best = max(range(len(gaps)), key=lambda i: gaps[i][1] / (counts[i] + 2))
        counts[best] += 1
    places: dict[str, Point] = {}
    waiting = list(leaves)
    for (start, width), count in zip(gaps, counts, strict=True):
        for k in range(count):
            angle = start + width * (k + 1) / (count + 1)
            leaf = waiting.pop(0)
            stagger = LINE / 2 if k % 2 and count > 3 else 0.0
            far = _inside(boxes[owner], angle) + LINE + _inside(boxes[leaf], angle)
            side = boxes[leaf][0] * abs(math.sin(angle)) + boxes[leaf][1] * abs(math.cos(angle)) + GAP
            if count > 1:  # neighbours on the ring must not touch; staggered ones need only part of the room
                far = max(far, min(0.5 * side / math.sin(width / (count + 1) / 2), 3 * LINE))
            far += stagger
            places[leaf] = (centre[0] + far * math.cos(angle), centre[1] + far * math.sin(angle))
    return places


def _inside(box: Box, angle: float) -> float:
    """How far from its middle a box reaches in that direction."""
    across, down = abs(math.cos(angle)), abs(math.sin(angle))
    return min(box[0] / 2 / across if across > 1e-9 else math.inf, box[1] / 2 / down if down > 1e-9 else math.inf)


def _separate(places: dict[str, Point], boxes: Mapping[str, Box], held: set[str]) -> None:
    """Nudge label boxes apart along the shorter way; those in `held` give way half as much."""
    names = sorted(places)
    for _ in range(200):
        moved = False
        for i, a in enumerate(names):
            for b in names[i + 1 :]:
                dx, dy = places[b][0] - places[a][0], places[b][1] - places[a][1]
                over_x = (boxes[a][0] + boxes[b][0]) / 2 + GAP - abs(dx)
                over_y = (boxes[a][1] + boxes[b][1]) / 2 + GAP - abs(dy)
                if over_x <= 0 or over_y <= 0:
                    continue
                moved = True
                weight_a = (0.5 if a in held else 1.0) / ((0.5 if a in held else 1.0) + (0.5 if b in held else 1.0))
                along_x = over_x < over_y
                push = (over_x if along_x else over_y) * (1 if (dx if along_x else dy) >= 0 else -1)
                step_a, step_b = -push * weight_a, push * (1 - weight_a)
                shift_a = (step_a, 0.0) if along_x else (0.0, step_a)
                shift_b = (step_b, 0.0) if along_x else (0.0, step_b)
                places[a] = (places[a][0] + shift_a[0], places[a][1] + shift_a[1])
                places[b] = (places[b][0] + shift_b[0], places[b][1] + shift_b[1])
        if not moved:
            return
