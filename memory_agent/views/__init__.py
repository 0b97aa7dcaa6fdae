"""Pictures of a memory: pages that stand alone, load nothing from a network, and hold no unescaped text.

graph_html        the temporal graph to look at: both axes of time, filters, sources
inspector_html    everything of one user in one file
report_html       how a distillation changed what a model answers
"""

import networkx as nx

from memory_agent.space import Space
from memory_agent.views.graph import graph_svg
from memory_agent.views.inspector import exported_page, graph_page
from memory_agent.views.report import Asked, LoopReport, Reply, report_html
from memory_agent.views.snapshot import Snapshot


def graph_html(graph: nx.MultiDiGraph, *, title: str = "Memory graph", lead: str = "") -> str:
    """A page that stands alone: the graph with sliders over both times, filters, and each fact with its sources.

    `title` and `lead` are shown as text. The same graph gives the same page, byte for byte.
    """
    return graph_page(graph, title, lead)


def inspector_html(space: Space) -> str:
    """Everything of one user as a page that stands alone, to be looked through with no server."""
    return exported_page(Snapshot.of(space))


__all__ = ["Asked", "LoopReport", "Reply", "graph_html", "graph_svg", "inspector_html", "report_html"]
