"""Items: values that applications keep under a namespace and a key, found again exactly, by filter, or by meaning.

An item lies in the ledger like any record: durable when put, gone with its user, readable by nobody
else. It is no evidence: nothing of it is read into the graph. Vectors lie beside the value in the
same row, so that the two cannot drift apart; a search compares them all (cosine, exact), which suits
the thousands of items an agent keeps and not millions.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from memory_agent.errors import InvalidInput
from memory_agent.protocols import Query, Vectors
from memory_agent.records import Item
from memory_agent.space import Space

if TYPE_CHECKING:
    from memory_agent.models.embedders import Embedder

Namespace = tuple[str, ...]


@dataclass(frozen=True)
class Put:
    """Keep `value`, replacing what stood there; `texts` is what a search by meaning compares, by a name for each.

    `ttl` is in minutes; None keeps it for ever.
    """

    namespace: Namespace
    key: str
    value: Mapping[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)
    ttl: float | None = None


@dataclass(frozen=True)
class Delete:
    """Delete what stands there; nothing when nothing does."""

    namespace: Namespace
    key: str


class Collection:
    """The items of one application in a space. Other collections of the space are not seen."""

    def __init__(self, space: Space, name: str, embedder: Embedder | None = None) -> None:
        """`embedder` makes the vectors of texts; by default the space's own."""
        self._space = space
        self.name = name
        self._embedder = embedder or space.embedder

    def write(self, changes: Iterable[Put | Delete]) -> None:
        """Carry out all changes or none; durable when it returns. Of two for one key the last stands.

        Raises InvalidInput for a value that is not JSON or a ttl that is not positive, before anything is
        written, and the embedder's own errors.
        """
        last = {(change.namespace, change.key): change for change in changes}
        if not last:
            return
        puts = [change for change in last.values() if isinstance(change, Put)]
        values = [_checked(put) for put in puts]
        ids = {place: self._id(*place) for place in last}
        encoded = self._encode([text for put in puts for text in put.texts.values()])
        with self._space.ledger.transaction(wait=self._space.settings.lock_wait) as tx:
            now = self._space.clock.now()
            held = {item.id: item for item in tx.select(Item, Query(ids=list(ids.values())))}
            gone = [id for place, id in ids.items() if isinstance(last[place], Delete) and id in held]
            if gone:
                tx.delete(Item, gone)
                tx.audit("item.delete", gone, actor=self.name)
            items = []
            for put, value in zip(puts, values, strict=True):
                id = ids[put.namespace, put.key]
                old = held.get(id)
                items.append(
                    Item(
                        id=id,
                        collection=self.name,
                        namespace=put.namespace,
                        key=put.key,
                        value=value,
                        created_at=old.created_at if old is not None and not _is_over(old, now) else now,
                        updated_at=now,
                        ttl=put.ttl,
                        expires_at=_expiry(put.ttl, now),
                        texts=dict(put.texts),
                        vectors={name: encoded[text] for name, text in put.texts.items()},
                        embedder=self._embedder.name if put.texts else "",
                    )
                )
            if items:
                tx.put(*items)
                tx.audit("item.put", [item.id for item in items], actor=self.name)

    def get(self, places: Sequence[tuple[Namespace, str]], *, refresh: bool = True) -> list[Item | None]:
        """What stands under each (namespace, key), or None; `refresh` lets an item with a ttl live on from now."""
        ids = [self._id(*place) for place in places]
        now = self._space.clock.now()
        held = {item.id: item for item in self._space.ledger.select(Item, Query(ids=ids)) if not _is_over(item, now)}
        if refresh:
            self._refresh(held.values(), now)
        return [held.get(id) for id in ids]

    def select(
        self,
        prefix: Namespace = (),
        *,
        keep: Callable[[Item], bool] | None = None,
        query: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        refresh: bool = False,
    ) -> list[tuple[Item, float | None]]:
        """Items under a namespace, each with its score where `query` ranks them.

        With a query: by the greatest cosine of any of an item's texts, best first, then those that have none.
        Without: in the order they were last written. `keep` filters before anything is ranked.
        """
        now = self._space.clock.now()
        found = [item for item in self._under(prefix) if not _is_over(item, now) and (keep is None or keep(item))]
        unranked: list[tuple[Item, float | None]] = [(item, None) for item in found]
        page = (self._ranked(found, query) if query else unranked)[offset : None if limit is None else offset + limit]
        if refresh:
            self._refresh((item for item, _ in page), now)
        return page

    def namespaces(self) -> set[Namespace]:
        """Every namespace that holds something."""
        now = self._space.clock.now()
        return {item.namespace for item in self._under(()) if not _is_over(item, now)}

    def sweep(self) -> int:
        """Delete what is past its time (no read gives it any more); how many went."""
        now = self._space.clock.now()
        where = {"collection": self.name, "expiring": 1}
        with self._space.ledger.transaction(wait=self._space.settings.lock_wait) as tx:
            over = [item.id for item in tx.select(Item, Query(where=where)) if _is_over(item, now)]
            if over:
                tx.delete(Item, over)
                tx.audit("item.expire", over, actor=self.name)
        return len(over)

    def _id(self, namespace: Namespace, key: str) -> str:
        told = json.dumps([self.name, *namespace, key], ensure_ascii=True)
        return f"item:{hashlib.sha256(told.encode()).hexdigest()[:32]}"

    def _under(self, prefix: Namespace) -> list[Item]:
        where: dict[str, object] = {"collection": self.name}
        where.update(zip(("first", "second"), prefix, strict=False))
        found = self._space.ledger.select(Item, Query(where=where))
        return [item for item in found if item.namespace[: len(prefix)] == prefix]

    def _refresh(self, items: Iterable[Item], now: datetime) -> None:
        read = [item.id for item in items if item.ttl is not None]
        if not read:
            return
        with self._space.ledger.transaction(wait=self._space.settings.lock_wait) as tx:
            fresh = [item for item in tx.select(Item, Query(ids=read)) if not _is_over(item, now)]
            if fresh:
                tx.put(*(item.model_copy(update={"expires_at": _expiry(item.ttl, now)}) for item in fresh))

    def _ranked(self, items: Sequence[Item], query: str) -> list[tuple[Item, float | None]]:
        """Best cosine first; a tie, and what has no vector, in the order of writing."""
        asked = self._embedder.embed_query(query)
        scored: list[tuple[Item, float]] = []
        rest: list[tuple[Item, float | None]] = []
        level = self._level(items)
        rows = [_decode(vector) for item in level for vector in item.vectors.values()]
        cosines = iter((np.stack(rows) @ asked).tolist() if rows else [])
        for item in level:
            own = [float(next(cosines)) for _ in item.vectors]
            if own:
                scored.append((item, max(own)))
            else:
                rest.append((item, None))
        scored.sort(key=lambda pair: -pair[1])
        return [*scored, *rest]

    def _level(self, items: Sequence[Item]) -> list[Item]:
        """The items with vectors of today's embedder; those of another one are embedded anew, and kept so."""
        stale = [item for item in items if item.texts and item.embedder != self._embedder.name]
        if not stale:
            return list(items)
        encoded = self._encode([text for item in stale for text in item.texts.values()])
        mended = {
            item.id: item.model_copy(
                update={
                    "vectors": {name: encoded[text] for name, text in item.texts.items()},
                    "embedder": self._embedder.name,
                }
            )
            for item in stale
        }
        with self._space.ledger.transaction(wait=self._space.settings.lock_wait) as tx:
            now_there = tx.select(Item, Query(ids=list(mended)))
            tx.put(*(mended[item.id] for item in now_there if item.updated_at == mended[item.id].updated_at))
        return [mended.get(item.id, item) for item in items]

    def _encode(self, texts: Sequence[str]) -> dict[str, str]:
        """The vector of each text, as it is stored."""
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return {}
        vectors = self._embedder.embed(distinct)
        return {
            text: base64.b64encode(vector.astype("<f4").tobytes()).decode()
            for text, vector in zip(distinct, vectors, strict=True)
        }


def _decode(stored: str) -> Vectors:
    return np.frombuffer(base64.b64decode(stored), dtype="<f4").astype(np.float32)


def _checked(put: Put) -> dict[str, Any]:
    """The value as JSON gives it back, which must be what was put. Raises InvalidInput."""
    where = f"item {put.key!r}"
    if put.ttl is not None and not 0 < put.ttl < 10**9:
        raise InvalidInput(f"{where}: a ttl of {put.ttl} minutes; it must be positive")
    try:
        text = json.dumps(dict(put.value), allow_nan=False, ensure_ascii=False)
        "\n".join((text, put.key, *put.namespace)).encode()
        value: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{where}: the value must be JSON, so that it can be given back as it is: {error}"
        ) from error
    if value != put.value:
        raise InvalidInput(f"{where}: JSON would not give the value back as it is (a tuple, or a key that is no text)")
    return value


def _expiry(ttl: float | None, now: datetime) -> datetime | None:
    return None if ttl is None else now + timedelta(minutes=ttl)


def _is_over(item: Item, now: datetime) -> bool:
    return item.expires_at is not None and item.expires_at <= now
