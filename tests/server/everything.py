"""The application with the fixtures that MCP's conformance suite asks for, beside the memory's own tools:

    python tests/server/everything.py 8765 &
    npx @modelcontextprotocol/conformance server --url http://localhost:8765/mcp --suite all

What the suite then judges is our door (routes, keys, threads, stateless answers), not whether a memory offers images.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp_types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

import memory_agent.integrations.mcp as ours
from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.testing import HashEmbedder

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SILENCE = base64.b64encode(
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
).decode()
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
    "additionalProperties": False,
}


def _text(uri: str, text: str, mime: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, text=text, mime_type=mime))


def _image() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def _answering_tools(server: MCPServer) -> None:
    @server.tool()
    async def test_simple_text() -> TextContent:
        """Answers with text."""
        return TextContent(type="text", text="This is a simple text response for testing.")

    @server.tool()
    async def test_image_content() -> ImageContent:
        """Answers with an image."""
        return _image()

    @server.tool()
    async def test_audio_content() -> AudioContent:
        """Answers with sound."""
        return AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")

    @server.tool()
    async def test_embedded_resource() -> EmbeddedResource:
        """Answers with a resource."""
        return _text("test://embedded-resource", "This is an embedded resource content.")

    @server.tool()
    async def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        """Answers with several things."""
        told = _text("test://mixed-content-resource", json.dumps({"test": "data", "value": 123}), "application/json")
        return [TextContent(type="text", text="Multiple content types test:"), _image(), told]

    @server.tool()
    async def test_error_handling() -> str:
        """Fails."""
        raise ToolError("This tool intentionally returns an error for testing")


def _asking_tools(server: MCPServer) -> None:
    @server.tool()
    async def test_tool_with_logging(context: Context) -> str:
        """Tells what it does while it does it."""
        for told in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await context.info(told)
        return "Tool with logging executed successfully"

    @server.tool()
    async def test_tool_with_progress(context: Context) -> str:
        """Tells how far it is."""
        for done in (0, 50, 100):
            await context.report_progress(done, 100, f"Completed step {done} of 100")
        return "done"

    @server.tool()
    async def json_schema_2020_12_tool(name: str = "", address: dict[str, str] | None = None) -> str:
        """Takes what a schema with definitions describes."""
        return json.dumps({"name": name, "address": address})

    server._tool_manager._tools["json_schema_2020_12_tool"].parameters = SCHEMA


def _resources(server: MCPServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    async def static_text() -> str:
        """A text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    async def static_binary() -> bytes:
        """An image."""
        return base64.b64decode(PIXEL)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    async def template(id: str) -> str:
        """A text for each id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def _prompts(server: MCPServer) -> None:
    @server.prompt()
    def test_simple_prompt() -> str:
        """One message."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """A message of two parts."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:  # noqa: N803 - the suite's name
        """A message with a resource."""
        told = _text(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(told), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[Message]:
        """A message with an image."""
        return [UserMessage(_image()), UserMessage("Please analyze the image above.")]

    @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        """What an argument may be."""
        return Completion(values=[f"{argument.value}{n}" for n in range(3)], total=3, has_more=False)


def extended(server: MCPServer) -> MCPServer:
    """The server, with the suite's fixtures."""
    for add in (_answering_tools, _asking_tools, _resources, _prompts):
        add(server)
    return server


if __name__ == "__main__":
    from memory_agent.server.run import run

    plain = ours.mcp_server
    ours.mcp_server = lambda access: extended(plain(access))
    with Memories("memory://", embedder=HashEmbedder(64), settings=Settings(user="alice", student="none")) as memories:
        run(memories, "127.0.0.1", int(sys.argv[1]))
