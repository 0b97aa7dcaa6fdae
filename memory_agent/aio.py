"""AsyncMemory: the same face for asyncio, a thin bridge that runs each call in a thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from memory_agent.memory import Memory

P = ParamSpec("P")
T = TypeVar("T")


def _bridge(
    method: Callable[Concatenate[Memory, P], T],
) -> Callable[Concatenate[AsyncMemory, P], Coroutine[Any, Any, T]]:
    """The method of AsyncMemory that runs `method` in a thread, so that the event loop is never held."""

    @functools.wraps(method)
    async def call(self: AsyncMemory, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.to_thread(method, self.memory, *args, **kwargs)

    return call


class AsyncMemory:
    """Memory for asyncio: the same calls, awaited. `async with await AsyncMemory.open(...)`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

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
    context = _bridge(Memory.context)
    ask = _bridge(Memory.ask)
    distill = _bridge(Memory.distill)
    check = _bridge(Memory.check)
