"""What tests of the server share: how a client is made, how a user says something, how an application is served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

Client = Callable[..., TestClient]


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
