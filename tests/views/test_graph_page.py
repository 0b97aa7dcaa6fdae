"""The graph as a page: readable, the same each time, and safe to open whatever was remembered."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.records import Fact, Source
from memory_agent.views import Asked, LoopReport, Reply, graph_html, graph_svg, report_html
from memory_agent.views.inspector import SCRIPTS
from memory_agent.views.layout import layout
from memory_agent.views.notebook import KnowledgeGraph

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "<!--",
    "]]><svg onload=alert(1)>",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "&lt;b&gt;",
    "\x00\x08",
)


def fact(id: str, subject: str, predicate: str, obj: str, **more: object) -> Fact:
    given: dict[str, object] = {
        "subject_id": subject,
        "text": f"{subject} {predicate} {obj}",
        "recorded_at": datetime(2025, 6, 1, tzinfo=UTC),
        "sources": (Source(episode_id=f"e-{id}", start=0, end=3, quote=f"{obj}!", speaker=subject),),
    }
    return Fact.model_validate({"id": id, "subject": subject, "predicate": predicate, "object": obj} | given | more)


def graph_of(*facts: Fact) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    for one in facts:
        graph.add_edge(one.subject, one.object, key=one.id, **one.model_dump(mode="json"))
    return graph


FACTS = (
    fact("f1", "Maren", "lives_in", "Aarhus", status="superseded", valid_from="2025-01", valid_to="2025-09"),
    fact("f2", "Maren", "lives_in", "Galway", valid_from="2025-09"),
    fact("f3", "Maren", "plays", "oboe", modality="possible"),
    fact("f4", "Tobiah", "spouse", "Maren"),
    fact("f5", "Tobiah", "allergic_to", "walnuts", polarity="-"),
)


class Reading(HTMLParser):
    """Elements, their attributes and the text of a page, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def data_of(html: str) -> dict[str, Any]:
    """What the page's script reads."""
    found = re.search('<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    pages: dict[str, Any] = json.loads(found[1])["pages"]
    return pages


def test_every_fact_is_there_with_its_words_and_both_times() -> None:
    graph = data_of(graph_html(graph_of(*FACTS)))["graph"]
    rows = {row["id"]: row for row in graph["facts"]}
    assert set(rows) == {one.id for one in FACTS}
    assert [source[:4] for source in rows["f1"]["sources"]] == [["e-f1", 0, 3, "Aarhus!"]]
    start, end = (datetime(2025, month, 1, tzinfo=UTC).timestamp() * 1000 for month in (1, 9))
    assert (rows["f1"]["start"], rows["f1"]["end"], rows["f1"]["status"]) == (start, end, "superseded")
    assert rows["f2"]["end"] is None
    assert (rows["f3"]["modality"], rows["f5"]["negated"]) == ("possible", True)
    assert {node["name"] for node in graph["nodes"]} >= {"Maren", "Aarhus", "walnuts"}


def test_the_still_drawing_fades_what_is_past() -> None:
    svg = graph_svg(graph_of(*FACTS))
    assert svg.count('class="edge cls-location past"') == 1
    assert svg.count('class="edge cls-location"') == 1


def test_the_same_graph_gives_the_same_page() -> None:
    assert graph_html(graph_of(*FACTS)) == graph_html(graph_of(*FACTS))


def test_nothing_is_fetched() -> None:
    for html in (graph_html(graph_of(*FACTS)), report_html(report()), KnowledgeGraph(graph_of(*FACTS))._repr_html_()):
        reading = Reading(html)
        assert not [tag for tag in reading.tags if tag in ("img", "object", "embed", "base")]
        assert not [name for name, _ in reading.attributes if name in ("src", "action", "srcset")]
        assert all(str(value).startswith(("#", "data:")) for name, value in reading.attributes if name == "href")
        assert "default-src &#x27;none&#x27;" in html or "default-src 'none'" in html


def test_only_scripts_named_by_hash_may_run() -> None:
    html = graph_html(graph_of(*FACTS))
    scripts = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == len(SCRIPTS)
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in html
    assert "'unsafe-eval'" not in html
    assert "script-src 'unsafe-inline'" not in html


def test_what_is_vendored_is_what_was_published() -> None:
    vendor = resources.files("memory_agent.views").joinpath("assets", "vendor")
    recorded, name = vendor.joinpath("cytoscape.sha256").read_text("utf-8").split()
    assert hashlib.sha256(vendor.joinpath(name).read_bytes()).hexdigest() == recorded
    assert "The Cytoscape Consortium" in vendor.joinpath("cytoscape.LICENSE").read_text("utf-8")


def test_an_empty_graph_is_a_page_too() -> None:
    assert data_of(graph_html(nx.MultiDiGraph()))["graph"]["facts"] == []
    assert "No facts yet" in graph_svg(nx.MultiDiGraph())


def test_a_notebook_gets_a_still_picture_in_a_frame_of_its_own() -> None:
    shown = KnowledgeGraph(graph_of(*FACTS))._repr_html_()
    (frame,) = [dict(Reading(shown).attributes)]
    assert "sandbox" in frame
    inside = Reading(str(frame["srcdoc"]))
    assert "script" not in inside.tags
    assert "Galway" in inside.text
    assert KnowledgeGraph(graph_of(*FACTS)).subgraph(["Maren", "Galway"]).number_of_edges() == 1


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_remembered_is_only_ever_text(attack: str) -> None:
    source = Source(
        episode_id=attack, start=0, end=1, quote=attack, speaker=attack, at=datetime(2025, 1, 1, tzinfo=UTC)
    )
    evil = fact(attack, attack, attack, attack, sources=(source,))
    plain = fact(
        "f", "s", "p", "s", sources=(source.model_copy(update={"episode_id": "e", "quote": "q", "speaker": "w"}),)
    )
    for bad, good in (
        (graph_html(graph_of(evil), title=attack, lead=attack), graph_html(graph_of(plain), title="t", lead="l")),
        (report_html(report(attack, evil)), report_html(report("x", plain))),
    ):
        assert sorted(Reading(bad).tags) == sorted(Reading(good).tags), "it made elements of its own"
        assert {name for name, _ in Reading(bad).attributes} == {name for name, _ in Reading(good).attributes}
        assert not re.search("[\x00\x08\u202a-\u202e\u2066-\u2069]", bad)


def report(text: str = "x", one: Fact = FACTS[1]) -> LoopReport:
    replies = {"base": Reply(text, "wrong"), "adapter": Reply(text, "right")}
    return LoopReport(
        title=text,
        lead=text,
        asked=[Asked(text, text, text, replies)],
        graph=graph_of(one),
        facts=[one],
        cards=[(text, text, True)],
        shares={text: {"base": (0, 1), "adapter": (1, 1)}},
        details=[(text, text)],
        next=[text],
    )


def test_the_report_marks_right_and_wrong() -> None:
    html = report_html(report("some words"))
    assert html.count('<td class="wrong">some words</td>') == 1
    assert html.count('<td class="right">some words</td>') == 1
    assert "0 of 1" in html
    assert "1 of 1" in html


names = st.text(alphabet="abcdef", min_size=1, max_size=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(names, names), min_size=1, max_size=25))
def test_every_node_has_its_place_and_labels_hardly_touch(pairs: list[tuple[str, str]]) -> None:
    graph = nx.Graph(pairs)
    boxes = dict.fromkeys(graph, (60.0, 28.0))
    places = layout(graph, boxes)
    assert set(places) == set(graph)
    assert places == layout(graph, boxes)
    crossing = [
        (a, b)
        for a in places
        for b in places
        if a < b and abs(places[a][0] - places[b][0]) < 58 and abs(places[a][1] - places[b][1]) < 26
    ]
    assert not crossing
