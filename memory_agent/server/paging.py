"""Cursor paging: a page, and an opaque cursor that names where the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query as Parameter
from pydantic import BaseModel, Field

from memory_agent.protocols import Query, R, Reader
from memory_agent.server.problems import Refusal

T = TypeVar("T")
MOST = 500
Limit = Annotated[int, Parameter(ge=1, le=MOST, description="Most items of the page.")]
Cursor = Annotated[str | None, Parameter(max_length=2000, description="`next` of the page before.")]


class Page(BaseModel, Generic[T]):
    """Items in order, and the cursor of the next page where there is one."""

    items: list[T]
    next: str | None = Field(default=None, description="Send it as `cursor` for the next page; null at the end.")


def rows(reader: Reader, kind: type[R], query: Query, limit: int, cursor: str | None) -> tuple[list[R], str | None]:
    """A page of records in ledger order. A record written again meanwhile moves to the end and may come twice."""
    position, skipped = _read(cursor, (int, int)) if cursor else (0, 0)
    found = reader.select(
        kind,
        Query(where=query.where, since=query.since, until=query.until, after=position - 1, limit=skipped + limit + 1),
    )[skipped:]
    page = found[:limit]
    if len(found) <= limit:
        return page, None
    last = page[-1].position
    same = sum(1 for record in page if record.position == last) + (skipped if last == position else 0)
    return page, _write([last, same])


def listed(items: Sequence[T], key: Callable[[T], str], limit: int, cursor: str | None) -> tuple[list[T], str | None]:
    """A page of a whole list, ordered by `key`, which must tell its items apart."""
    ordered = sorted(items, key=key)
    if cursor:
        (after,) = _read(cursor, (str,))
        ordered = [item for item in ordered if key(item) > after]
    page = ordered[:limit]
    return page, _write([key(page[-1])]) if len(ordered) > limit else None


def _write(place: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _read(cursor: str, types: tuple[type, ...]) -> list:  # type: ignore[type-arg]
    try:
        place = json.loads(base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True))
        right = isinstance(place, list) and [type(part) for part in place] == list(types)
    except (binascii.Error, ValueError):
        right = False
    if not right or any(type(part) is int and not 0 <= part < 2**38 for part in place):
        raise Refusal(422, "the cursor is none of ours; take `next` of the page before as it is")
    return list(place)
