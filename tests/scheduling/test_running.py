"""The worker's command: logs without content, metrics that tell whether it lives, leaving when asked to."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from typer.testing import CliRunner

from memory_agent.cli.main import app
from memory_agent.errors import InvalidInput
from memory_agent.memory import Memory
from memory_agent.testing import HashEmbedder

SECRET = "the heliotrope is under the stairs"


@pytest.fixture
def logs() -> Iterator[None]:
    """The command sets the library's logger up; put it back."""
    logger = logging.getLogger("memory_agent")
    before = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Scraper(threading.Thread):
    """Asks for the metrics until a task is counted as done, then ends the command as an orchestrator would."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{port}/metrics"
        self.said = ""

    def run(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until and 'memory_agent_queue_tasks{state="done"} 1.0' not in self.said:
            time.sleep(0.05)
            try:
                with urllib.request.urlopen(self._url, timeout=5) as answer:
                    self.said = answer.read().decode()
            except OSError:
                continue
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_worker_is_watched_and_stopped(
    postgres_url: str, port: int, logs: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMORY_AGENT_LOG", "json")
    with Memory.open(postgres_url, user="ann", embedder=HashEmbedder(8)) as memory:
        memory.add([{"role": "user", "content": SECRET}])
    where = ["--store", postgres_url, "--user", "ann"]
    added = CliRunner().invoke(app, ["queue", "add", "distill", *where, "--json"])
    assert json.loads(added.stdout) == {"added": 1}
    scraper, began = Scraper(port), time.time()
    scraper.start()
    command = ["worker", "--store", postgres_url, "--find", "0", "--metrics-port", str(port), "--json"]
    ran = CliRunner().invoke(app, command)
    scraper.join()
    assert (ran.exit_code, json.loads(ran.stdout)) == (0, {"tasks": 1}), ran.stderr
    figures = dict(line.rsplit(" ", 1) for line in scraper.said.splitlines() if not line.startswith("#"))
    assert float(figures["memory_agent_last_look_timestamp_seconds"]) >= began - 1
    assert float(figures['memory_agent_jobs_total{ending="not_due",job="distill"}']) >= 1
    assert figures['memory_agent_queue_tasks{state="ready"}'] == "0.0"
    lines = [json.loads(line) for line in ran.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines if line["logger"] == "memory_agent.cli.running"] == ["started", "stopped"]
    for text in (scraper.said, ran.stderr):
        assert "heliotrope" not in text
    assert "ann" not in scraper.said, "a label names a user"
    with pytest.raises(URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_port_that_is_taken_is_named(postgres_url: str, logs: None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = CliRunner().invoke(app, ["worker", "--store", postgres_url, "--drain", "--metrics-port", port])
    assert isinstance(ran.exception, InvalidInput)
    assert port in str(ran.exception)
