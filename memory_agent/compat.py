"""mem0's calls over this library, so that a mem0 user changes one import.

    from memory_agent.compat import Memory as Mem0

    m = Mem0()
    m.add("I live in Porto.", user_id="alice")
    m.search("Where does Alice live?", user_id="alice")["results"]

What differs, because it must: nothing is sent to a model (facts are read offline); a changed fact closes the old one
instead of standing beside it; ids name their user, so that `get`, `update` and `delete` need no scope and still cannot
reach another's. `user_id` is required wherever mem0 takes one of three: agents and runs are within a user here
(`run_id` is the session, `agent_id` who speaks as the assistant).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any
from urllib.parse import quote, unquote

from langchain_core.embeddings import Embeddings

from memory_agent import memory as ours
from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, NotFound, ScopeRequired
from memory_agent.memories import Memories
from memory_agent.records import Episode, Fact, Stored, Turn

Result = dict[str, Any]


class Memory:
    """mem0's `Memory`, over one store of many users."""

    def __init__(
        self,
        store: str | PathLike[str] | None = None,
        *,
        embedder: Embeddings | None = None,
        settings: Settings | None = None,
    ) -> None:
        """`store` is a path or URL, by default the settings'."""
        self._memories = Memories(store, embedder=embedder, settings=settings)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Memory:
        """From mem0's configuration; only `vector_store.config.path` means something here. Raises InvalidInput."""
        path = (config.get("vector_store") or {}).get("config", {}).get("path")
        if path is None:
            raise InvalidInput("say where: {'vector_store': {'config': {'path': './memory'}}}; or Memory('./memory')")
        return cls(path)

    def add(
        self,
        messages: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        infer: bool = True,
    ) -> Result:
        """Take messages in; with `infer` what they say is read into facts, and the facts are the results.

        Raises ScopeRequired without a user, InvalidInput.
        """
        memory = self._of(user_id, agent_id)
        turns = [_turn(message, run_id, metadata) for message in _messages(messages)]
        report = memory.add(turns)
        if not infer:
            return {"results": [_event(memory, id, "ADD") for id in report.added]}
        learnt = memory.consolidate()
        events = [(learnt.facts_added, "ADD"), (learnt.facts_changed, "UPDATE"), (learnt.facts_closed, "DELETE")]
        seen: dict[str, str] = {}
        for ids, event in events:
            seen.update(dict.fromkeys(ids, event))
        return {"results": [_event(memory, id, event) for id, event in seen.items()]}

    def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
    ) -> Result:
        """Facts and turns for a query, best first. `filters` may name the scope, and metadata that must be equal."""
        user_id, run_id, wanted = _scope(user_id, run_id, filters)
        memory = self._of(user_id, agent_id)
        found = memory.search(query, limit=limit, session=run_id)
        hits = [hit for hit in found.hits if threshold is None or hit.score >= threshold]
        shown = [{**_shown(memory, hit.record), "score": hit.score} for hit in hits]
        return {"results": [each for each in shown if _has(each, wanted)]}

    def get_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
        filters: Mapping[str, Any] | None = None,
    ) -> Result:
        """Everything that is held to be true of a user, and the turns that were not read yet (`infer=False`)."""
        user_id, run_id, wanted = _scope(user_id, run_id, filters)
        memory = self._of(user_id, agent_id)
        facts: list[Fact] = memory.facts()
        turns = memory.space.ledger.select(Episode)
        sessions = {turn.id: turn.session for turn in turns}
        records: list[Stored] = [
            fact for fact in facts if run_id is None or any(sessions.get(s.episode_id) == run_id for s in fact.sources)
        ]
        records += [turn for turn in turns if turn.run is None and run_id in (None, turn.session)]
        shown = [_shown(memory, record) for record in records]
        return {"results": [each for each in shown if _has(each, wanted)][:limit]}

    def get(self, memory_id: str) -> Result | None:
        """One memory, or None."""
        memory, id = self._named(memory_id)
        try:
            return _shown(memory, memory.get(id))
        except NotFound:
            return None

    def update(self, memory_id: str, data: str) -> Result:
        """Put a memory right: a fact's object, or a turn's text. Raises NotFound."""
        memory, id = self._named(memory_id)
        if isinstance(memory.get(id), Fact):
            memory.update(id, object=data)
        else:
            memory.update(id, content=data)
        return {"message": "Memory updated successfully!"}

    def delete(self, memory_id: str) -> Result:
        """Forget a memory everywhere. Raises NotFound."""
        memory, id = self._named(memory_id)
        memory.forget(id, reason="deleted through the mem0 facade")
        return {"message": "Memory deleted successfully!"}

    def delete_all(self, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None) -> Result:
        """Forget everything of a user, or of one run of theirs. Raises ScopeRequired without a user."""
        memory = self._of(user_id, agent_id)
        what = f"session:{run_id}" if run_id else f"user:{memory.space.user}"
        memory.forget(what, reason="deleted through the mem0 facade")
        return {"message": "Memories deleted successfully!"}

    def history(self, memory_id: str) -> list[Result]:
        """Every version of a memory, oldest first."""
        memory, id = self._named(memory_id)
        versions = memory.history(id)
        changes: list[Result] = []
        for n, version in enumerate(versions):
            before = _text(versions[n - 1]) if n else None
            changes.append(
                {
                    "id": f"{memory_id}@{n + 1}",
                    "memory_id": memory_id,
                    "old_memory": before,
                    "new_memory": _text(version),
                    "event": "UPDATE" if n else "ADD",
                    "created_at": _at(version),
                }
            )
        return changes

    def reset(self) -> None:
        """Forget every user of the tenant."""
        for user in self._memories.users():
            self._of(user, None).forget(f"user:{user}", reason="reset through the mem0 facade")

    def close(self) -> None:
        """Let go of the store."""
        self._memories.close()

    def _of(self, user_id: str | None, agent_id: str | None) -> ours.Memory:
        if not user_id:
            raise ScopeRequired("user_id is required: agents and runs are within a user here")
        return self._memories.of(user_id, agent=agent_id)

    def _named(self, memory_id: str) -> tuple[ours.Memory, str]:
        user, slash, id = memory_id.partition("/")
        if not slash or not user or not id:
            raise NotFound(f"no memory {memory_id!r}; take ids as add, search and get_all give them")
        return self._of(unquote(user), None), id


def _messages(messages: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    return [messages] if isinstance(messages, Mapping) else list(messages)


def _turn(message: Mapping[str, Any], run_id: str | None, metadata: Mapping[str, Any] | None) -> Turn:
    from pydantic import ValidationError

    try:
        return Turn(
            role=message.get("role", "user"),
            content=message["content"],
            speaker=message.get("name"),
            session=run_id,
            metadata=dict(metadata or {}),
        )
    except (KeyError, ValidationError) as error:
        raise InvalidInput(f"a message needs role and content: {error}") from error


def _scope(
    user_id: str | None, run_id: str | None, filters: Mapping[str, Any] | None
) -> tuple[str | None, str | None, dict[str, Any]]:
    """User, run and the rest of `filters`, in which mem0 also takes the scope."""
    rest = dict(filters or {})
    user, run = rest.pop("user_id", None), rest.pop("run_id", None)
    rest.pop("agent_id", None)
    return user_id or user, run_id or run, rest


def _has(shown: Result, wanted: Mapping[str, Any]) -> bool:
    metadata = shown["metadata"] or {}
    return all(name in metadata and metadata[name] == value for name, value in wanted.items())


def _event(memory: ours.Memory, id: str, event: str) -> Result:
    shown = _shown(memory, memory.get(id))
    return {"id": shown["id"], "memory": shown["memory"], "event": event}


def _shown(memory: ours.Memory, record: Stored) -> Result:
    about: Mapping[str, Any] = record.metadata if isinstance(record, Episode) else {}
    if isinstance(record, Fact):
        ids = [source.episode_id for source in record.sources]
        from memory_agent.protocols import Query

        for turn in memory.space.ledger.select(Episode, Query(ids=ids)) if ids else ():
            about = {**about, **turn.metadata}
    return {
        "id": f"{quote(memory.space.user, safe='')}/{record.id}",
        "memory": _text(record),
        "hash": record.digest if isinstance(record, Episode) else None,
        "metadata": dict(about) or None,
        "created_at": _at(record),
        "updated_at": None,
        "user_id": memory.space.user,
    }


def _text(record: Stored) -> str:
    if isinstance(record, Fact):
        return record.text
    return record.content if isinstance(record, Episode) else record.id


def _at(record: Stored) -> str | None:
    when = record.at if isinstance(record, Episode) else record.recorded_at if isinstance(record, Fact) else None
    return None if when is None else when.isoformat()
