"""What memory finds, as langchain documents."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from memory_agent.memory import Memory
from memory_agent.records import Episode, Hit


class MemoryRetriever(BaseRetriever):
    """Retrieves turns and facts of one user's memory, best first.

    `kinds` chooses "episode", "fact" or both. A document's id is the record's, its metadata says kind, score,
    time and source.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    memory: Memory
    k: int = 10
    kinds: tuple[str, ...] = ("episode", "fact")

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, k: int | None = None
    ) -> list[Document]:
        found = self.memory.search(query, limit=self.k if k is None else k, kinds=self.kinds)
        return [document_of(hit) for hit in found.hits]


def document_of(hit: Hit) -> Document:
    """A hit as a document."""
    record = hit.record
    about: dict[str, Any] = {"id": record.id, "kind": record.kind, "score": hit.score}
    if isinstance(record, Episode):
        about |= {
            "session": record.session,
            "speaker": record.speaker,
            "role": record.role,
            "at": record.at.isoformat(),
        }
        return Document(id=record.id, page_content=record.content, metadata=about)
    about |= {
        "subject": record.subject,
        "predicate": record.predicate,
        "object": record.object,
        "status": record.status,
        "valid_from": record.valid_from,
        "valid_to": record.valid_to,
        "sources": [source.episode_id for source in record.sources],
    }
    return Document(id=record.id, page_content=record.text, metadata=about)
