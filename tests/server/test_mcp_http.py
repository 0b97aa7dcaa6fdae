"""MCP over streamable HTTP: the reference client with a key, whose tenant and role hold here as everywhere."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import everything
import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from talking import served

import memory_agent.integrations.mcp as ours


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


async def test_a_key_opens_its_tenants_memory_and_no_other(app: FastAPI) -> None:
    keys = app.state.serving.keys
    with served(app) as url:

        def session(user: str, tenant: str = "acme", role: str = "writer") -> AbstractAsyncContextManager[Client]:
            key, _ = keys.create(tenant=tenant, role=role)
            http = create_mcp_http_client(headers={"Authorization": f"Bearer {key}"})
            return Client(streamable_http_client(f"{url}/mcp/{user}", http_client=http))

        async with session("alice") as client:
            assert not (await client.call_tool("remember", {"text": "The word is zanzibar."})).is_error
            assert "zanzibar" in text_of(await client.call_tool("search_memory", {"query": "word"}))
        for other in (session("bob"), session("alice", tenant="other")):
            async with other as client:
                assert "zanzibar" not in text_of(await client.call_tool("search_memory", {"query": "word"}))
        async with session("alice", role="reader") as client:
            assert "zanzibar" in text_of(await client.call_tool("search_memory", {"query": "word"}))
            assert (await client.call_tool("remember", {"text": "x"})).is_error
            assert "[]" in (await client.read_resource("memory://facts")).contents[0].text  # type: ignore[union-attr]
        async with httpx2.AsyncClient() as bare:
            assert (await bare.post(f"{url}/mcp/alice", json={})).status_code == 401


async def test_whatever_a_tool_answers_passes_the_door_as_it_is(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images, sound and resources, by the fixtures of MCP's conformance suite; the memory's own tools answer text."""
    plain = ours.mcp_server
    monkeypatch.setattr(ours, "mcp_server", lambda access: everything.extended(plain(access)))
    key, _ = app.state.serving.keys.create(tenant="acme", role="reader")
    http = create_mcp_http_client(headers={"Authorization": f"Bearer {key}"})
    with served(app) as url:
        async with Client(streamable_http_client(f"{url}/mcp/alice", http_client=http)) as client:
            several = (await client.call_tool("test_multiple_content_types", {})).content
            assert [part.type for part in several] == ["text", "image", "resource"]
            assert several[1].data == everything.PIXEL  # type: ignore[union-attr]
            (sound,) = (await client.call_tool("test_audio_content", {})).content
            assert (sound.type, sound.data) == ("audio", everything.SILENCE)  # type: ignore[union-attr]
            (blob,) = (await client.read_resource("test://static-binary")).contents
            assert blob.blob == everything.PIXEL  # type: ignore[union-attr]
            prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
            assert "arg1='a'" in prompt.messages[0].content.text  # type: ignore[union-attr]
            schemas = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
            assert schemas["json_schema_2020_12_tool"] == everything.SCHEMA


def test_a_user_must_be_named(app: FastAPI) -> None:
    key, _ = app.state.serving.keys.create(tenant="acme", role="writer")
    with TestClient(app, headers={"Authorization": f"Bearer {key}"}) as client:
        answer = client.post("/mcp", json={})
        assert answer.status_code == 422
        assert "/mcp/alice" in answer.json()["detail"]


def test_without_the_extra_it_says_what_to_install(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    monkeypatch.delitem(sys.modules, "memory_agent.integrations.mcp", raising=False)
    key, _ = app.state.serving.keys.create(tenant="acme", role="writer")
    with TestClient(app, headers={"Authorization": f"Bearer {key}"}) as client:
        answer = client.post("/mcp/alice", json={})
        assert answer.status_code == 501
        assert "slowwave[mcp]" in answer.json()["detail"]
