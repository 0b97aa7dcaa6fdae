"""LangChain: a retriever, a chat history, `with_memory` around any runnable, tools, a vector store, a key-value store.

The distilled model as a chat model is `DistilledChatModel`. langchain-core is a base dependency, so no extra is needed.
"""

from memory_agent.integrations.distilled import DistilledChatModel
from memory_agent.integrations.langchain.history import MemoryChatHistory
from memory_agent.integrations.langchain.keyvalue import MemoryByteStore, MemoryKeyValueStore
from memory_agent.integrations.langchain.retriever import MemoryRetriever
from memory_agent.integrations.langchain.runnable import with_memory
from memory_agent.integrations.langchain.vectors import MemoryVectorStore
from memory_agent.tools import memory_tools

__all__ = [
    "DistilledChatModel",
    "MemoryByteStore",
    "MemoryChatHistory",
    "MemoryKeyValueStore",
    "MemoryRetriever",
    "MemoryVectorStore",
    "memory_tools",
    "with_memory",
]
