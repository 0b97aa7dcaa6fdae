"""An application over a store in memory, its keys, and clients that come with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder

Client = Callable[..., TestClient]


@pytest.fixture
def memories() -> Iterator[Memories]:
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(student="none")) as opened:
        yield opened


@pytest.fixture
def app(memories: Memories) -> FastAPI:
    return create_app(memories, Options(requests_per_minute=0))


@pytest.fixture
def client(app: FastAPI) -> Client:
    """Makes a client with a key of that role and tenant."""

    def make(role: str = "admin", tenant: str = "acme") -> TestClient:
        key, _ = app.state.serving.keys.create(tenant=tenant, role=role)
        return TestClient(app, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=False)

    return make


def say(client: TestClient, user: str, *texts: str) -> list[str]:
    """Let `user` say the texts; the ids of the turns."""
    turns = [{"role": "user", "content": text} for text in texts]
    answer = client.post(f"/v1/spaces/{user}/turns", json={"turns": turns, "session": "s1"})
    assert answer.status_code == 201, answer.text
    added: list[str] = answer.json()["added"]
    return added


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a port of this machine, over real HTTP; its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
