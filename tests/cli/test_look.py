"""Looking from the terminal: the graph in each format, one record whole, and what changed between two moments."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commanding import command

from memory_agent import Memory
from memory_agent.cli import exits
from memory_agent.records import Run
from memory_agent.testing import FrozenClock, HashEmbedder

Look = Callable[..., tuple[int, str, str]]


def said(id: str, session: str, at: str, content: str) -> dict[str, str]:
    return {"role": "user", "speaker": "Ana Brenner", "id": id, "session": session, "at": at, "content": content}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two conversations, each consolidated when it was over; in the second she moved and guessed."""
    folder = tmp_path_factory.mktemp("look") / "m"
    clock = FrozenClock("2025-01-10T20:00:00+00:00")
    with Memory.open(folder, user="ana", embedder=HashEmbedder(), clock=clock) as memory:
        memory.add([said("m1", "s1", "2025-01-10T10:00:00+00:00", "I live in Porto. I play the cello.")])
        memory.consolidate()
        clock.set("2025-06-01T20:00:00+00:00")
        memory.add([said("m2", "s2", "2025-06-01T10:00:00+00:00", "I moved to Ghent in May 2025.")])
        memory.consolidate()
    return folder


@pytest.fixture
def look(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Look:
    """The whole command over that store: its exit code, and what it wrote."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        said = command(capsys, *arguments, "--store", store, "--user", "ana")
        return said.code, said.out, said.err

    return call


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's embedder, so that no model is loaded to look at it."""
    monkeypatch.setattr("memory_agent.opening.embedder_of", lambda given, settings: _hash_embedder())


def _hash_embedder() -> Any:
    from memory_agent.models.embedders import Embedder

    return Embedder(HashEmbedder(), "HashEmbedder")


def edges(look: Look, *options: str) -> set[tuple[str, str]]:
    code, out, _ = look("graph", "--json", *options)
    assert code == 0
    return {(edge["predicate"], edge["object"]) for edge in json.loads(out)["edges"]}


def test_the_graph_at_a_moment_and_as_it_was_known(look: Look) -> None:
    assert ("lives_in", "Ghent") in edges(look)
    assert ("lives_in", "Porto") not in edges(look)
    assert ("lives_in", "Porto") in edges(look, "--as-of", "2025-03")
    assert ("lives_in", "Porto") in edges(look, "--known-at", "2025-02")
    assert {("lives_in", "Porto"), ("lives_in", "Ghent")} <= edges(look, "--past")


def test_the_graph_near_something(look: Look) -> None:
    assert edges(look, "--around", "Ghent") == {("lives_in", "Ghent")}
    assert ("plays", "cello") in edges(look, "--around", "Ghent", "--hops", "2")
    code, _, err = look("graph", "--around", "Nobody at all")
    assert code == exits.NOT_FOUND
    assert "Nobody at all" in err


def test_the_graph_for_other_tools(look: Look) -> None:
    _, mermaid, _ = look("graph", "--format", "mermaid")
    assert mermaid.startswith("flowchart LR")
    assert '|"lives in"|' in mermaid
    _, dot, _ = look("graph", "--format", "dot")
    assert dot.startswith("digraph")
    assert 'label="Ghent"' in dot
    _, graphml, _ = look("graph", "--format", "graphml")
    names = {data.text for data in ElementTree.fromstring(graphml).iter() if data.tag.endswith("}data")}
    assert {"Ghent", "lives_in", "m2"} <= names
    assert json.loads(look("graph", "--format", "dot", "--json")[1])["text"] == dot


def test_the_graph_as_a_page_goes_to_a_file(look: Look, tmp_path: Path) -> None:
    code, out, _ = look("graph", "--format", "html", "--out", tmp_path / "g.html", "--json")
    assert code == 0
    assert any(edge["object"] == "Ghent" for edge in json.loads(out)["edges"])
    html = (tmp_path / "g.html").read_text("utf-8")
    assert "Ghent" in html
    assert "Porto" in html, "the page's slider needs what is past"
    assert look("graph", "--html", tmp_path / "short.html")[0] == 0
    assert (tmp_path / "short.html").read_text("utf-8") == (tmp_path / "g.html").read_text("utf-8")
    assert look("graph", "--html", tmp_path / "g.html", "--out", tmp_path / "h.html")[0] == exits.USAGE
    assert look("graph", "--format", "html")[0] == exits.USAGE
    assert look("graph", "--format", "html", "--out", tmp_path / "no" / "g.html")[0] == exits.USAGE
    assert look("graph", "--out", tmp_path / "g.tsv")[0] == 0
    assert "Ana Brenner\tlives_in\tGhent" in (tmp_path / "g.tsv").read_text("utf-8")


def test_one_record_whole(look: Look) -> None:
    (row,) = [r for r in json.loads(look("facts", "--past", "--json")[1]) if r["object"] == "Porto"]
    found = json.loads(look("show", row["id"], "--json")[1])
    assert [source["quote"] for source in found["sources"]]
    assert len(found["versions"]) == 2
    assert found["taught"].startswith("not taught")
    assert any(r["kind"] == "claim" for r in found["rests_on"])
    code, out, _ = look("show", "m1")
    assert code == 0
    assert "I live in Porto" in out
    assert look("show", "no-such-id")[0] == exits.NOT_FOUND


def test_what_changed_between_two_moments(look: Look, store: Path) -> None:
    found = json.loads(look("diff", "--from", "2025-02-01", "--to", "2025-07-01", "--json")[1])
    assert [fact["object"] for fact in found["added"]] == ["Ghent"]
    assert [fact["object"] for fact in found["closed"]] == ["Porto"]
    assert found["stale"] == []
    whole = json.loads(look("diff", "--from", "2024-01-01", "--to", "2025-07-01", "--json")[1])
    assert {fact["object"] for fact in whole["added"]} >= {"Porto", "Ghent", "cello"}
    assert json.loads(look("diff", "--json")[1])["added"] == found["added"], "by default, since the last consolidation"
    with Memory.open(store, user="ana") as memory:
        first, second = (run.id for run in sorted(memory.space.ledger.select(Run), key=lambda run: run.started_at))
    assert json.loads(look("diff", "--from", second, "--to", second, "--json")[1])["closed"] == found["closed"]
    assert json.loads(look("diff", "--from", first, "--to", first, "--json")[1])["closed"] == []
    out = look("diff", "--from", "2025-02-01")[1]
    assert "+ added" in out
    assert "- closed" in out
    assert look("diff", "--from", "2025-07-01", "--to", "2025-02-01")[0] == exits.USAGE
    assert look("diff", "--from", "yesterday")[0] == exits.USAGE
