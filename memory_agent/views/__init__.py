"""Pictures of a memory: pages that stand alone, load nothing from a network, and hold no unescaped text.

graph_html     the temporal graph, with its facts and their sources beside it
report_html    how a distillation changed what a model answers
"""

from memory_agent.views.graph import graph_html, graph_svg
from memory_agent.views.report import Asked, LoopReport, Reply, report_html

__all__ = ["Asked", "LoopReport", "Reply", "graph_html", "graph_svg", "report_html"]
