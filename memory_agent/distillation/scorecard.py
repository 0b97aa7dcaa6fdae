"""Scores with their uncertainty: shares with Wilson intervals, and the card that holds them by kind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from memory_agent.records import Record

Z95 = 1.959964


def wilson(hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a share of `hits` in `n` trials (Wilson, 1927); (0, 1) without trials.

    Raises ValueError when `hits` is no count within `n`.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} is no share")
    if n == 0:
        return 0.0, 1.0
    p, zz = hits / n, z * z
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    # The bounds are exactly 0 and 1 at the ends; rounding must not leave them a hair outside or inside.
    return (0.0 if hits == 0 else max(0.0, middle - half)), (1.0 if hits == n else min(1.0, middle + half))


class Score(Record):
    """A share: `rate` = hits / n, within [low, high] at 95 %."""

    n: int
    hits: int
    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Score:
        """The share of true outcomes; rate 0 where there are none."""
        seen = list(outcomes)
        hits = sum(seen)
        low, high = wilson(hits, len(seen))
        return cls(n=len(seen), hits=hits, rate=hits / len(seen) if seen else 0.0, low=low, high=high)


class Scorecard(Record):
    """What the probes of one shard showed."""

    kinds: Mapping[str, Score] = Field(default_factory=dict)
    measures: Mapping[str, float] = Field(default_factory=dict)
    """Figures that are no shares, such as `perplexity_ratio`."""
    quarantined: tuple[str, ...] = ()
    """Ids of the facts that did not stick: taught, but not counted among what the adapter knows."""
    examples: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """A few "question -> answer" lines of what went wrong, by kind."""
    seconds: float = 0.0

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Scorecard:
        """The scorecard in what an `Adapter` record keeps, which holds more beside it."""
        return cls.model_validate({name: stored[name] for name in cls.model_fields if name in stored})

    def figure(self, name: str) -> float | None:
        """The rate of that kind or the measure of that name; None when it was not probed."""
        score = self.kinds.get(name)
        if score is not None:
            return score.rate if score.n else None
        return self.measures.get(name)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as an `Adapter` record and scorecard.json keep them."""
        return self.model_dump(mode="json")
