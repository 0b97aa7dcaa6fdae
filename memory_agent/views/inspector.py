"""The inspector as one HTML document: from a server it reads and writes there, exported it holds its data.

Both are the same page: style and scripts stand in it, each script admitted by its hash, so that it
loads nothing from anywhere. Remembered text is in its data only and is put on the page as text.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import networkx as nx

from memory_agent.records import Fact
from memory_agent.semantic import ontology
from memory_agent.views import model
from memory_agent.views.page import as_json, asset, esc
from memory_agent.views.snapshot import Snapshot

SCRIPTS = (
    "vendor/cytoscape.min.js",
    *(
        f"inspector/{name}.js"
        for name in (
            "moments", "clusters", "places", "incoming", "dom", "source", "parts", "whole", "graph", "graphpage",
            "memories", "conversations", "context", "runs", "audit", "app",
        )
    ),
)  # fmt: skip
"""In the order in which they need one another."""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M4 5l8 2-6 6' "
    "stroke='%232f6f8f' fill='none'/%3E%3Ccircle cx='4' cy='5' r='3'/%3E%3Ccircle cx='12' cy='7' r='2.5'/%3E"
    "%3Ccircle cx='6' cy='13' r='2'/%3E%3C/svg%3E"
)
"""Three things and what ties them; in the page, so that no browser asks for one."""
_BODY = """<a class="skip" href="#main">To the page</a>
<header id="bar"><span class="brand">memory-agent</span></header>
<main id="main" tabindex="-1"><div class="page"><p class="soft" role="status">Reading the memory…</p>
<noscript><p>This page needs JavaScript: it is how the memory is drawn.</p></noscript></div></main>
<div id="told"></div>
<div id="said" role="status" aria-live="polite"></div>
"""


def served_page() -> str:
    """The page that a server sends: it holds nothing of anybody's, and asks for it with the reader's key."""
    return _page("Memory inspector", {"live": True})


def exported_page(snapshot: Snapshot) -> str:
    """Everything of one user as a page that stands alone; it can be looked through, not written to."""
    return _page(f"Memory of {snapshot.user}", {"live": False, "pages": model.everything(snapshot)})


def graph_page(graph: nx.MultiDiGraph, title: str, lead: str = "") -> str:
    """The graph alone as a page, out of what `Memory.graph` gives. The same graph gives the same page."""
    terms = ontology.load()
    facts = sorted(
        (Fact.model_validate(data) for _, _, data in graph.edges(data=True)), key=lambda fact: (fact.id, fact.version)
    )
    names = {
        str(node): {
            "id": str(node),
            "name": str(data.get("name") or node),
            "type": str(data.get("type", "thing")),
            "entity": bool(data.get("entity", True)),
        }
        for node, data in graph.nodes(data=True)
    }
    ends = {str(key): (str(subject), str(object)) for subject, object, key in graph.edges(keys=True)}
    rows = []
    for fact in facts:
        subject, object = ends[fact.id]
        rows.append(model.fact_row(fact, terms) | {"subject": subject, "object": object})
    now = max((row["recorded"] for row in rows), default=0)
    pages = {
        "overview": {"user": title, "counts": {"facts": len(rows), "turns": 0, "pending": 0, "adapters": 0}},
        "graph": {
            "now": now,
            "nodes": [names[node] for node in sorted(names)],
            "facts": rows,
            "sessions": {},
        },
    }
    return _page(title, {"live": False, "title": title, "lead": lead, "pages": pages})


def policy() -> str:
    """The Content-Security-Policy of the page: its own scripts by their hashes, data from its own origin only."""
    return (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; connect-src 'self'; "
        f"script-src {' '.join(_hashes())}; base-uri 'none'; form-action 'none'"
    )


def _page(title: str, data: Mapping[str, Any]) -> str:
    scripts = "".join(f"<script>{text}</script>\n" for text in _scripts())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n<link rel="icon" href="{_ICON}">\n'
        f"<title>{esc(title)}</title>\n<style>{asset('inspector/inspector.css')}</style>\n</head>\n<body>\n{_BODY}"
        f'<script type="application/json" id="data">{as_json(data)}</script>\n{scripts}</body>\n</html>\n'
    )


@lru_cache(maxsize=1)
def _scripts() -> tuple[str, ...]:
    return tuple(asset(name) for name in SCRIPTS)


@lru_cache(maxsize=1)
def _hashes() -> tuple[str, ...]:
    digests = (hashlib.sha256(text.encode()).digest() for text in _scripts())
    return tuple(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
