"""Taking turns in: everything is checked before anything is written, and a turn is taken in once.

A turn with an id of its own is known by that id; one without is known by its digest (session,
speaker, time, content), from which its id is made. A turn that says no time gets the clock's, so
repeating an `add` is safe for turns that carry an id or a time.

A time without a zone is read as UTC; one with a zone is kept in UTC beside the zone it was said in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from memory_agent.episodic.screening import classes, redact, screen
from memory_agent.errors import DuplicateId, InvalidInput
from memory_agent.fence import strip_fenced
from memory_agent.protocols import Query, Transaction
from memory_agent.records import APPROVED, STORED, AddReport, Episode, Role, Tombstone, Turn
from memory_agent.space import Space

MOST_ID = 512
"""Most characters of an id, a session or a speaker's name."""


def take_in(space: Space, turns: Sequence[Turn | Mapping[str, Any]], session: str | None = None) -> AddReport:
    """Store `turns` as episodes, durably and all or none; what is already there is reported as duplicate.

    `session` is for turns that name none; without either it is the day of the turn in UTC. The speaker
    defaults to the space's user for the role "user", to the agent's name for "assistant", else to the role.
    Context that was recalled and comes back is cut out, and what the setting `redact` names. A turn of which
    nothing is left is not taken in, only flagged "recalled". An id that was forgotten may be added again: that
    is new evidence.

    Raises InvalidInput, naming the turn by its index and the field, and DuplicateId when an id is
    taken by other content; then nothing is written.
    """
    drafts = [_Draft.of(space, n, turn, session) for n, turn in enumerate(_sequence(turns))]
    with space.ledger.transaction(wait=space.settings.lock_wait) as transaction:
        report, episodes = _settle(transaction, drafts)
        if episodes:
            transaction.put(*episodes)
            transaction.audit("add", [episode.id for episode in episodes])
    return report


def _sequence(turns: Sequence[Turn | Mapping[str, Any]]) -> list[Turn | Mapping[str, Any]]:
    if isinstance(turns, (Turn, Mapping, str)):
        raise InvalidInput("turns come as a list: memory.add([turn])")
    return list(turns)


@dataclass(frozen=True)
class _Draft:
    """A checked turn as the episode it will be, and which of its fields the caller chose."""

    place: int
    episode: Episode | None
    """None when nothing was left of the turn after recalled context was cut out."""
    id: str
    own_id: bool
    own_time: bool
    own_session: bool

    @classmethod
    def of(cls, space: Space, n: int, given: Turn | Mapping[str, Any], session: str | None) -> _Draft:
        turn = _turn(n, given)
        content, recalled = strip_fenced(turn.content)
        metadata: Mapping[str, Any] = turn.metadata
        marks = ["recalled"] if recalled else []
        if doomed := classes(space.settings.redact):
            before = content, metadata
            content, metadata = redact(content, doomed), _redacted(metadata, doomed)
            marks += ["redacted"] if (content, metadata) != before else []
        now = space.clock.now()
        at, zone = _moment(n, turn.at) if turn.at is not None else (now + timedelta(microseconds=n), "+00:00")
        speaker = turn.speaker or _speaker(space, turn.role)
        named = turn.session or session
        where = named or f"{at:%Y-%m-%d}"
        mark = digest(where, speaker, at, content)
        id = turn.id or mark[:20]
        for name, text in (("id", id), ("session", where), ("speaker", speaker)):
            if not text.strip() or len(text) > MOST_ID or not text.isprintable():
                raise InvalidInput(f"turn {n}: {name} must be 1 to {MOST_ID} printable characters")
        episode = Episode(
            id=id,
            session=where,
            role=turn.role,
            speaker=speaker,
            content=content,
            at=at,
            zone=zone,
            recorded_at=now,
            digest=mark,
            flags=(*screen(content), *marks),
            metadata=metadata,
        )
        return cls(
            n, episode if content.strip() else None, id, turn.id is not None, turn.at is not None, named is not None
        )

    def same_as(self, other: Episode) -> bool:
        """Whether `other`, which has this id, is this turn: equal in all that the caller chose."""
        mine = self.episode
        return (
            mine is not None
            and (mine.role, mine.speaker, mine.content) == (other.role, other.speaker, other.content)
            and (not self.own_time or mine.at == other.at)
            and (not self.own_session or mine.session == other.session)
        )


def _redacted(value: Any, doomed: frozenset[str]) -> Any:
    """A JSON-like value with what is of these classes put out of its texts."""
    if isinstance(value, str):
        return redact(value, doomed)
    if isinstance(value, Mapping):
        return {name: _redacted(each, doomed) for name, each in value.items()}
    return [_redacted(each, doomed) for each in value] if isinstance(value, (list, tuple)) else value


def digest(session: str, speaker: str, at: datetime, content: str) -> str:
    """The SHA-256 by which the same message in the same place is known again, in hexadecimal."""
    kept = {"session": session, "speaker": speaker, "at": at.isoformat(), "content": content}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _turn(n: int, given: Turn | Mapping[str, Any]) -> Turn:
    """`given` as a Turn with content, metadata that is JSON and text that is Unicode. Raises InvalidInput."""
    if isinstance(given, Turn):
        turn = given
    elif isinstance(given, Mapping):
        unknown = [str(key) for key in given if key not in Turn.model_fields]
        if unknown:
            known = ", ".join(Turn.model_fields)
            raise InvalidInput(f"turn {n}: unknown key {unknown[0]!r} (known: {known}; anything else goes in metadata)")
        try:
            turn = Turn.model_validate(dict(given))
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(f"turn {n}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    else:
        raise InvalidInput(f"turn {n}: a turn is a Turn or a mapping with role and content, not {type(given).__name__}")
    if not turn.content.strip():
        raise InvalidInput(f"turn {n}: content is empty")
    if APPROVED in turn.metadata:  # whoever hands turns in could else approve its own word
        raise InvalidInput(f"turn {n}: metadata {APPROVED!r} is written by reviews alone")
    try:
        told = json.dumps(dict(turn.metadata), allow_nan=False, ensure_ascii=False)
        "\n".join((turn.content, turn.speaker or "", turn.id or "", turn.session or "", told)).encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"turn {n}: holds half a surrogate pair, which is not a character") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"turn {n}: metadata must be JSON: {error}") from error
    return turn


def _moment(n: int, at: datetime) -> tuple[datetime, str]:
    """`at` in UTC, and the offset it was said in as "+HH:MM"."""
    try:
        aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        minutes = round((aware.utcoffset() or timedelta()).total_seconds() / 60)
        sign = "-" if minutes < 0 else "+"
        return aware.astimezone(UTC), f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    except (OverflowError, ValueError) as error:
        raise InvalidInput(f"turn {n}: at: {at} is out of range") from error


def _speaker(space: Space, role: Role) -> str:
    if role == "user":
        return space.user
    return (space.agent or role) if role == "assistant" else role


def _settle(transaction: Transaction, drafts: Sequence[_Draft]) -> tuple[AddReport, list[Episode]]:
    """What of `drafts` is new, against the ledger and against each other."""
    ids = [draft.id for draft in drafts]
    there = {episode.id: episode for episode in transaction.select(Episode, Query(ids=ids))} if ids else {}
    digests = [draft.episode.digest for draft in drafts if draft.episode and not draft.own_id]
    by_digest = {e.digest: e for e in transaction.select(Episode, Query(where={"digest": digests}))} if digests else {}
    _refuse_taken(transaction, [draft.id for draft in drafts if draft.own_id and draft.id not in there])
    added: dict[str, Episode] = {}
    duplicates: list[str] = []
    flagged: dict[str, tuple[str, ...]] = {}
    for draft in drafts:
        episode = draft.episode
        if episode is None:
            flagged[draft.id] = ("recalled",)
            continue
        known = there.get(draft.id) or added.get(draft.id) or (None if draft.own_id else by_digest.get(episode.digest))
        if known is None:
            added[draft.id] = episode
            by_digest.setdefault(episode.digest, episode)
            if episode.flags:
                flagged[draft.id] = episode.flags
        elif draft.same_as(known):
            duplicates.append(known.id)
        else:
            raise DuplicateId(f"turn {draft.place}: id {draft.id!r} is taken by a turn that says something else")
    report = AddReport(added=tuple(added), duplicates=tuple(duplicates), flagged=flagged)
    return report, list(added.values())


def _refuse_taken(transaction: Transaction, ids: Sequence[str]) -> None:
    """Raise DuplicateId when a record of another kind has one of the ids: an id names one thing in a space."""
    for kind in STORED:
        if kind in (Episode, Tombstone) or not ids:
            continue
        found = transaction.select(kind, Query(ids=ids, limit=1))
        if found:
            raise DuplicateId(f"id {found[0].id!r} is taken by a {kind.kind}")
