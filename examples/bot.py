"""A bot for many people, as of Telegram or Slack, without a network: updates come in, replies go out.

    python examples/bot.py [openai:gpt-4.1-mini | local | PROVIDER:NAME]

Each sender is a user of one store and sees nobody else's memory. Put your platform's poll in the place of `updates`.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from memory_agent import Agent
from memory_agent.memories import Memories


@dataclass(frozen=True)
class Update:
    """One message as a platform delivers it; `id` is the platform's, so that one delivered twice is heard once."""

    id: int
    chat: str
    sender: str
    text: str


class Bot:
    """Answers everybody from their own memory. `/forget` forgets the sender."""

    def __init__(self, memories: Memories, model: str | BaseChatModel) -> None:
        self.memories, self.model = memories, model
        self.seen: set[int] = set()

    def answer(self, update: Update) -> str | None:
        """The reply; None to what was answered before."""
        if update.id in self.seen:
            return None
        self.seen.add(update.id)
        memory = self.memories.of(update.sender)
        if update.text.strip() == "/forget":
            memory.forget(f"user:{update.sender}", reason="asked for in the chat")
            return "Forgotten."
        return Agent(memory, self.model, session=f"chat-{update.chat}").chat(update.text)


def run(bot: Bot, updates: Iterable[Update]) -> Iterator[tuple[str, str]]:
    """(chat, reply) for each update that needs one."""
    for update in updates:
        if (reply := bot.answer(update)) is not None:
            yield update.chat, reply


UPDATES = (
    Update(1, "7", "ana", "My cat is called Tango."),
    Update(2, "8", "ben", "I am allergic to cats."),
    Update(2, "8", "ben", "I am allergic to cats."),
    Update(3, "7", "ana", "What is my cat called?"),
    Update(4, "8", "ben", "/forget"),
)


def main() -> None:
    """Answer the updates above."""
    with Memories("bot-memory") as memories:
        for chat, reply in run(Bot(memories, sys.argv[1] if len(sys.argv) > 1 else "local"), UPDATES):
            print(f"chat {chat}: {reply}")


if __name__ == "__main__":
    main()
