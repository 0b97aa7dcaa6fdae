"""The MCP server, asked by the reference client: in this process, over stdio, and over HTTP with keys."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from memory_agent import Memory
from memory_agent.integrations.mcp import Access, mcp_server

READS = {"search_memory", "facts", "recall", "show_sources"}
DESTROYS = {"correct", "forget"}


def text_of(result: Any) -> str:
    return "".join(part.text for part in result.content)


async def test_tools_say_what_they_are(memory: Memory) -> None:
    async with Client(mcp_server(lambda: Access(memory))) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint} == READS
    assert {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint} == DESTROYS
    assert set(tools) == READS | DESTROYS | {"remember", "consolidate"}
    assert all(tool.description for tool in tools.values())


async def test_a_memory_is_kept_found_learnt_explained_corrected_and_forgotten(memory: Memory) -> None:
    async with Client(mcp_server(lambda: Access(memory))) as client:
        await client.call_tool("remember", {"text": "I live in Porto."})
        assert "1 turns read" in text_of(await client.call_tool("consolidate", {}))
        shown = text_of(await client.call_tool("facts", {"about": "alice"}))
        assert "Porto" in shown
        assert shown.startswith("<memory-context")
        (fact,) = memory.facts()
        assert fact.id in text_of(await client.call_tool("search_memory", {"query": "Where is home? Porto"}))
        assert "I live in Porto." in text_of(await client.call_tool("show_sources", {"id": fact.id}))
        assert "Porto" in text_of(await client.call_tool("recall", {"question": "Porto?"}))
        assert "Braga" in text_of(await client.call_tool("correct", {"id": fact.id, "object": "Braga"}))
        gone = await client.call_tool("forget", {"id": memory.facts()[0].id, "reason": "asked"})
        assert not gone.is_error


async def test_whoever_asks_for_it_hears_how_far_the_reading_is(memory: Memory) -> None:
    memory.add([{"role": "user", "content": "I live in Porto.", "id": "t1"}])
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with Client(mcp_server(lambda: Access(memory))) as client:
        result = await client.call_tool("consolidate", {}, progress_callback=hear)
    assert not result.is_error
    assert len(heard) > 1
    assert heard == sorted(heard, key=lambda one: one[0])
    assert heard[-1] == (1.0, 1.0, "done")


async def test_resources_are_facts_graph_and_records(memory: Memory) -> None:
    memory.add([{"role": "user", "content": "I live in Porto.", "id": "t1"}])
    memory.consolidate()
    async with Client(mcp_server(lambda: Access(memory))) as client:
        named = {str(resource.uri) for resource in (await client.list_resources()).resources}
        assert named == {"memory://facts", "memory://graph"}
        facts = json.loads((await client.read_resource("memory://facts")).contents[0].text)  # type: ignore[union-attr]
        assert [fact["object"] for fact in facts] == ["Porto"]
        graph = json.loads((await client.read_resource("memory://graph")).contents[0].text)  # type: ignore[union-attr]
        assert len(graph["edges"]) == 1
        turn = json.loads((await client.read_resource("memory://records/t1")).contents[0].text)  # type: ignore[union-attr]
        assert turn["content"] == "I live in Porto."


async def test_errors_are_results_that_a_model_can_read(memory: Memory) -> None:
    async with Client(mcp_server(lambda: Access(memory))) as client:
        missing = await client.call_tool("show_sources", {"id": "none"})
        assert missing.is_error
        assert "none" in text_of(missing)
        whole = await client.call_tool("forget", {"id": "user:alice", "reason": "x"})
        assert whole.is_error
    async with Client(mcp_server(lambda: Access(memory, writes=False))) as client:
        refused = await client.call_tool("remember", {"text": "x"})
        assert refused.is_error
        assert not (await client.call_tool("search_memory", {"query": "x"})).is_error


async def test_over_stdio(tmp_path: Path) -> None:
    """The command as a client starts it; nothing but the protocol may stand on stdout."""
    command = [sys.executable, "-m", "memory_agent.cli.main"]
    code = "from memory_agent.cli.main import main; main()"
    arguments = ["-c", code, "mcp", "--store", str(tmp_path / "store"), "--user", "alice"]
    parameters = StdioServerParameters(command=command[0], args=arguments)
    async with Client(stdio_client(parameters)) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} > READS
        facts = await client.call_tool("facts", {})
        assert "nothing found" in text_of(facts)
