"""What a run of a paid model may cost, and answers kept so that nothing is paid for twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_agent.errors import BudgetSpent, InvalidInput
from memory_agent.folders import whole_file

ANSWERS = "answers"
"""Folder, in a space's own, of answers kept by `Answers`; forgetting anything clears it."""
_MILLION = 1_000_000


@dataclass
class Budget:
    """Most tokens, or most money, that an extractor may spend; prices are per million tokens, in any one currency.

    It is checked before each call, so the last one may go over by what a single call costs. Make one for each run.
    """

    tokens: int | None = None
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0
    spent_tokens: int = 0
    spent_money: float = 0.0

    def __post_init__(self) -> None:
        if self.money is not None and not (self.price_in or self.price_out):
            raise InvalidInput("a budget in money needs price_in and price_out, per million tokens")

    def check(self) -> None:
        """Raise BudgetSpent when nothing is left."""
        if self.tokens is not None and self.spent_tokens >= self.tokens:
            raise BudgetSpent(f"{self.spent_tokens} of {self.tokens} tokens are spent; consolidate again with more")
        if self.money is not None and self.spent_money >= self.money:
            raise BudgetSpent(f"{self.spent_money:.4f} of {self.money:g} is spent; consolidate again with more")

    def charge(self, usage: Any, asked: str, answered: str) -> None:
        """Count one call: by the server's `usage`, else by a token for four characters."""
        told = usage or {}
        read = int(told.get("input_tokens") or len(asked) // 4 + 1)
        written = int(told.get("output_tokens") or len(answered) // 4 + 1)
        self.spent_tokens += read + written
        self.spent_money += (read * self.price_in + written * self.price_out) / _MILLION


class Answers:
    """Usable answers by what was asked, in a folder; the same turns, asked of the same model, cost once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, asked: str) -> Path:
        return self._folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.txt"

    def get(self, asked: str) -> str | None:
        """The answer to the same question, or None."""
        path = self._path(asked)
        return path.read_text(encoding="utf-8") if path.exists() else None

    def put(self, asked: str, answer: str) -> None:
        """Keep an answer; a killed write leaves none."""
        whole_file(self._path(asked), answer)

    def keep_only(self, asked: Iterable[str]) -> None:
        """Delete every answer to anything else, and what killed writes left."""
        kept = {self._path(each) for each in asked}
        for path in self._folder.iterdir():
            if path not in kept:
                path.unlink(missing_ok=True)
