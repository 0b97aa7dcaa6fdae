"""langchain-tests' own suites over our classes; nothing of them is overridden but what they ask to be told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.stores import BaseStore
from langchain_core.tools import BaseTool
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import (
    BaseStoreAsyncTests,
    BaseStoreSyncTests,
    ChatModelIntegrationTests,
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests, ToolsUnitTests

from memory_agent import Memory, Settings
from memory_agent.integrations.langchain import (
    DistilledChatModel,
    MemoryByteStore,
    MemoryKeyValueStore,
    MemoryRetriever,
    MemoryVectorStore,
    memory_tools,
)
from memory_agent.models.embedders import LocalEmbeddings
from memory_agent.models.local import LocalChatModel, LocalModel
from memory_agent.testing import HashEmbedder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open("memory://", user="alice", embedder=HashEmbedder(64)) as opened:
        yield opened


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _opened(self, memory: Memory) -> None:
        memory.add([{"role": "user", "content": f"apple {n}"} for n in range(5)])
        type(self).memory = memory  # type: ignore[attr-defined]

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return MemoryRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"memory": self.memory}  # type: ignore[attr-defined]

    @property
    def retriever_query_example(self) -> str:
        return "apple"


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, memory: Memory) -> VectorStore:  # type: ignore[override]
        return MemoryVectorStore(memory, embedding=self.get_embeddings())


class TestKeyValueStore(BaseStoreSyncTests[Any]):
    @pytest.fixture
    def kv_store(self, memory: Memory) -> BaseStore[str, Any]:
        return MemoryKeyValueStore(memory)

    @pytest.fixture
    def three_values(self) -> tuple[Any, Any, Any]:
        return {"a": [1, None]}, "two", 3.5


class TestKeyValueStoreAsync(BaseStoreAsyncTests[Any]):
    @pytest.fixture
    def kv_store(self, memory: Memory) -> BaseStore[str, Any]:
        return MemoryKeyValueStore(memory)

    @pytest.fixture
    def three_values(self) -> tuple[Any, Any, Any]:
        return {"a": [1, None]}, "two", 3.5


class TestByteStore(BaseStoreSyncTests[bytes]):
    @pytest.fixture
    def kv_store(self, memory: Memory) -> BaseStore[str, bytes]:
        return MemoryByteStore(memory)

    @pytest.fixture
    def three_values(self) -> tuple[bytes, bytes, bytes]:
        return b"\x00\xff", b"", "schön".encode()


class _Tool:
    """One of the memory's tools, with what it may be called with."""

    @pytest.fixture(autouse=True)
    def _opened(self, memory: Memory) -> None:
        memory.add([{"role": "user", "content": "I live in Porto.", "id": "t1"}])
        type(self).memory = memory  # type: ignore[attr-defined]

    @property
    def tool_constructor(self) -> BaseTool:
        (tool,) = [tool for tool in memory_tools(self.memory) if tool.name == "search_memory"]  # type: ignore[attr-defined]
        return tool

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "Porto"}


class TestToolUnit(_Tool, ToolsUnitTests):
    pass


class TestTool(_Tool, ToolsIntegrationTests):
    pass


class _Embeddings:
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return LocalEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"settings": Settings()}


class TestEmbeddingsUnit(_Embeddings, EmbeddingsUnitTests):
    pass


class TestEmbeddings(_Embeddings, EmbeddingsIntegrationTests):
    pass


class _Student:
    """The random student of two layers: what is held to the contract is the class, not what it knows."""

    folder: Path

    @pytest.fixture(scope="class", autouse=True)
    def _student(self, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
        from students import tiny_student

        request.cls.folder = tiny_student(tmp_path_factory.mktemp("student"))

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False


class TestLocalChatModelUnit(_Student, ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return LocalChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"local": LocalModel.load(Settings(student=str(self.folder)))}


class _Distilled(_Student):
    @pytest.fixture(autouse=True)
    def _opened(self) -> Iterator[None]:
        with Memory.open("memory://", user="alice", embedder=HashEmbedder(64), settings=self.told()) as opened:
            type(self).memory = opened  # type: ignore[attr-defined]
            yield

    def told(self) -> Settings:
        return Settings(student=str(self.folder))

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return DistilledChatModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"memory": self.memory, "max_new_tokens": 4}  # type: ignore[attr-defined]


class TestDistilledChatModelUnit(_Distilled, ChatModelUnitTests):
    pass


@pytest.mark.model
class TestDistilledChatModel(_Distilled, ChatModelIntegrationTests):
    """With the real student: it has to say something."""

    def told(self) -> Settings:
        return Settings()
