"""Extraction from a real HTTP server that speaks OpenAI's protocol, in every way in which it can fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from memory_agent import consolidation, semantic
from memory_agent.consolidation.llm import LLMExtractor
from memory_agent.protocols import Query
from memory_agent.records import Episode

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
