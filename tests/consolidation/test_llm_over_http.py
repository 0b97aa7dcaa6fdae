"""Extraction from a real HTTP server that speaks OpenAI's protocol, in every way in which it can fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from memory_agent import Memory, Settings, consolidation, semantic
from memory_agent.consolidation.llm import LLMExtractor
from memory_agent.consolidation.spending import ANSWERS
from memory_agent.protocols import Query
from memory_agent.records import Episode
from memory_agent.testing import HashEmbedder

GOOD = {
    "turn": 1, "quote": "I live in Porto", "subject": "Alice", "predicate": "lives_in", "object": "Porto",
    "subject_type": "person", "object_type": "place",
}  # fmt: skip


def completion(text: str | None, **more: Any) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"} | more
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    ).encode()


def claims(*found: object) -> str:
    return json.dumps({"claims": list(found)})


BROKEN: dict[str, list[tuple[int, bytes]]] = {
    "server error": [(500, b'{"error": {"message": "boom"}}')],
    "rate limit": [(429, b'{"error": {"message": "slow down"}}')],
    "no key": [(401, b'{"error": {"message": "who are you"}}')],
    "html": [(200, b"<html>gateway</html>")] * 2,
    "no choices": [(200, b'{"id": "c", "object": "chat.completion", "choices": []}')] * 2,
    "null content": [(200, completion(None))] * 2,
    "prose": [(200, completion("I would rather not."))] * 2,
    "cut off": [(200, completion('{"claims": [{"turn": 1, "quo', finish_reason="length"))] * 2,
    "wrong shape": [(200, completion('{"facts": []}'))] * 2,
    "half a body": [(200, completion(claims(GOOD))[:40])] * 2,
}


class _Server(ThreadingHTTPServer):
    script: list[tuple[int, bytes]]
    asked: list[dict[str, Any]]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        status, body = self.server.script.pop(0) if self.server.script else (500, b"{}")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    made = _Server(("127.0.0.1", 0), _Handler)
    made.script, made.asked = [], []
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def extractor(server: _Server, **options: Any) -> LLMExtractor:
    from langchain_openai import ChatOpenAI

    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return LLMExtractor(ChatOpenAI(model="m", base_url=url, api_key="x", max_retries=0, timeout=5), **options)


def test_a_chat_model_named_by_settings_reads_within_its_budget(server: _Server, tmp_path, monkeypatch) -> None:
    """The way of the command line: no code, a model's name, an address and what it may cost."""
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    given = {
        "base_url": f"http://127.0.0.1:{server.server_address[1]}/v1",
        "extractor": "openai:m",
        "extractor_money": 0.0000001,
        "extractor_price_in": 1.0,
        "extractor_price_out": 2.0,
    }
    turns = [{"role": "user", "speaker": "Alice", "content": "I live in Porto.", "at": "2024-04-05T10:00:00Z"}]
    with Memory.open(tmp_path, user="alice", embedder=HashEmbedder(), settings=Settings.load(**given)) as memory:
        memory.add(turns, session="a")
        memory.add([turns[0] | {"content": "I like tea."}], session="b")
        server.script[:] = [(200, completion(claims(GOOD)))]
        report = memory.consolidate()
        assert (report.claims, report.extractor, report.tokens, report.money) == (1, "llm/m", 10, 0.000013)
        assert ["is spent" in error for error in report.failed.values()] == [True]
        assert [f.text for f in memory.facts()] == ["Alice lives in Porto."]
        assert (memory.space.folder / ANSWERS).exists()
        memory.forget("session:a", reason="asked to")
        assert not (memory.space.folder / ANSWERS).exists()


def test_turns_too_many_for_the_model_are_asked_for_in_halves(server: _Server, space, say) -> None:
    for day in (5, 6):
        say(f"2024-04-0{day}", "I live in Porto.", session="s")
    full = b'{"error": {"message": "maximum context length exceeded", "code": "context_length_exceeded"}}'
    good = (200, completion(claims(GOOD)))
    server.script[:] = [(400, full), good, good]
    report = consolidation.consolidate(space, extractor(server))
    assert (report.claims, report.failed) == (2, {})
    say("2024-04-07", "I live in Porto.", session="t")
    server.script[:] = [(400, full)]
    (error,) = consolidation.consolidate(space, extractor(server)).failed.values()
    assert "context length" in error


def test_an_answer_that_the_server_cut_gives_its_whole_claims(server: _Server, space, say) -> None:
    say("2024-04-05", "I live in Porto.")
    cut = claims(GOOD)[:-2] + ', {"turn": 1, "quo'
    server.script[:] = [(200, completion(cut, finish_reason="length"))] * 2
    assert consolidation.consolidate(space, extractor(server)).claims == 1
    assert [f.text for f in semantic.facts(space)] == ["Alice lives in Porto."]


def test_nothing_is_lost_and_each_failure_is_named(server: _Server, space, say) -> None:
    id = say("2024-04-05", "I live in Porto.")
    for name, script in BROKEN.items():
        server.script[:] = script
        report = consolidation.consolidate(space, extractor(server))
        assert list(report.failed) == [id], name
        assert report.failed[id], name
        assert not semantic.facts(space), name
        assert [e.id for e in space.ledger.select(Episode, Query(where={"run": None}))] == [id], name
    server.script[:] = [(200, completion(claims(GOOD)))]
    assert consolidation.consolidate(space, extractor(server)).claims == 1
    assert [f.text for f in semantic.facts(space)] == ["Alice lives in Porto."]
    assert server.asked[-1]["response_format"]["type"] == "json_schema"
