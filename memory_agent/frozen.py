"""What every value that layers pass around is: frozen, and strict about its fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Base of everything here: frozen, strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
