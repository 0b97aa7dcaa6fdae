"""pydantic-ai: memory as tools of an agent, and the turns kept.

    pip install pydantic-ai-slim
    python examples/pydantic_ai_agent.py [MODEL]

Without a MODEL it runs pydantic-ai's own test model, which calls every tool and needs no network.
"""

import sys

from pydantic_ai import Agent, RunContext
from pydantic_ai.models import Model

from memory_agent import Memory

agent = Agent(deps_type=Memory, instructions="Search memory before you answer about the user's own world.")


@agent.tool
def search_memory(context: RunContext[Memory], query: str) -> list[str]:
    """Search everything said before and all known facts."""
    found = context.deps.search(query, limit=6)
    return [hit.record.text if hit.record.kind == "fact" else hit.record.content for hit in found.hits]


@agent.tool
def known_facts(context: RunContext[Memory]) -> list[str]:
    """List what is held to be true now."""
    return [fact.text for fact in context.deps.facts()]


def chat(memory: Memory, text: str, model: Model | str) -> str:
    """The reply; both turns are kept, the user's before the model is asked."""
    memory.add([{"role": "user", "content": text}])
    reply = agent.run_sync(text, deps=memory, model=model).output
    memory.add([{"role": "assistant", "content": reply}])
    return reply


def main() -> None:
    """Two messages."""
    with Memory.open("pydantic-memory", user="ana") as memory:
        for text in ("My cat is called Tango.", "What is my cat called?"):
            print(chat(memory, text, sys.argv[1] if len(sys.argv) > 1 else "test"))


if __name__ == "__main__":
    main()
