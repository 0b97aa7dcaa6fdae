"""The graph as a page: readable, the same each time, and safe to open whatever was remembered."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.records import Fact, Source
from memory_agent.views import Asked, LoopReport, Reply, graph_html, report_html
from memory_agent.views.layout import layout

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


def test_every_fact_stands_with_its_words_and_dates() -> None:
    text = Reading(graph_html(graph_of(*FACTS))).text
    for one in FACTS:
        assert one.object in text
        assert one.sources[0].quote in text
        assert one.sources[0].episode_id in text
    assert "2025-01 to 2025-09" in text
    assert "not: allergic to" in text
    assert "plays (possible)" in text


def test_the_past_is_faded_and_the_slider_spans_the_months() -> None:
    html = graph_html(graph_of(*FACTS))
    past = re.findall(r'class="edge [^"]* past" data-fact="([^"]+)"', html)
    assert past == ["f1"]
    assert (
        '"months":["2025-01","2025-02","2025-03","2025-04","2025-05","2025-06","2025-07","2025-08","2025-09"]' in html
    )
    assert '"f1":{"cls":"location","end":"2025-09","ends":["Maren","Aarhus"],"start":"2025-01"}' in html


def test_the_same_graph_gives_the_same_page() -> None:
    assert graph_html(graph_of(*FACTS)) == graph_html(graph_of(*FACTS))


def test_nothing_is_fetched() -> None:
    for html in (graph_html(graph_of(*FACTS)), report_html(report())):
        reading = Reading(html)
        assert not [tag for tag in reading.tags if tag in ("link", "iframe", "img", "object", "embed", "base")]
        assert not [name for name, _ in reading.attributes if name in ("src", "href", "action")]
        assert "http://" not in html
        assert "https://" not in html
        assert "default-src 'none'" in html


def test_an_empty_graph_is_a_page_too() -> None:
    assert "No facts yet" in graph_html(nx.MultiDiGraph())


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
