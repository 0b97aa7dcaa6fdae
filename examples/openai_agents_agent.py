"""OpenAI Agents SDK: agents that remember because their model is the memory server, and nothing else of them changes.

    pip install openai-agents 'slowwave[server,mcp]'
    memory-agent serve --model openai:gpt-4.1-mini        # or --model local, which calls no tools
    python examples/openai_agents_agent.py [gpt-4.1-mini | local]

What was said before is recalled into each prompt, and what is said is kept, by the server. A model that calls tools
also gets those of the memory, over MCP: search, facts, sources, correct, forget.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI

URL = "http://127.0.0.1:8765"


async def talk(
    lines: Sequence[str], *, user: str, model: str, url: str = URL, key: str = "none", tools: bool = True
) -> list[str]:
    """The reply to each line, each a conversation of its own: what ties them together is the memory."""
    set_tracing_disabled(True)  # else the SDK sends traces of every run to OpenAI
    async with AsyncExitStack() as opened:
        client = await opened.enter_async_context(AsyncOpenAI(base_url=f"{url}/v1", api_key=key))
        where = {"url": f"{url}/mcp/{user}", "headers": {"Authorization": f"Bearer {key}"}}
        servers = [await opened.enter_async_context(MCPServerStreamableHttp(params=where))] if tools else []
        agent = Agent(
            name="Assistant",
            instructions="Answer briefly.",
            model=OpenAIChatCompletionsModel(model, client),
            model_settings=ModelSettings(extra_body={"user": user}),
            mcp_servers=servers,
        )
        return [str((await Runner.run(agent, line)).final_output) for line in lines]


def main() -> None:
    """Two conversations; the second knows the first."""
    model = sys.argv[1] if len(sys.argv) > 1 else "local"
    key = os.environ.get("MEMORY_AGENT_KEY", "none")
    lines = ["My cat is called Tango.", "What is my cat called?"]
    for reply in asyncio.run(talk(lines, user="ana", model=model, key=key, tools=model != "local")):
        print(reply)


if __name__ == "__main__":
    main()
