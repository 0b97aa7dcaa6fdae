"""langchain's key-value stores over a user's memory: of JSON values, and of bytes (for cached embeddings)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from langchain_core.stores import BaseStore

from memory_agent.items import Collection, Delete, Put
from memory_agent.memory import Memory

V = TypeVar("V")


class _KeyValueStore(BaseStore[str, V], Generic[V]):
    _kind: str

    def __init__(self, memory: Memory, collection: str = "values") -> None:
        self.memory = memory
        self._items = Collection(memory.space, f"langchain.{self._kind}:{collection}")

    def mget(self, keys: Sequence[str]) -> list[V | None]:
        """The value of each key, or None."""
        found = self._items.get([((), key) for key in keys])
        return [None if item is None else self._out(item.value["value"]) for item in found]

    def mset(self, key_value_pairs: Sequence[tuple[str, V]]) -> None:
        """Keep values, all or none. Raises InvalidInput for a value that cannot be given back as it is."""
        self._items.write(Put((), key, {"value": self._in(value)}) for key, value in key_value_pairs)

    def mdelete(self, keys: Sequence[str]) -> None:
        """Delete values; keys that are not there are passed over."""
        self._items.write(Delete((), key) for key in keys)

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The keys that begin with `prefix`."""
        for item, _ in self._items.select():
            if item.key.startswith(prefix or ""):
                yield item.key

    def _in(self, value: V) -> Any:
        return value

    def _out(self, value: Any) -> Any:
        return value


class MemoryKeyValueStore(_KeyValueStore[Any]):
    """JSON values by key."""

    _kind = "values"


class MemoryByteStore(_KeyValueStore[bytes]):
    """Bytes by key."""

    _kind = "bytes"

    def _in(self, value: bytes) -> str:
        return base64.b64encode(value).decode()

    def _out(self, value: str) -> bytes:
        return base64.b64decode(value)
