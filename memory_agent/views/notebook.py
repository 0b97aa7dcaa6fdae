"""What a notebook shows for a memory and for its graph: a still picture and tables, no scripts."""

from __future__ import annotations

import html
from collections.abc import Mapping

import networkx as nx

from memory_agent.records import STORED, Fact
from memory_agent.space import Space
from memory_agent.views.graph import drawn_and_listed
from memory_agent.views.page import esc, page

MOST_DRAWN = 60
"""Facts that a still picture shows legibly; the newest are drawn."""
_SHOWN = ("episode", "entity", "fact", "adapter", "run")


class KnowledgeGraph(nx.MultiDiGraph):  # type: ignore[misc]  # networkx has no types
    """The graph that `Memory.graph` gives: a networkx MultiDiGraph that a notebook shows as a picture."""

    def _repr_html_(self) -> str:
        return _framed(drawn_and_listed(self, most=MOST_DRAWN))


def memory_html(space: Space, graph: nx.MultiDiGraph) -> str:
    """A memory for a notebook: whose it is, what it holds, and its graph."""
    counts: Mapping[str, int] = {kind.kind: space.ledger.count(kind) for kind in STORED if kind is not Fact}
    known = {**counts, "fact": graph.number_of_edges()}
    cards = "".join(
        f'<div class="card"><b>{known[kind]}</b><span>{kind if known[kind] == 1 else _plural(kind)}</span></div>'
        for kind in _SHOWN
    )
    title = f"<h2>Memory of {esc(space.user)}</h2>"
    return _framed(f'{title}<div class="cards">{cards}</div>{drawn_and_listed(graph, most=MOST_DRAWN)}')


def _plural(kind: str) -> str:
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _framed(body: str) -> str:
    """The body as a page of its own in a frame without scripts: the notebook's styles and ours stay apart."""
    whole = page("Memory", f'<div class="inline still">{body}</div>')
    return (
        f'<iframe sandbox title="Memory" srcdoc="{html.escape(whole, quote=True)}" '
        'style="width:100%;height:34rem;border:0;border-radius:10px"></iframe>'
    )
