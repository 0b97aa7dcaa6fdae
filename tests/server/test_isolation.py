"""Two tenants write and read at random, by every door: nothing of the other's ever comes back."""

from __future__ import annotations

import json

from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from talking import served

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.measuring import load
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder, ScriptedChatModel

TENANTS = {"acme": "zanzibar", "beta": "quixotic"}
"""A tenant, and a word that only it ever says."""
USERS = ("alice", "bob", "acme/alice", "..", "beta@bob", "%2e")
QUERIES = ("zanzibar", "quixotic", "I like my word", "Where does alice live?")


def everything(client: TestClient, user: str, query: str) -> list[str]:
    """Everything that each way of reading gives for a user, as text."""
    from urllib.parse import quote

    where = f"/v1/spaces/{quote(user, safe='')}"
    answers = [
        client.get("/v1/spaces"),
        client.get(f"{where}/turns"),
        client.get(f"{where}/facts", params={"past": True}),
        client.get(f"{where}/graph"),
        client.get(f"{where}/stats"),
        client.get(f"{where}/audit"),
        client.get(f"{where}/adapters"),
        client.get(f"{where}/runs"),
        client.post(f"{where}/search", json={"query": query}),
        client.post(f"{where}/context", json={"question": query}),
    ]
    for fact in client.get(f"{where}/facts").json().get("items", [])[:2]:
        answers.append(client.get(f"{where}/records/{fact['id']}/explain"))
    for answer in answers:
        assert answer.status_code < 500, answer.text
    return [answer.text for answer in answers]


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


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=4, max_size=10))
def test_nothing_of_another_tenant_or_user_comes_back_by_any_door(steps: list[tuple[str, str, str, str]]) -> None:
    from urllib.parse import quote

    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none"), keep=2) as memories:
        _, clients = app_of(memories)
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


async def test_many_chats_at_once_lose_and_cross_nothing() -> None:
    """Over real HTTP. Its long form, against a server in a process of its own: `memory-agent bench serving`."""
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none")) as memories:
        app, clients = app_of(memories)
        keys = {tenant: client.headers["Authorization"].split()[1] for tenant, client in clients.items()}
        with served(app) as url:
            found = await load(url, keys, chats=16, turns=3)
    assert found.errors == []
    assert (found.turns, found.lost, found.crossed) == (48, 0, 0)
