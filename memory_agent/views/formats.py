"""The graph as text that other tools draw: Mermaid, Graphviz DOT, GraphML.

A graph is what `Memory.graph` gives. Remembered text is untrusted: each format gets it escaped, so
that a name can neither end its quotes nor become markup.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import networkx as nx

_UNSEEN = re.compile("[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[^\w .,:+\-]", re.UNICODE)


def mermaid(graph: nx.MultiDiGraph) -> str:
    """A Mermaid flowchart; facts that are over are drawn dotted."""
    nodes = {node: f"n{number}" for number, node in enumerate(graph)}
    lines = ["flowchart LR"]
    for node, data in graph.nodes(data=True):
        left, right = ("([", "])") if data.get("entity") else ("[", "]")
        lines.append(f'  {nodes[node]}{left}"{_mermaid(data.get("name", node))}"{right}')
    for subject, object, data in graph.edges(data=True):
        arrow = "-->" if data.get("status") == "current" else "-.->"
        lines.append(f'  {nodes[subject]} {arrow}|"{_mermaid(edge_label(data))}"| {nodes[object]}')
    return "\n".join(lines) + "\n"


def dot(graph: nx.MultiDiGraph) -> str:
    """A Graphviz digraph; the edge's tooltip is the fact as a sentence."""
    nodes = {node: f"n{number}" for number, node in enumerate(graph)}
    lines = ["digraph memory {", "  rankdir=LR;", '  node [shape=box, style=rounded, fontname="sans-serif"];']
    lines.append('  edge [fontname="sans-serif", fontsize=10];')
    for node, data in graph.nodes(data=True):
        style = "" if data.get("entity") else ", shape=plaintext"
        lines.append(f"  {nodes[node]} [label={_dot(data.get('name', node))}{style}];")
    for subject, object, data in graph.edges(data=True):
        style = "" if data.get("status") == "current" else ", style=dashed, color=gray60"
        words = f"label={_dot(edge_label(data))}, tooltip={_dot(data.get('text', ''))}"
        lines.append(f"  {nodes[subject]} -> {nodes[object]} [{words}{style}];")
    return "\n".join((*lines, "}")) + "\n"


def graphml(graph: nx.MultiDiGraph) -> str:
    """GraphML by networkx: name, type and entity of each node; each fact's fields but for its sources' words.

    `sources` holds the ids of the episodes, separated by spaces. Characters that XML cannot hold become U+FFFD.
    """
    plain = nx.MultiDiGraph()
    for node, data in graph.nodes(data=True):
        plain.add_node(_xml(node), **{name: _xml(value) for name, value in data.items()})
    for subject, object, id, data in graph.edges(keys=True, data=True):
        fields = {name: _xml(value) for name, value in data.items() if value is not None and name != "sources"}
        fields["sources"] = _xml(" ".join(source["episode_id"] for source in data.get("sources", ())))
        plain.add_edge(_xml(subject), _xml(object), key=_xml(id), **fields)
    out = io.BytesIO()
    nx.write_graphml(plain, out)
    return out.getvalue().decode("utf-8") + "\n"


def label(predicate: str, modality: str, polarity: str) -> str:
    """The words on an edge: the predicate, and what makes it less than a plain statement."""
    words = predicate.replace("_", " ")
    if modality != "actual":
        words = f"{words} ({modality})"
    return f"not: {words}" if polarity == "-" else words


def edge_label(fact: Mapping[str, Any]) -> str:
    """`label` of an edge's data."""
    return label(str(fact.get("predicate", "")), str(fact.get("modality", "actual")), str(fact.get("polarity", "+")))


def _mermaid(text: object) -> str:
    """Text for a quoted Mermaid label: whatever is no letter, digit or plain mark becomes its entity."""
    return _PLAIN.sub(lambda found: f"#{ord(found[0])};", _UNSEEN.sub("\ufffd", str(text)))


def _dot(text: object) -> str:
    """A quoted DOT string; backslashes are doubled, so that none starts an escape."""
    escaped = _UNSEEN.sub("\ufffd", str(text)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _xml(value: object) -> Any:
    if isinstance(value, bool | int | float):
        return value
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", str(value))
