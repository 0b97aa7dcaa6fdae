"""Who is let in, and to what: keys, roles, limits, and a server without keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from talking import Client, say

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.run import application
from memory_agent.server.serving import Limiter, Options
from memory_agent.testing import HashEmbedder

READS = [
    ("GET", "/v1/spaces"),
    ("GET", "/v1/spaces/alice/turns"),
    ("GET", "/v1/spaces/alice/facts"),
    ("GET", "/v1/spaces/alice/graph"),
]
WRITES = [("POST", "/v1/spaces/alice/consolidations"), ("POST", "/v1/spaces/alice/forget")]
ADMINS = [
    ("GET", "/v1/spaces/alice/audit"),
    ("DELETE", "/v1/spaces/alice?reason=asked"),
    ("POST", "/v1/spaces/alice/adapters/rollback"),
]


@pytest.mark.parametrize(
    ("role", "allowed", "refused"),
    [("reader", READS, WRITES + ADMINS), ("writer", READS + WRITES, ADMINS), ("admin", READS + WRITES + ADMINS, [])],
)
def test_a_role_may_do_what_the_ones_before_it_may(
    client: Client, role: str, allowed: list[tuple[str, str]], refused: list[tuple[str, str]]
) -> None:
    c = client(role)
    for method, path in allowed:
        assert c.request(method, path).status_code != 403, (role, path)
    for method, path in refused:
        assert c.request(method, path).status_code == 403, (role, path)


def test_every_route_but_health_asks_for_a_key(app: FastAPI) -> None:
    bare = TestClient(app)
    asked = 0
    for path, methods in app.openapi()["paths"].items():
        if path.startswith("/v1"):
            for method in methods:
                where = path.format(user="alice", id="x", job="x")
                answer = bare.request(method, where)
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                asked += 1
    assert asked > 15


@pytest.mark.parametrize("token", ["", "sw_", "sw_x_y", "Bearer", "sw__", "nonsense"])
def test_a_made_up_key_opens_nothing(app: FastAPI, token: str) -> None:
    assert TestClient(app).get("/v1/spaces", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_revoked_key_opens_nothing(app: FastAPI) -> None:
    keys = app.state.serving.keys
    key, record = keys.create(tenant="acme", role="reader")
    bare = TestClient(app, headers={"Authorization": f"Bearer {key}"})
    assert bare.get("/v1/spaces").status_code == 200
    keys.revoke(record.id)
    assert bare.get("/v1/spaces").status_code == 401


def test_no_file_of_the_store_holds_a_key(tmp_path: Path) -> None:
    with Memories(tmp_path, embedder=HashEmbedder(8), settings=Settings()) as memories:
        key, _ = create_app(memories).state.serving.keys.create(tenant="acme", role="reader")
        secret = key.rpartition("_")[2].encode()
        data = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert data
    assert not any(secret in each for each in data)


def test_the_tenant_is_the_keys_whatever_the_request_says(client: Client) -> None:
    acme, other = client(tenant="acme"), client(tenant="other")
    say(acme, "alice", "I live in Porto.")
    assert other.get("/v1/spaces").json()["items"] == []
    for headers in ({}, {"X-Tenant": "acme"}):
        answer = other.get("/v1/spaces/alice/turns", params={"tenant": "acme"}, headers=headers)
        assert answer.json()["items"] == []
    assert other.get("/v1/spaces/acme%2Falice/turns").status_code in (200, 404)
    body = {"turns": [{"role": "user", "content": "x"}], "tenant": "acme"}
    assert other.post("/v1/spaces/alice/turns", json=body).status_code == 422


def test_too_much_is_refused(memories: Memories) -> None:
    app = create_app(memories, Options(most_bytes=1000, requests_per_minute=3))
    key, _ = app.state.serving.keys.create(tenant="acme", role="writer")
    c = TestClient(app, headers={"Authorization": f"Bearer {key}"})
    long = {"turns": [{"role": "user", "content": "x" * 2000}]}
    assert c.post("/v1/spaces/alice/turns", json=long).status_code == 413

    def pieces():  # type: ignore[no-untyped-def]
        yield b'{"turns": ['
        yield b" " * 2000

    assert c.post("/v1/spaces/alice/turns", content=pieces()).status_code == 413
    statuses = [c.get("/v1/spaces").status_code for _ in range(5)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert int(c.get("/v1/spaces").headers["retry-after"]) > 0


def test_guessing_keys_is_slowed_down(memories: Memories) -> None:
    bare = TestClient(create_app(memories, Options(requests_per_minute=20)))
    assert [bare.get("/v1/spaces").status_code for _ in range(4)] == [401, 401, 429, 429]


def test_a_bucket_fills_again() -> None:
    limiter = Limiter(60)
    assert [limiter.wait("a", 0.0) for _ in range(60)] == [0.0] * 60
    assert limiter.wait("a", 0.0) == pytest.approx(1.0)
    assert limiter.wait("b", 0.0) == 0.0
    assert limiter.wait("a", 1.0) == 0.0


def test_without_keys_it_starts_for_this_machine_alone(memories: Memories) -> None:
    with pytest.raises(InvalidInput, match="key create"):
        application(memories, "0.0.0.0")
    app = application(memories, "127.0.0.1")
    here = TestClient(app, base_url="http://127.0.0.1:8765")
    assert here.get("/v1/spaces").status_code == 200
    rebound = TestClient(app, base_url="http://evil.example")
    assert rebound.get("/v1/spaces").status_code == 403
    assert here.get("/v1/spaces", headers={"Origin": "http://evil.example"}).status_code == 403
    assert here.get("/v1/spaces", headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_with_keys_it_may_be_reached_from_elsewhere_by_key_only(tmp_path: Path) -> None:
    with Memories(tmp_path, embedder=HashEmbedder(8), settings=Settings()) as memories:
        create_app(memories).state.serving.keys.create(tenant="acme", role="admin")
        app = application(memories, "0.0.0.0")
        assert TestClient(app).get("/v1/spaces").status_code == 401
