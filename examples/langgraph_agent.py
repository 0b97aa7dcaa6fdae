"""LangGraph: a graph that recalls before it answers, and keeps its own notes in the same memory.

    pip install 'slowwave[langgraph]'
    python examples/langgraph_agent.py [openai:gpt-4.1-mini | local | PROVIDER:NAME]

`with_memory` puts what memory holds into the prompt and keeps both turns. `MemoryStore` is LangGraph's long-term store.
"""

import sys
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AnyMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime

from memory_agent import Memory
from memory_agent.integrations.langchain import with_memory
from memory_agent.integrations.langgraph import MemoryStore


class State(TypedDict):
    """The conversation."""

    messages: Annotated[list[AnyMessage], add_messages]


def build(memory: Memory, model: BaseChatModel) -> Any:
    """The compiled graph over one user's memory."""
    chat = with_memory(model, memory, session="graph")

    def answer(state: State) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"])]}

    def note(state: State, runtime: Runtime[None]) -> dict[str, Any]:
        assert runtime.store is not None
        asked = [message for message in state["messages"] if message.type == "human"]
        runtime.store.put(("topics",), f"{len(asked)}", {"text": str(asked[-1].text)})
        return {}

    graph = StateGraph(State)
    graph.add_node("answer", answer)
    graph.add_node("note", note)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "note")
    graph.add_edge("note", END)
    return graph.compile(store=MemoryStore(memory))


def main() -> None:
    """Two conversations; the second knows the first."""
    from memory_agent.models.chat import load_chat_model

    with Memory.open("graph-memory", user="ana") as memory:
        graph = build(memory, load_chat_model(sys.argv[1] if len(sys.argv) > 1 else "local", memory.space.settings))
        for text in ("My cat is called Tango.", "What is my cat called?"):
            print(graph.invoke({"messages": [("human", text)]})["messages"][-1].text)
        print(memory.consolidate().facts_added)


if __name__ == "__main__":
    main()
