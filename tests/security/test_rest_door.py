"""Malformed and oversized requests: a problem document, never a traceback and never a 500."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with Memories("memory://", embedder=HashEmbedder(16), settings=Settings(student="none")) as memories:
        app = create_app(memories, Options(requests_per_minute=0, most_bytes=100_000))
        key, _ = app.state.serving.keys.create(tenant="acme", role="admin")
        yield TestClient(app, headers={"Authorization": f"Bearer {key}"}, raise_server_exceptions=False)


PATHS = ("/v1/spaces/a/turns", "/v1/spaces/a/search", "/v1/spaces/a/forget", "/v1/spaces/a/review/approve",
         "/v1/spaces/a/merge", "/v1/chat/completions")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[" * 50_000, b'{"turns":' * 9_000, b"\xff\xfe\x00", b"null", b'"x"', b"1e999", b'{"turns":1}',
        b'{"query":"\\ud800"}', b'{"turns":[{"role":"user","content":"\\ud800"}]}',
        b'{"turns":[{"role":"user","content":"x","at":"9999-12-31T23:59:59-14:00"}]}',
        b'{"turns":[{"role":"user","content":"x","metadata":{"approved":["f"]}}]}',
        b'{"id":"../../etc/passwd","reason":"x"}', b'{"ids":["' + b"x" * 600 + b'"]}',
    ],
)  # fmt: skip
def test_what_is_malformed_is_refused(client: TestClient, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_what_is_too_large_is_refused(client: TestClient, path: str) -> None:
    assert client.post(path, content=b" " * 100_001).status_code == 413
    assert client.post(path, content=(b" " * 10_000 for _ in range(20))).status_code == 413


@pytest.mark.parametrize("user", ["..", "%2e%2e", "..%2f..%2fetc", "a%00b", "%ff", "a%2fb", "~", "CON", "a\\b"])
def test_a_user_is_a_name_and_never_a_path(client: TestClient, user: str) -> None:
    answer = client.post(f"/v1/spaces/{user}/turns", json={"turns": [{"role": "user", "content": "I like tea."}]})
    assert answer.status_code < 500, answer.text
