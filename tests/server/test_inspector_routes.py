"""The inspector's routes: a page that holds nothing, data only with a key, and what was written is seen at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from talking import Client, say

from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options

READS = ("overview", "graph", "weights", "sessions", "runs", "session?of=s1", "record?of=x", "run?of=x")
ADMINS = ("audit", "page", "export")


def test_the_page_is_open_and_holds_nothing_of_anybodys(app: FastAPI, client: Client) -> None:
    say(client(), "alice", "I live in Porto.")
    answer = TestClient(app).get("/inspector?user=alice")
    assert answer.status_code == 200
    assert "Porto" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    policy = answer.headers["content-security-policy"]
    for part in ("default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'"):
        assert part in policy
    assert "unsafe-eval" not in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", [*READS, *ADMINS])
def test_data_asks_for_a_key_of_the_right_role(app: FastAPI, client: Client, path: str) -> None:
    where = f"/v1/spaces/alice/inspect/{path}"
    assert TestClient(app).get(where).status_code == 401
    expected = {403} if path in ADMINS else {200, 404}
    assert client("reader").get(where).status_code in expected
    assert client("admin").get(where).status_code in {200, 404}


def test_a_tenant_sees_nothing_of_anothers_user_of_the_same_name(client: Client) -> None:
    say(client(tenant="acme"), "alice", "I live in Porto.")
    other = client(tenant="other")
    assert other.get("/v1/spaces/alice/inspect/overview").json()["counts"]["turns"] == 0
    assert other.get("/v1/spaces/alice/inspect/sessions").json() == []


def test_what_was_written_is_seen_at_once(client: Client) -> None:
    c = client()
    say(c, "alice", "I live in Porto.")
    assert (
        c.get("/v1/spaces/alice/inspect/overview").json()["counts"] | {"turns": 1, "pending": 1}
        == (c.get("/v1/spaces/alice/inspect/overview").json()["counts"])
    )
    c.post("/v1/spaces/alice/consolidations")
    graph = c.get("/v1/spaces/alice/inspect/graph").json()
    (fact,) = [row for row in graph["facts"] if row["predicate"] == "lives in"]
    record = c.get("/v1/spaces/alice/inspect/record", params={"of": fact["id"]}).json()
    assert record["can"] == ["edit", "forget"]
    assert record["sources"][0]["quote"]
    (run,) = c.get("/v1/spaces/alice/inspect/runs").json()["runs"]
    assert [row["id"] for row in c.get(f"/v1/spaces/alice/inspect/run?of={run['id']}").json()["added"]] == [fact["id"]]
    c.post("/v1/spaces/alice/forget", json={"id": fact["id"], "reason": "asked"})
    assert c.get("/v1/spaces/alice/inspect/graph").json()["facts"] == []
    assert c.get("/v1/spaces/alice/inspect/audit").json()[0]["action"] == "forget"
    assert "Porto" not in c.get("/v1/spaces/alice/inspect/page").json()["html"]


def test_two_that_are_one_and_back(client: Client) -> None:
    c = client()
    say(c, "alice", "My friend Nadia Berg lives in Oslo. My neighbour Nadja Lund plays the cello.")
    c.post("/v1/spaces/alice/consolidations")
    nodes = c.get("/v1/spaces/alice/inspect/graph").json()["nodes"]
    ids = {node["name"]: node["id"] for node in nodes if node["entity"]}
    one, other = ids["Nadja Lund"], ids["Nadia Berg"]
    assert client("reader").post("/v1/spaces/alice/merge", json={"id": one, "into": other}).status_code == 403
    assert c.post("/v1/spaces/alice/merge", json={"id": one, "into": other}).json()["record"]["id"] == other
    assert c.get("/v1/spaces/alice/inspect/record", params={"of": one}).json()["can"] == ["split", "forget"]
    assert c.post("/v1/spaces/alice/split", json={"id": one}).json()["record"]["merged_into"] is None
    assert c.post("/v1/spaces/alice/split", json={"id": one}).status_code == 422


def test_a_key_of_the_process_alone_opens_its_tenant(memories: Memories) -> None:
    app = create_app(memories, Options(own_key="only-here"))
    mine = TestClient(app, headers={"Authorization": "Bearer only-here"})
    assert mine.get("/v1/spaces/alice/inspect/audit").status_code == 200
    for wrong in ("", "only-her", "only-here2", "Only-here"):
        got = TestClient(app, headers={"Authorization": f"Bearer {wrong}"}).get("/v1/spaces/alice/inspect/overview")
        assert got.status_code == 401, wrong
    none = create_app(memories, Options())
    assert TestClient(none, headers={"Authorization": "Bearer "}).get("/v1/spaces").status_code == 401


def test_the_command_serves_on_this_machine_alone(tmp_path: Path) -> None:
    where = ["--store", str(tmp_path / "m"), "--user", "ana", "--json"]
    command = str(Path(sys.executable).with_name("memory-agent"))
    process = subprocess.Popen([command, "inspect", "--no-open", *where], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        told = ""
        while not told.rstrip().endswith("}"):
            told += process.stdout.readline()
        address = urlsplit(json.loads(told)["url"])
        assert address.hostname == "127.0.0.1"
        assert parse_qs(address.query) == {"user": ["ana"]}
        root = f"{address.scheme}://{address.netloc}"
        key = {"Authorization": f"Bearer {address.fragment.removeprefix('key=')}"}
        with urlopen(f"{root}/inspector", timeout=120) as page:
            assert b"Memory inspector" in page.read()
        with urlopen(Request(f"{root}/v1/spaces", headers=key), timeout=120) as data:
            assert json.load(data)["items"] == []
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"{root}/v1/spaces", timeout=120)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
