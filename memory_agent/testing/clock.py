"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """A `Clock` for tests: `now()` is the same instant until `tick` or `set` is called."""

    def __init__(self, at: datetime | str = "2024-01-01T12:00:00+00:00") -> None:
        """Start at `at`, an aware datetime or ISO text. Raises ValueError on one without a zone."""
        self.set(at)

    def now(self) -> datetime:
        return self._now

    def set(self, at: datetime | str) -> None:
        """Stand at `at`. Raises ValueError when it has no zone."""
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        if moment.tzinfo is None:
            raise ValueError(f"{moment} needs its zone, e.g. {moment.isoformat()}+00:00")
        self._now = moment.astimezone(UTC)

    def tick(self, seconds: float = 1.0) -> datetime:
        """Move on by `seconds` and return the new time."""
        self._now += timedelta(seconds=seconds)
        return self._now
