"""No framework: a loop of your own around any chat model, in three calls.

    python examples/plain_loop.py [openai:gpt-4.1-mini | local | PROVIDER:NAME]

An empty line ends it. What you said is then read into facts; start it again, and it knows you.
"""

import getpass
import sys
from collections.abc import Iterable, Iterator

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage

from memory_agent import Memory


def talk(memory: Memory, model: BaseChatModel, lines: Iterable[str], session: str) -> Iterator[str]:
    """The reply to each line."""
    for line in lines:
        recalled = memory.context(line, budget=600).text
        memory.add([{"role": "user", "content": line}], session=session)
        reply = model.invoke([SystemMessage(f"Answer briefly.\n\n{recalled}"), HumanMessage(line)]).text
        if reply.strip():
            memory.add([{"role": "assistant", "content": reply}], session=session)
        yield reply


def main() -> None:
    """Talk until an empty line."""
    from memory_agent.models.chat import load_chat_model

    with Memory.open("loop-memory", user=getpass.getuser()) as memory:
        model = load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "local", memory.space.settings)
        for reply in talk(memory, model, iter(lambda: input("> ").strip(), ""), session="loop"):
            print(reply)
        print(f"Learnt {len(memory.consolidate().facts_added)} facts.")


if __name__ == "__main__":
    main()
