"""The names the package promises, and that its two faces stay level."""

from __future__ import annotations

import inspect

import memory_agent
from memory_agent import AsyncMemory, Memory
from memory_agent.aio import AsyncBlocks, AsyncPrivacy, AsyncRetention, AsyncReview
from memory_agent.faces import Blocks, Privacy, Retention, Review

OWN_TO_ONE_FACE = {"space", "memory"}


def test_all_is_what_is_there() -> None:
    assert memory_agent.__all__ == sorted(memory_agent.__all__)
    for name in memory_agent.__all__:
        assert getattr(memory_agent, name) is not None


def test_every_call_has_an_async_twin_of_the_same_signature() -> None:
    def calls(face: type) -> set[str]:
        return {name for name in vars(face) if not name.startswith("_")} - OWN_TO_ONE_FACE

    grouped = ((Blocks, AsyncBlocks), (Retention, AsyncRetention), (Review, AsyncReview), (Privacy, AsyncPrivacy))
    for face, twin in ((Memory, AsyncMemory), *grouped):
        assert calls(face) == calls(twin)
        for name in calls(face) - {"open"}:
            method = getattr(twin, name)
            assert inspect.iscoroutinefunction(method), name
            assert inspect.signature(method) == inspect.signature(getattr(face, name)), name
