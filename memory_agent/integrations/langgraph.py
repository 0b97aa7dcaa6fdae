"""`MemoryStore`: LangGraph's long-term store over a user's memory, durable and exact.

    graph = builder.compile(store=MemoryStore(memory))

Everything put is given back as it was (values are JSON; what JSON would change is refused), is found by a search
at once, and goes when its time is over or its user is forgotten. All namespaces of a store lie in the one space that
`memory` is bound to; they order what an application keeps and are no borders between users of the library.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from memory_agent.errors import InvalidInput, MissingExtra
from memory_agent.items import Collection, Delete, Put
from memory_agent.memory import Memory
from memory_agent.models.embedders import Embedder
from memory_agent.records import Item as Kept

try:
    from langgraph.store.base import (
        BaseStore,
        GetOp,
        IndexConfig,
        Item,
        ListNamespacesOp,
        MatchCondition,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        TTLConfig,
        ensure_embeddings,
        get_text_at_path,
        tokenize_path,
    )
except ImportError as error:
    raise MissingExtra("MemoryStore", "langgraph") from error

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

WHOLE = "$"
"""The path that stands for a value as a whole."""


class MemoryStore(BaseStore):
    """A LangGraph `BaseStore` over one memory: namespaces, filters, pages, TTL, search by meaning."""

    supports_ttl = True

    def __init__(
        self,
        memory: Memory,
        *,
        index: IndexConfig | Literal[False] | None = None,
        ttl: TTLConfig | None = None,
        collection: str = "langgraph",
    ) -> None:
        """`index` says what is embedded of a value and with what; by default all of it, with the memory's embedder.

        False switches search by meaning off. `ttl` holds defaults in minutes; what is over is never given back,
        and `sweep_ttl` deletes it. Stores of different `collection`s do not see each other.
        """
        self.memory = memory
        self.ttl_config = ttl
        config: Mapping[str, Any] = index or {}
        self.index_config = index or None
        """What it was told of `index`, as LangGraph's own stores keep it."""
        self._indexed = index is not False
        self._fields: list[str] = list(config.get("fields") or [WHOLE])
        own = config.get("embed")
        self.embeddings: Embeddings | None = None
        if self._indexed:
            self.embeddings = memory.space.embedder.embeddings if own is None else ensure_embeddings(own)
        embedder = None
        if own is not None and self.embeddings is not None:
            named = getattr(own, "__qualname__", None) or type(own).__qualname__
            embedder = Embedder(self.embeddings, f"{named}/{config.get('dims', '')}")
        self._items = Collection(memory.space, collection, embedder)

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Carry operations out: reads first, of what stood before, then all writes in one transaction."""
        listed = list(ops)
        results: list[Result] = [self._read(op) for op in listed]
        self._items.write(self._change(op) for op in listed if isinstance(op, PutOp))
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`, without holding the event loop."""
        return await asyncio.to_thread(self.batch, list(ops))

    def sweep_ttl(self) -> int:
        """Delete what is over; how many items went."""
        return self._items.sweep()

    def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            (found,) = self._items.get([(op.namespace, op.key)], refresh=op.refresh_ttl)
            return None if found is None else Item(**_fields(found))
        if isinstance(op, SearchOp):
            return self._search(op)
        if isinstance(op, ListNamespacesOp):
            return self._namespaces(op)
        if isinstance(op, PutOp):
            return None
        raise InvalidInput(f"a store knows no operation {type(op).__name__}")

    def _search(self, op: SearchOp) -> list[SearchItem]:
        if op.limit < 0 or op.offset < 0:
            raise InvalidInput(f"limit {op.limit}, offset {op.offset}: neither may be negative")
        conditions = op.filter or {}
        found = self._items.select(
            tuple(op.namespace_prefix),
            keep=(lambda item: all(_fits(_at(item.value, key), wanted) for key, wanted in conditions.items()))
            if conditions
            else None,
            query=op.query if self._indexed else None,
            limit=op.limit,
            offset=op.offset,
            refresh=op.refresh_ttl,
        )
        return [SearchItem(**_fields(item), score=score) for item, score in found]

    def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        found = {
            namespace if op.max_depth is None else namespace[: op.max_depth]
            for namespace in self._items.namespaces()
            if all(_matches(condition, namespace) for condition in op.match_conditions or ())
        }
        return sorted(found)[op.offset : op.offset + op.limit]

    def _change(self, op: PutOp) -> Put | Delete:
        if op.value is None:
            return Delete(op.namespace, op.key)
        return Put(op.namespace, op.key, op.value, self._texts(op), op.ttl)

    def _texts(self, op: PutOp) -> dict[str, str]:
        """What is embedded of a value, by its path; a path that leads to several texts gives one for each."""
        if not self._indexed or op.index is False:
            return {}
        found: dict[str, str] = {}
        for path in self._fields if op.index is None else op.index:
            try:
                texts = get_text_at_path(op.value, path if path == WHOLE else tokenize_path(path))
            except (TypeError, ValueError) as error:
                raise InvalidInput(f"item {op.key!r}: nothing can be embedded of {path}: {error}") from error
            named: Sequence[str] = [path] if len(texts) == 1 else [f"{path}.{n}" for n in range(len(texts))]
            found.update(zip(named, texts, strict=True))
        return {name: text for name, text in found.items() if text}


def _fields(item: Kept) -> dict[str, Any]:
    return {
        "namespace": item.namespace,
        "key": item.key,
        "value": dict(item.value),
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }


def _matches(condition: MatchCondition, namespace: tuple[str, ...]) -> bool:
    """Whether a namespace begins (or ends) with a path, in which "*" stands for any label."""
    path = condition.path
    if len(namespace) < len(path):
        return False
    labels = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(wanted in ("*", label) for label, wanted in zip(labels, path, strict=True))


_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, bound: value > bound,
    "$gte": lambda value, bound: value >= bound,
    "$lt": lambda value, bound: value < bound,
    "$lte": lambda value, bound: value <= bound,
}


def _at(value: Mapping[str, Any], key: str) -> Any:
    """What stands under a key, or under the path that its dots make; None where nothing does."""
    if key in value or "." not in key:
        return value.get(key)
    head, _, rest = key.partition(".")
    inner = value.get(head)
    return _at(inner, rest) if isinstance(inner, Mapping) else None


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is equal to `wanted`, or within the bounds of its operators.

    Values of kinds that have no order between them are in no bounds. Raises InvalidInput for an unknown operator.
    """
    if isinstance(wanted, Mapping) and any(str(key).startswith("$") for key in wanted):
        return all(_within(value, operator, bound) for operator, bound in wanted.items())
    if isinstance(wanted, Mapping):
        return isinstance(value, Mapping) and all(_fits(_at(value, key), inner) for key, inner in wanted.items())
    return _equal(value, wanted)


def _within(value: Any, operator: str, bound: Any) -> bool:
    if operator == "$eq":
        return _equal(value, bound)
    if operator == "$ne":
        return not _equal(value, bound)
    if operator not in _ORDERS:
        raise InvalidInput(f"a filter knows no operator {operator!r}; there are $eq, $ne, {', '.join(_ORDERS)}")
    try:
        return value is not None and _ORDERS[operator](value, bound)
    except TypeError:
        return False


def _equal(value: Any, wanted: Any) -> bool:
    """Equal as JSON has it: true is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
