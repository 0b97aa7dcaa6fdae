"""An application over a store in memory, its keys, and clients that come with them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from talking import Client

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder


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
