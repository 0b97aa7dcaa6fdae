"""REST over real HTTP semantics: what comes back, and in which shape errors come."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from talking import Client, say, served

from memory_agent.config import Settings
from memory_agent.consolidation.forgetting import verify_forgotten
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.problems import MEDIA
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder


def test_what_is_said_is_found_read_into_the_graph_explained_and_forgotten(client: Client) -> None:
    c = client()
    say(c, "alice", "I live in Porto.", "My sister is called Ana.")
    found = c.post("/v1/spaces/alice/search", json={"query": "Porto", "kinds": ["episode"]}).json()
    assert found["hits"][0]["record"]["content"] == "I live in Porto."
    report = c.post("/v1/spaces/alice/consolidations").json()
    facts = c.get("/v1/spaces/alice/facts", params={"about": "alice"}).json()["items"]
    assert {fact["id"] for fact in facts} <= set(report["facts_added"])
    (home,) = [fact for fact in facts if fact["object"] == "Porto"]
    assert [edge["key"] for edge in c.get("/v1/spaces/alice/graph").json()["edges"] if edge["key"] == home["id"]]
    lineage = c.get(f"/v1/spaces/alice/records/{home['id']}/explain").json()
    assert "episode" in {each["kind"] for each in lineage["rests_on"]}
    assert c.get(f"/v1/spaces/alice/records/{home['id']}/history").json()[0]["record"]["object"] == "Porto"
    context = c.post("/v1/spaces/alice/context", json={"question": "Where is home?", "budget": 2000}).json()
    assert "Porto" in context["text"]
    assert context["tokens"] <= 2000
    gone = c.post("/v1/spaces/alice/forget", json={"id": home["id"], "reason": "asked"}).json()
    assert gone["forgotten"]["fact"] == [home["id"]]
    assert c.get(f"/v1/spaces/alice/records/{home['id']}").status_code == 404
    assert [run["job"] for run in c.get("/v1/spaces/alice/runs").json()["items"]] == ["consolidate"]
    assert c.get("/v1/spaces/alice/adapters").json()["items"] == []


def test_a_correction_is_a_patch(client: Client) -> None:
    c = client()
    say(c, "alice", "I live in Porto.")
    c.post("/v1/spaces/alice/consolidations")
    (fact,) = c.get("/v1/spaces/alice/facts").json()["items"]
    put_right = c.patch(f"/v1/spaces/alice/records/{fact['id']}", json={"object": "Braga"})
    assert put_right.status_code == 200
    assert put_right.json()["record"]["object"] == "Braga"


def test_errors_are_problem_documents(client: Client) -> None:
    c = client()
    cases = [
        (c.get("/v1/spaces/alice/records/none"), 404, "urn:memory-agent:NotFound"),
        (
            c.post("/v1/spaces/alice/turns", json={"turns": [{"role": "user", "content": " "}]}),
            422,
            "urn:memory-agent:InvalidInput",
        ),
        (c.post("/v1/spaces/alice/search", json={"query": 7}), 422, "urn:memory-agent:InvalidRequest"),
        (
            c.post("/v1/spaces/alice/search", content=b"{", headers={"Content-Type": "application/json"}),
            422,
            "urn:memory-agent:InvalidRequest",
        ),
        (c.get("/nowhere"), 404, "about:blank"),
        (c.put("/v1/spaces"), 405, "about:blank"),
        (c.get("/v1/spaces/alice/facts", params={"as_of": "soon"}), 422, "urn:memory-agent:InvalidInput"),
    ]
    for answer, status, type_ in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == MEDIA
        assert answer.json()["type"] == type_
        assert answer.json()["status"] == status
        assert answer.json()["detail"]


def test_the_same_id_with_other_words_is_a_conflict(client: Client) -> None:
    c = client()
    turn = {"role": "user", "content": "One", "id": "t1"}
    assert c.post("/v1/spaces/alice/turns", json={"turns": [turn]}).status_code == 201
    assert c.post("/v1/spaces/alice/turns", json={"turns": [{**turn, "content": "Two"}]}).status_code == 409


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_together_are_the_whole_in_order_and_nothing_twice(client: Client, limit: int) -> None:
    c = client()
    said = say(c, "alice", "a", "b", "c") + say(c, "alice", "d") + say(c, "alice", "e", "f")
    seen: list[str] = []
    cursor = None
    while True:
        page = c.get("/v1/spaces/alice/turns", params={"limit": limit, **({"cursor": cursor} if cursor else {})}).json()
        seen += [turn["id"] for turn in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == said


def test_users_and_the_audit_chain_are_paged(client: Client) -> None:
    c = client()
    for user in ("ana", "bob", "cleo"):
        say(c, user, "hello")
    first = c.get("/v1/spaces", params={"limit": 2}).json()
    assert first["items"] == ["ana", "bob"]
    assert c.get("/v1/spaces", params={"limit": 2, "cursor": first["next"]}).json() == {"items": ["cleo"], "next": None}
    chain = c.get("/v1/spaces/ana/audit").json()["items"]
    assert [entry["action"] for entry in chain] == ["add"]
    assert "hello" not in str(chain)


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJhIl0=", "WzEsMl0=x", "é"])
def test_a_cursor_of_somebody_elses_is_refused(client: Client, cursor: str) -> None:
    assert client().get("/v1/spaces/alice/turns", params={"cursor": cursor}).status_code == 422


def test_a_repeated_request_is_answered_and_not_carried_out_again(client: Client) -> None:
    c = client()
    body = {"turns": [{"role": "user", "content": "I live in Porto."}]}
    first = c.post("/v1/spaces/alice/turns", json=body, headers={"Idempotency-Key": "k1"})
    again = c.post("/v1/spaces/alice/turns", json=body, headers={"Idempotency-Key": "k1"})
    assert again.json() == first.json()
    assert again.status_code == first.status_code
    assert again.headers["idempotency-replayed"] == "true"
    assert len(c.get("/v1/spaces/alice/turns").json()["items"]) == 1
    other = c.post(
        "/v1/spaces/alice/turns", json={"turns": [{"role": "user", "content": "x"}]}, headers={"Idempotency-Key": "k1"}
    )
    assert other.status_code == 422
    somebody = client().post("/v1/spaces/alice/turns", json=body, headers={"Idempotency-Key": "k1"})
    assert "idempotency-replayed" not in somebody.headers


def test_what_is_forgotten_is_in_no_file_whatever_was_asked_with_a_key(tmp_path: Path) -> None:
    """An answer kept for a repeated request would outlive what was forgotten."""
    with Memories(tmp_path, embedder=HashEmbedder(8), settings=Settings(student="none")) as memories:
        app = create_app(memories)
        key, _ = app.state.serving.keys.create(tenant="acme", role="admin")
        c = TestClient(app, headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "k1"})
        (turn,) = say(c, "alice", "The word is zanzibar.")
        for n, path in enumerate(("search", "context")):
            asked = {"query" if path == "search" else "question": "zanzibar"}
            c.post(f"/v1/spaces/alice/{path}", json=asked, headers={"Idempotency-Key": f"r{n}"})
        c.patch(f"/v1/spaces/alice/records/{turn}", json={"content": "It was zanzibar."})
        gone = c.post(
            "/v1/spaces/alice/forget", json={"id": turn, "reason": "asked"}, headers={"Idempotency-Key": "k2"}
        )
        assert gone.status_code == 200
    assert verify_forgotten(tmp_path, ["zanzibar"]) == {}


def test_a_request_repeated_at_once_is_carried_out_once(client: Client) -> None:
    c = client()
    body = {"turns": [{"role": "user", "content": "I live in Porto."}]}

    def send(_: int) -> int:
        return c.post("/v1/spaces/alice/turns", json=body, headers={"Idempotency-Key": "k1"}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(send, range(16)))
    assert set(statuses) <= {201, 409}
    assert len(c.get("/v1/spaces/alice/turns").json()["items"]) == 1


def test_health_says_when_the_store_is_gone(tmp_path: Path) -> None:
    with Memories(tmp_path, embedder=HashEmbedder(8), settings=Settings(student="none")) as memories:
        bare = TestClient(create_app(memories), raise_server_exceptions=False)
        assert bare.get("/health/ready").status_code == 200
        memories.backend.ledger.close()
        assert bare.get("/health/ready").status_code == 503
        assert bare.get("/health/live").status_code == 200, "a process without its store need not be killed"


def test_a_new_stores_index_is_made_before_the_server_is_ready(tmp_path: Path) -> None:
    with Memories(tmp_path, embedder=HashEmbedder(16), settings=Settings(student="none")) as memories:
        app = create_app(memories)
        with TestClient(app) as client:
            while client.get("/health/ready").status_code != 200:
                time.sleep(0.01)
            assert (tmp_path / "chroma" / "chroma.sqlite3").exists()
            assert memories.backend.ledger.spaces() == []
            assert memories.of("alice").space.index.state() is None


def test_health_and_metrics_need_no_key_and_tell_nothing_of_anybody(app: FastAPI, client: Client) -> None:
    say(client(), "alice", "I live in Porto.")
    bare = TestClient(app)
    assert bare.get("/health/live").json() == {"status": "ok"}
    assert bare.get("/health/ready").json() == {"status": "ok"}
    shown = bare.get("/metrics").text
    assert 'memory_agent_requests_total{method="POST",route="/v1/spaces/{user}/turns",status="201"}' in shown
    assert "alice" not in shown
    assert "acme" not in shown


NAMES = ("acme/alice", "a/b/c", "/", "Zoë ☕", "%2F", "a%2Fb", "x;y?z#w", "a+b c", "..%2f", "turns/x", "a\\b", "'\"<>")


def test_a_users_name_may_hold_any_character(app: FastAPI) -> None:
    """Over real HTTP: the test client decodes a path twice."""
    key, _ = app.state.serving.keys.create(tenant="acme", role="admin")
    with served(app) as url, httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as c:
        for n, user in enumerate(NAMES):
            body = {"turns": [{"role": "user", "content": f"My word is zanzibar{n}."}]}
            assert c.post(f"/v1/spaces/{quote(user, safe='')}/turns", json=body).status_code == 201, user
        assert c.get("/v1/spaces").json()["items"] == sorted(NAMES)
        for n, user in enumerate(NAMES):
            where = f"/v1/spaces/{quote(user, safe='')}"
            assert c.get(f"{where}/stats").json()["user"] == user
            (turn,) = c.get(f"{where}/turns").json()["items"]
            assert turn["content"] == f"My word is zanzibar{n}."
            assert c.get(f"{where}/records/{quote(turn['id'], safe='')}").status_code == 200
        assert c.get("/v1/spaces/acme%00alice/turns").status_code == 422
        assert c.get("/v1/spaces/a%2Fb%00/turns").status_code == 422


def test_an_export_is_read_back_and_the_graph_goes_to_other_tools(client: Client) -> None:
    c = client()
    say(c, "alice", "I live in Porto.", "My sister Ana works at Heineken.")
    c.post("/v1/spaces/alice/consolidations")
    exported = c.get("/v1/spaces/alice/export")
    assert exported.headers["content-type"].startswith("application/x-ndjson")
    assert c.post("/v1/spaces/bob/import", content=exported.content).json()["records"] > 3
    facts = [c.get(f"/v1/spaces/{user}/facts").json()["items"] for user in ("alice", "bob")]
    assert [f["text"] for f in facts[0]] == [f["text"] for f in facts[1]]
    assert c.post("/v1/spaces/bob/search", json={"query": "Where is Porto?"}).json()["hits"]
    refused = c.post("/v1/spaces/bob/import", content=exported.content)
    assert (refused.status_code, "not empty" in refused.json()["detail"]) == (422, True)
    for format, word in (("graphml", "<graphml"), ("turtle", "@prefix"), ("csv", "subject")):
        graph = c.get("/v1/spaces/alice/export", params={"format": format})
        assert word in graph.text
        assert "Porto" in graph.text
    assert "Ana" in c.get("/v1/spaces/alice/export", params={"format": "csv", "table": "entities"}).text


def test_another_memorys_export_becomes_turns(client: Client) -> None:
    c = client()
    mem0 = {"results": [{"id": "1", "memory": "Lives in Porto", "created_at": "2024-01-01T00:00:00+00:00"}]}
    brought = c.post("/v1/spaces/alice/import", params={"from": "mem0"}, json=mem0)
    assert (brought.status_code, brought.json()["turns"]) == (201, 1)
    assert "Porto" in c.get("/v1/spaces/alice/turns").text
    for content, origin in ((b"\xff", "slowwave"), (b"", "slowwave"), (b"{", "mem0"), (b"[" * 100_000, "zep")):
        answer = c.post("/v1/spaces/carol/import", params={"from": origin}, content=content)
        assert answer.status_code == 422, answer.text
    assert c.get("/v1/spaces").json()["items"] == ["alice"]


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_only_an_admin_carries_a_memory_in_or_out(client: Client, role: str) -> None:
    assert client(role).get("/v1/spaces/alice/export").status_code == 403
    assert client(role).post("/v1/spaces/alice/import", content=b"x").status_code == 403


def test_an_import_may_be_longer_than_other_requests(memories: Memories) -> None:
    app = create_app(memories, Options(most_bytes=1000, most_import_bytes=5000))
    key, _ = app.state.serving.keys.create(tenant="acme", role="admin")
    c = TestClient(app, headers={"Authorization": f"Bearer {key}"})
    for size, statuses in ((500, {422}), (4000, {422}), (6000, {413})):
        assert c.post("/v1/spaces/alice/import", content=b"x" * size).status_code in statuses
    assert c.post("/v1/spaces/alice/forget", content=b"x" * 4000).status_code == 413
