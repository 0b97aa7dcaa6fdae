"""A help desk's bot on a store of its own: what each customer runs is known the next time they write.

    PYTHONPATH=examples/extend python examples/outside/desk_bot.py FOLDER CUSTOMER

The store is examples/extend/own_store.py, found by its URL once its package is installed; the extractor reads
what customers run.
"""

import sys
from collections.abc import Iterable, Iterator

from langchain_core.language_models import BaseChatModel
from own_extractor import HelpDeskExtractor

from memory_agent import Agent, Memory


def talk(memory: Memory, model: BaseChatModel | str, lines: Iterable[str]) -> Iterator[str]:
    """The reply to each line; in the end what was said is read."""
    agent = Agent(memory, model)
    for line in lines:
        yield agent.chat(line)
    memory.consolidate(extractor=HelpDeskExtractor())


def known(memory: Memory) -> list[str]:
    """What the desk knows that its customer runs."""
    return [fact.object for fact in memory.facts(predicate="runs")]


def main() -> None:
    """Talk until an empty line."""
    folder, customer = sys.argv[1:3]
    with Memory.open(f"plain://{folder}", user=customer) as memory:
        print("They run:", ", ".join(known(memory)) or "nothing we know of")
        for reply in talk(memory, "local", iter(lambda: input("> ").strip(), "")):
            print(reply)


if __name__ == "__main__":
    main()
