"""A langchain vector store whose documents lie in a user's memory, apart from what was said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from memory_agent.errors import InvalidInput
from memory_agent.items import Collection, Delete, Put
from memory_agent.memory import Memory
from memory_agent.models.embedders import Embedder
from memory_agent.records import Item


class MemoryVectorStore(VectorStore):
    """Documents of one collection, found by meaning: exact cosine over all of them.

    Metadata must be JSON. `filter` takes metadata that must be equal.
    """

    def __init__(self, memory: Memory, collection: str = "documents", embedding: Embeddings | None = None) -> None:
        """`embedding` defaults to the memory's own embedder."""
        embedder = Embedder(embedding, type(embedding).__qualname__) if embedding is not None else memory.space.embedder
        self.memory = memory
        self._embedder = embedder
        self._items = Collection(memory.space, f"langchain.vectors:{collection}", embedder)

    @property
    def embeddings(self) -> Embeddings:
        """What texts are embedded with."""
        return self._embedder.embeddings

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Put texts in, all or none; an id that is there is replaced. Their ids. Raises InvalidInput."""
        told = list(texts)
        metadatas = [{} for _ in told] if metadatas is None else metadatas
        named = [id or uuid4().hex for id in ids] if ids is not None else [uuid4().hex for _ in told]
        if not len(told) == len(metadatas) == len(named):
            raise InvalidInput(
                f"{len(told)} texts, {len(metadatas)} metadatas, {len(named)} ids: say one of each a text"
            )
        self._items.write(
            Put((), id, {"text": text, "metadata": metadata}, {"text": text})
            for id, text, metadata in zip(named, told, metadatas, strict=True)
        )
        return named

    def add_documents(self, documents: list[Document], **kwargs: Any) -> list[str]:
        """Put documents in under `ids`, else under their own, else under new ones."""
        ids = kwargs.pop("ids", None) or [document.id or "" for document in documents]
        texts = [document.page_content for document in documents]
        return self.add_texts(texts, [document.metadata for document in documents], ids=ids, **kwargs)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents of those ids that are there."""
        found = self._items.get([((), id) for id in ids])
        return [_document(item) for item in found if item is not None]

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents; those that are not there are passed over. None deletes all of the collection."""
        gone = [item.key for item, _ in self._items.select()] if ids is None else ids
        self._items.write(Delete((), id) for id in gone)
        return True

    def similarity_search(
        self, query: str, k: int = 4, filter: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Document]:
        """The k documents nearest to `query`, best first."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter)]

    def similarity_search_with_score(
        self, query: str, k: int = 4, filter: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """The same, each with its cosine."""

        def keep(item: Item) -> bool:
            metadata = item.value["metadata"]
            return all(name in metadata and metadata[name] == value for name, value in (filter or {}).items())

        found = self._items.select(query=query, keep=keep, limit=k) if query else self._items.select(keep=keep, limit=k)
        return [(_document(item), score or 0.0) for item, score in found]

    def _select_relevance_score_fn(self) -> Any:
        return lambda cosine: min(max((1 + cosine) / 2, 0.0), 1.0)

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        memory: Memory | None = None,
        collection: str = "documents",
        **kwargs: Any,
    ) -> MemoryVectorStore:
        """A store over `memory`, with these texts in it. Raises InvalidInput without a memory."""
        if memory is None:
            raise InvalidInput("say whose memory: MemoryVectorStore.from_texts(texts, embedding, memory=memory)")
        store = cls(memory, collection, embedding)
        store.add_texts(texts, metadatas, ids=ids)
        return store


def _document(item: Item) -> Document:
    return Document(id=item.key, page_content=item.value["text"], metadata=dict(item.value["metadata"]))
