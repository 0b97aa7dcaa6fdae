"""mem0's calls: the same names and shapes, and what they do here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memory_agent.compat import Memory as Mem0
from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, NotFound, ScopeRequired
from memory_agent.testing import HashEmbedder


@pytest.fixture
def m() -> Iterator[Mem0]:
    made = Mem0("memory://", embedder=HashEmbedder(64), settings=Settings(student="none"))
    yield made
    made.close()


def test_what_is_added_is_read_found_corrected_and_deleted(m: Mem0) -> None:
    added = m.add("I live in Porto.", user_id="alice", metadata={"app": "x"})["results"]
    assert [(each["event"], "Porto" in each["memory"]) for each in added] == [("ADD", True)]
    id = added[0]["id"]
    hits = m.search("Porto", user_id="alice")["results"]
    assert {hit["memory"] for hit in hits} == {"I live in Porto.", added[0]["memory"]}
    assert all(set(hit) >= {"id", "memory", "score", "metadata", "created_at", "user_id"} for hit in hits)
    assert [each["id"] for each in m.get_all(user_id="alice")["results"]] == [id]
    m.update(id, "Braga")
    assert [each["memory"] for each in m.get_all(user_id="alice")["results"]] == ["alice lives in Braga."]
    (current,) = m.get_all(user_id="alice")["results"]
    m.delete(current["id"])
    assert m.get(current["id"]) is None
    assert "Braga" not in str(m.get_all(user_id="alice"))


def test_a_changed_fact_closes_the_old_one(m: Mem0) -> None:
    m.add([{"role": "user", "content": "I live in Porto."}], user_id="alice")
    m.add([{"role": "user", "content": "I live in Braga now."}], user_id="alice")
    (home,) = m.get_all(user_id="alice")["results"]
    assert home["memory"].startswith("alice lives in Braga")


def test_without_inference_the_words_are_kept_as_they_are(m: Mem0) -> None:
    (added,) = m.add("I live in Porto.", user_id="alice", run_id="r1", infer=False)["results"]
    assert added["memory"] == "I live in Porto."
    assert [each["memory"] for each in m.get_all(user_id="alice", run_id="r1")["results"]] == ["I live in Porto."]
    assert m.get_all(user_id="alice", run_id="r2")["results"] == []
    assert m.search("Porto", filters={"user_id": "alice", "run_id": "r1"})["results"]
    m.delete_all(user_id="alice", run_id="r1")
    assert m.get_all(user_id="alice")["results"] == []


def test_filters_take_metadata(m: Mem0) -> None:
    m.add("A red car.", user_id="alice", metadata={"kind": "car"}, infer=False)
    m.add("A red boat.", user_id="alice", metadata={"kind": "boat"}, infer=False)
    found = m.search("red", user_id="alice", filters={"kind": "boat"})["results"]
    assert [each["memory"] for each in found] == ["A red boat."]


def test_nobody_reaches_anothers_and_no_scope_means_no_answer(m: Mem0) -> None:
    (added,) = m.add("Mine alone.", user_id="alice", infer=False)["results"]
    assert m.search("alone", user_id="bob")["results"] == []
    assert m.get(added["id"].replace("alice/", "bob/")) is None
    for call in (lambda: m.search("alone"), m.get_all, m.delete_all, lambda: m.add("x")):
        with pytest.raises(ScopeRequired):
            call()
    with pytest.raises(NotFound):
        m.get("no-user")


def test_history_and_reset(m: Mem0) -> None:
    (added,) = m.add("First words.", user_id="alice", infer=False)["results"]
    assert [(each["event"], each["new_memory"]) for each in m.history(added["id"])] == [("ADD", "First words.")]
    m.reset()
    assert m.get_all(user_id="alice")["results"] == []
    with pytest.raises(InvalidInput):
        Mem0.from_config({"llm": {}})
    with pytest.raises(InvalidInput):
        m.add([{"role": "user"}], user_id="alice")
