"""A Chromium, a server on loopback, and a store made from a conversation, for clicking through the inspector.

The browser is the machine's own (`make browser` installs Debian's); Playwright only drives it. Every
page a test opens is watched: an error on its console, or a request to another origin, fails the test.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import KEY, PATIENCE, USER, Served, Watched, find_chromium, put_weights, remember
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from students import tiny_student

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.testing import FrozenClock, HashEmbedder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser a file: Playwright's own event loop counts as running in this thread until it is stopped, and no
    asynchronous test of another file could run on the same worker beside it."""
    path = find_chromium()
    if path is None:
        missing = "no Chromium on this machine: `make browser`, apt-get install chromium, or set MEMORY_AGENT_CHROMIUM"
        if os.environ.get("MEMORY_AGENT_BROWSER") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # As root, as in a container, Chromium starts only without its sandbox; it opens nothing but our own pages.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


@pytest.fixture(scope="session")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


@pytest.fixture(scope="session")
def memories(tmp_path_factory: pytest.TempPathFactory, student: Path) -> Iterator[Memories]:
    """A store in a folder that holds the example conversation, what was read in it, and weights."""
    clock = FrozenClock("2025-01-01T00:00:00+00:00")
    settings = Settings(student=str(student))
    store = tmp_path_factory.mktemp("inspected") / "store"
    with Memories(store, embedder=HashEmbedder(64), settings=settings, clock=clock) as opened:
        memory = opened.of(USER)
        remember(memory, clock)
        put_weights(memory, tmp_path_factory.mktemp("weights"), student)
        yield opened


@pytest.fixture(scope="session")
def served(memories: Memories) -> Iterator[Served]:
    """The whole application over that store, on a free port of this machine."""
    import socket

    import uvicorn

    from memory_agent.server import create_app
    from memory_agent.server.serving import Options

    app = create_app(memories, Options(own_key=KEY, requests_per_minute=0))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        port = listening.getsockname()[1]
        yield Served(f"http://127.0.0.1:{port}", memories, app.state.serving)
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def watched(served: Served) -> Iterator[Watched]:
    seen = Watched(served.url)
    yield seen
    seen.check()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    made = chromium.new_context(viewport={"width": 1360, "height": 840}, reduced_motion="reduce")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, served: Served, watched: Watched) -> Page:
    """The inspector, open at the graph, with the process's key."""
    opened = watched.watch(context.new_page())
    opened.goto(served.at(key=KEY))
    opened.wait_for_selector("canvas")
    return opened
