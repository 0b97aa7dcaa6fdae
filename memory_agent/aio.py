"""AsyncMemory: the same face for asyncio, a thin bridge that runs each call in a thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from memory_agent.faces import Blocks, Privacy, Retention, Review
from memory_agent.memory import Memory

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F")


def _bridge(method: Callable[Concatenate[F, P], T]) -> Callable[Concatenate[_Bridge[F], P], Coroutine[Any, Any, T]]:
    """The twin of `method` that runs it in a thread, so that the event loop is never held."""

    @functools.wraps(method)
    async def call(self: _Bridge[F], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self._face, *args, **kwargs)

    return call


class _Bridge(Generic[F]):
    """An asyncio face over a synchronous one."""

    def __init__(self, face: F) -> None:
        self._face = face


class AsyncBlocks(_Bridge[Blocks]):
    """The blocks of a memory for asyncio: the same calls, awaited."""

    put = _bridge(Blocks.put)
    all = _bridge(Blocks.all)
    get = _bridge(Blocks.get)
    history = _bridge(Blocks.history)
    append = _bridge(Blocks.append)
    replace = _bridge(Blocks.replace)
    rethink = _bridge(Blocks.rethink)


class AsyncRetention(_Bridge[Retention]):
    """What expires and what is kept, for asyncio."""

    expire = _bridge(Retention.expire)
    keep = _bridge(Retention.keep)


class AsyncReview(_Bridge[Review]):
    """What waits for a person, for asyncio."""

    waiting = _bridge(Review.waiting)
    approve = _bridge(Review.approve)
    reject = _bridge(Review.reject)


class AsyncPrivacy(_Bridge[Privacy]):
    """What a person may ask for, for asyncio."""

    export = _bridge(Privacy.export)
    erase = _bridge(Privacy.erase)


class AsyncMemory(_Bridge[Memory]):
    """Memory for asyncio: the same calls, awaited. `async with await AsyncMemory.open(...)`."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.memory = memory
        self.blocks = AsyncBlocks(memory.blocks)
        self.retention = AsyncRetention(memory.retention)
        self.review = AsyncReview(memory.review)
        self.privacy = AsyncPrivacy(memory.privacy)

    @classmethod
    async def open(cls, *args: Any, **kwargs: Any) -> AsyncMemory:
        """As `Memory.open`."""
        return cls(await asyncio.to_thread(functools.partial(Memory.open, *args, **kwargs)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    close = _bridge(Memory.close)
    add = _bridge(Memory.add)
    consolidate = _bridge(Memory.consolidate)
    search = _bridge(Memory.search)
    facts = _bridge(Memory.facts)
    graph = _bridge(Memory.graph)
    get = _bridge(Memory.get)
    explain = _bridge(Memory.explain)
    history = _bridge(Memory.history)
    update = _bridge(Memory.update)
    forget = _bridge(Memory.forget)
    summaries = _bridge(Memory.summaries)
    merge = _bridge(Memory.merge)
    split = _bridge(Memory.split)
    verify = _bridge(Memory.verify)
    context = _bridge(Memory.context)
    ask = _bridge(Memory.ask)
    distill = _bridge(Memory.distill)
    audit = _bridge(Memory.audit)
    check = _bridge(Memory.check)
