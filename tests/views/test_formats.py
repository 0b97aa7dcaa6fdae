"""The graph for other tools: whatever a name holds, it stays one label."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import networkx as nx
import pytest

from memory_agent.views import formats

HOSTILE = (
    'quote " inside',
    "back\\slash",
    "end];[x",
    "line\nbreak",
    "<b>bold</b>",
    "a|b",
    "\u202egnp.exe",
    "nul\x00byte",
    "%%{init: {}}%%",
    '"] --> evil',
)


def graph_of(name: str) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_node("a", name=name, type="person", entity=True)
    graph.add_node("b", name="plain", type="value", entity=False)
    fact = {"predicate": "plays", "text": name, "status": "current", "polarity": "-", "sources": [{"episode_id": name}]}
    graph.add_edge("a", "b", key=name, **fact)
    return graph


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_cannot_end_its_quotes(name: str) -> None:
    graph = graph_of(name)
    lines = formats.mermaid(graph).splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r'  n0\(\["[^"\n<>|\[\]{}]*"\]\)', lines[1])
    assert '|"not#58; plays"|' in lines[3] or '|"not: plays"|' in lines[3]
    dot = formats.dot(graph)
    assert dot.count("\n") == formats.dot(graph_of("plain")).count("\n")
    assert re.search(r'n0 \[label="(?:[^"\\]|\\\\|\\")*"\];', dot)
    root = ElementTree.fromstring(formats.graphml(graph))
    assert len([node for node in root.iter() if node.tag.endswith("}node")]) == 2
