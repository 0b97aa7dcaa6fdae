"""Two tenants write and read at random, by every door: nothing of the other's ever comes back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talking import say, served

from memory_agent import Memory
from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.records import Adapter, Entity, Episode, Fact, Run
from memory_agent.server import create_app
from memory_agent.server.measuring import load
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder, ScriptedChatModel

TENANTS = {"acme": "zanzibar", "beta": "quixotic"}
"""A tenant, and a word that only it ever says."""
USERS = ("alice", "bob", "acme/alice", "..", "beta@bob", "%2e")
FORMATS = (("jsonl", ""), ("graphml", ""), ("turtle", ""), ("csv", "entities"), ("csv", "facts"))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADAPTER = Adapter(id="adapter-z", shard="alice", state="promoted", base="b", facts=(), sha256="s", created_at=NOW)
QUERIES = ("zanzibar", "quixotic", "I like my word", "Where does alice live?")


def everything(client: TestClient, user: str, query: str) -> list[str]:
    """Everything that the usual ways of reading give for a user, as text."""
    where = f"/v1/spaces/{quote(user, safe='')}"
    answers = [
        client.get("/v1/spaces"),
        client.get(f"{where}/turns"),
        client.get(f"{where}/facts", params={"past": True}),
        client.get(f"{where}/graph"),
        client.post(f"{where}/search", json={"query": query}),
        client.post(f"{where}/context", json={"question": query}),
    ]
    for answer in answers:
        assert answer.status_code < 500, answer.text
    return [answer.text for answer in answers]


def by_every_route(app: FastAPI, client: TestClient, user: str, ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(route, answer) of every GET that the OpenAPI document knows, in all its formats, with each of the ids."""
    formats = [{"format": name, "table": table} for name, table in FORMATS]
    for path, operations in app.openapi()["paths"].items():
        if path.endswith("/inspect/page"):  # made of what the other inspector's routes give, and slow
            continue
        named = {p["name"] for p in operations.get("get", {}).get("parameters", ())}
        for id in ids if {"id", "of", "job"} & named else [""]:
            for told in formats if path.endswith("/export") else [{"of": id, "past": "true"}]:
                where = path.format(user=quote(user, safe=""), id=quote(id, safe=""), job=quote(id, safe=""))
                if "get" in operations:
                    answer = client.get(
                        where, params={name: text for name, text in told.items() if text and name in named}
                    )
                    assert answer.status_code < 500, (path, answer.text)
                    yield path, answer.text


def app_of(memories: Memories) -> tuple[FastAPI, dict[str, TestClient]]:
    replies = ScriptedChatModel(replies=lambda messages: "What I was shown: " + json.dumps([m.text for m in messages]))
    app = create_app(memories, Options(requests_per_minute=0, model=replies))
    clients = {}
    for tenant in TENANTS:
        key, _ = app.state.serving.keys.create(tenant=tenant, role="admin")
        clients[tenant] = TestClient(app, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=False)
    return app, clients


STEP = st.tuples(
    st.sampled_from(sorted(TENANTS)),
    st.sampled_from(USERS),
    st.sampled_from(["say", "chat", "learn", "read", "forget", "by id"]),
    st.sampled_from(QUERIES),
)


def walk(steps: list[tuple[str, str, str, str]]) -> None:
    """Both tenants do these steps; after each, and after all, everything is read, and the other's words looked for."""
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none"), keep=2) as memories:
        app, clients = app_of(memories)
        ids: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
        for tenant, user, step, query in steps:
            client, word = clients[tenant], TENANTS[tenant]
            (foreign,) = set(TENANTS.values()) - {word}
            (other,) = set(TENANTS) - {tenant}
            where = f"/v1/spaces/{quote(user, safe='')}"
            mine = f"My {word} of {user}."
            if step == "say":
                said = client.post(f"{where}/turns", json={"turns": [{"role": "user", "content": f"I like {mine}"}]})
                ids[tenant] += said.json().get("added", [])
            elif step == "chat":
                # A chat is remembered: the other tenant's word in it would be this user's own from then on.
                asked = f"{mine} {query}" if foreign not in query else mine
                body = {"model": "local", "user": user, "messages": [{"role": "user", "content": asked}]}
                told = client.post("/v1/chat/completions", json=body).text
                assert foreign not in told.replace(query, "")
            elif step == "learn":
                client.post(f"{where}/consolidations")
            elif step == "forget" and ids[tenant]:
                client.post(f"{where}/forget", json={"id": ids[tenant][-1], "reason": "asked"})
            elif step == "by id":
                for id in ids[other]:
                    for path in (f"records/{id}", f"records/{id}/explain", f"records/{id}/history"):
                        assert client.get(f"{where}/{path}").status_code == 404
                    assert client.post(f"{where}/forget", json={"id": id, "reason": "x"}).status_code in (404, 422)
            for text in everything(client, user, query):
                assert foreign not in text.replace(query, ""), (tenant, user, step)
        for tenant, client in clients.items():
            others = {word for name, word in TENANTS.items() if name != tenant}
            for user in {steps[0][1], steps[-1][1]}:
                known = [id for each in ids.values() for id in each[:1]]
                for path, text in by_every_route(app, client, user, known):
                    assert not any(word in text for word in others), (tenant, user, path)


@settings(max_examples=3, deadline=None)
@given(steps=st.lists(STEP, min_size=4, max_size=8))
def test_nothing_of_another_tenant_or_user_comes_back_by_any_door(steps: list[tuple[str, str, str, str]]) -> None:
    walk(steps)


@pytest.mark.soak
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=4, max_size=16))
def test_nothing_of_another_tenant_or_user_comes_back_by_any_door_at_length(
    steps: list[tuple[str, str, str, str]],
) -> None:
    walk(steps)


def test_another_tenants_ids_open_nothing_by_any_route() -> None:
    """The ids of one tenant's turns, facts, adapters and runs, put wherever a route takes an id, by another's admin."""
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none")) as memories:
        app, clients = app_of(memories)
        mine, theirs = clients["acme"], clients["beta"]
        say(mine, "alice", "I live in zanzibar.", "My sister Ana Zanzibar works at Heineken.")
        say(theirs, "alice", "I live in quixotic.")
        for client in clients.values():
            client.post("/v1/spaces/alice/consolidations")
        memory, other = memories.of("alice", tenant="acme"), memories.of("alice", tenant="beta")
        with memory.space.ledger.transaction(wait=1) as tx:
            tx.put(ADAPTER)
        mine_only = _ids(memory) - _ids(other)
        assert len(mine_only) > 6
        before = mine.get("/v1/spaces/alice/export").text
        for method, path, fields in _taking_ids(app):
            for id in sorted(mine_only):
                told = {"id": id, "into": id, "reason": "x", "object": "x", "ids": [id]}
                body = {"json": {name: told[name] for name in fields & told.keys()}} if fields else {}
                where = path.format(user="alice", id=quote(id, safe=""), job=quote(id, safe=""))
                answer = theirs.request(method, where, params={"of": id}, **body)
                assert answer.status_code in (404, 409, 422), (method, path, answer.text)
                assert "zanzibar" not in answer.text.lower().replace(id.lower(), ""), (method, path)
        assert mine.get("/v1/spaces/alice/export").text == before
        assert "adapter-z" not in theirs.get("/v1/spaces/alice/adapters").text
        assert theirs.post("/v1/spaces/alice/adapters/rollback").status_code in (404, 409, 422)
        assert memory.space.ledger.select(Adapter)[0].state == "promoted"


def _ids(memory: Memory) -> set[str]:
    return {record.id for kind in (Episode, Fact, Entity, Run, Adapter) for record in memory.space.ledger.select(kind)}


def _taking_ids(app: FastAPI) -> Iterator[tuple[str, str, set[str]]]:
    """(method, path, fields of the body) of every route that takes the id of a record."""
    document = app.openapi()
    found = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = schema.get("$ref", "").rpartition("/")[2]
            fields = set(document["components"]["schemas"][name]["properties"]) if name else set()
            named = {parameter["name"] for parameter in operation.get("parameters", ())}
            if (
                "{id}" in path
                or "{job}" in path
                or ("of" in named and "/session" not in path)
                or {"id", "ids"} & fields
            ):
                found += 1
                yield method, path, fields
    assert found > 8


async def test_many_chats_at_once_lose_and_cross_nothing() -> None:
    """Over real HTTP. Its long form, against a server in a process of its own: `memory-agent bench serving`."""
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none")) as memories:
        app, clients = app_of(memories)
        keys = {tenant: client.headers["Authorization"].split()[1] for tenant, client in clients.items()}
        with served(app) as url:
            found = await load(url, keys, chats=16, turns=3)
    assert found.errors == []
    assert (found.turns, found.lost, found.crossed) == (48, 0, 0)
