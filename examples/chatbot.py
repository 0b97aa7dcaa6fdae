"""A chatbot in the terminal that remembers you, in thirty lines.

    python examples/chatbot.py [openai:gpt-4.1-mini | local | PROVIDER:NAME]

Without an argument it takes OpenAI where OPENAI_API_KEY is set, else the small model on this machine.
An empty line ends it; what you said is then read into the graph. Start it again, and it knows you.
"""

import getpass
import os
import sys

from memory_agent import Agent, Memory


def main() -> None:
    """Talk until an empty line, then read what was said into the graph."""
    default = "openai:gpt-4.1-mini" if os.environ.get("OPENAI_API_KEY") else "local"
    model = sys.argv[1] if len(sys.argv) > 1 else default
    user = getpass.getuser()
    with Memory.open("chatbot-memory", user=user) as memory:
        agent = Agent(memory, model)
        print(f"Talking to {model}; an empty line ends it.")
        print("> ", end="", flush=True)
        for line in sys.stdin:
            if not line.strip():
                break
            for piece in agent.stream(line.strip()):
                print(piece, end="", flush=True)
            print("\n> ", end="", flush=True)
        report = memory.consolidate()
        print(f"\nLearnt {len(report.facts_added)} facts.")
        print(f"To see them: memory-agent facts --store chatbot-memory --user {user}")


if __name__ == "__main__":
    main()
