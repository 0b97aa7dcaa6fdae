"""How far a source is believed when it comes to weights: levels, cool-off, quotas, contradiction alarms.

A turn's source is what its metadata name (`source`, else `origin`, which imports set), else its speaker, or for
another's words than a user's its role. Its level, by `trust.json` and the setting `trust`:

    owner   the person whose memory it is: the speaker called like the user, else whoever spoke first
    self    a speaker about themself
    other   a speaker about anybody else, or a named source
    low     what is marked `trust: low`, tools, and a source that contradicted the owner's word too often

A fact passes at once by the word of its owner, or when two sources agree that count (none of them low). By the word of
one that is `enough` it passes once it has stood for `cool_off_days`, as long as that source told no more than
`facts_per_day` on that day. Everything else waits for a person (`memory-agent review`), whose word decides.

Sources are as independent as whoever takes turns in names them; nothing here can tell two names of one person.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any

from pydantic import ValidationError

from memory_agent.errors import InvalidInput
from memory_agent.protocols import Query, Reader
from memory_agent.records import APPROVED, Episode, Fact, Record
from memory_agent.semantic.folding import fold


class Level(Record):
    """What a source of this level may do for a fact."""

    enough: bool = False
    """Whether its word alone lets a fact pass, in time."""
    counts: bool = True
    """Whether it is one of two that agree."""
    cool_off_days: float = 0.0
    facts_per_day: int | None = None
    """How many facts that nobody else says may pass of one day's; None for all."""


class Trust(Record):
    """The levels, and which source has which."""

    version: int = 1
    levels: Mapping[str, Level]
    roles: Mapping[str, str]
    """Role -> level of a turn whose source is not named."""
    sources: Mapping[str, str] = {}
    """Source -> level, as the user set it; goes before everything but a mark on the turn."""
    contradictions: int
    """After so many disputes with the owner's word a source counts as low."""

    @classmethod
    def load(cls, given: str = "") -> Trust:
        """The built-in rules with what the user set: "crm=self, newsletter=low", or a speaker's name for a source.

        Raises InvalidInput for a level that there is not.
        """
        return _load(given)

    def level(self, name: str) -> Level:
        """The level of that name."""
        return self.levels[name]


@lru_cache(maxsize=32)
def _load(given: str) -> Trust:
    data: dict[str, Any] = json.loads(resources.files(__package__).joinpath("trust.json").read_text("utf-8"))
    sources = {}
    for each in filter(None, (part.strip() for part in given.split(","))):
        source, _, level = (part.strip() for part in each.partition("="))
        if not source or level not in data["levels"]:
            known = ", ".join(data["levels"])
            raise InvalidInput(f"setting 'trust': {each!r} is not SOURCE=LEVEL with a level of {known}")
        sources[fold(source)] = level
    try:
        return Trust.model_validate({**data, "sources": sources})
    except ValidationError as error:
        raise InvalidInput(f"trust.json: {error}") from error


def source_of(episode: Episode) -> str:
    """The name of a turn's source, folded."""
    for name in ("source", "origin"):
        if isinstance(said := episode.metadata.get(name), str) and said.strip():
            return fold(said)
    return fold(episode.speaker) if episode.role == "user" else episode.role


def is_low(episode: Episode, trust: Trust) -> bool:
    """Whether a turn is marked as of low trust, or its source is set to it."""
    return episode.metadata.get("trust") == "low" or trust.sources.get(source_of(episode)) == "low"


def is_doubted(episode: Episode, trust: Trust) -> bool:
    """Whether what a turn says may end nothing that others say: it is of low trust, or quotes a source without a level.

    A mail, a page or another memory's export that a program takes in is not its user's word, whoever it names.
    """
    quoted = any(isinstance(episode.metadata.get(name), str) for name in ("source", "origin"))
    unknown = quoted and source_of(episode) not in trust.sources and episode.metadata.get("confirmed") is not True
    return unknown or is_low(episode, trust)


def is_owners(episode: Episode, trust: Trust, owners: frozenset[str]) -> bool:
    """Whether a turn is the word of the memory's owner: by who speaks, by the user's setting, or confirmed by hand."""
    if is_doubted(episode, trust):
        return False
    if episode.metadata.get("confirmed") is True:
        return True
    source = source_of(episode)
    if level := trust.sources.get(source):
        return level == "owner"
    return episode.role == "user" and source == fold(episode.speaker) and source in owners


def owners(reader: Reader, user: str) -> frozenset[str]:
    """The names, folded, by which the owner of a memory speaks in it: the user's, where somebody does, else the first.

    Whoever says something first in a new memory is the one it is opened for; a later name is somebody else's.
    """
    called = sorted({user, user.capitalize(), user.title(), user.upper()})
    own = reader.select(Episode, Query(where={"role": "user", "speaker": called}, limit=50)) if user else []
    if any(not _is_named(e) for e in own):
        return frozenset({fold(user)})
    first = next((e for e in reader.select(Episode, Query(where={"role": "user"}, limit=50)) if not _is_named(e)), None)
    return frozenset({fold(first.speaker)} if first else {fold(user)})


def _is_named(episode: Episode) -> bool:
    """Whether a turn says where it comes from, as a correction does, so that its speaker says nothing of the owner."""
    return any(episode.metadata.get(name) for name in ("source", "origin", "trust", "confirmed"))


@dataclass(frozen=True)
class Standing:
    """What is known of the sources of one memory: who owns it, what each told on which day, whom it contradicted."""

    trust: Trust
    owners: frozenset[str] = frozenset()
    """Folded names; empty when everybody who speaks as a user counts as the owner."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Fact id -> the how-manieth it is of what its one source told on that day."""
    disputes: Mapping[str, int] = field(default_factory=dict)
    """Source -> how many of its facts the owner's word stands against."""

    @classmethod
    def of(
        cls, trust: Trust, owners: frozenset[str], facts: Iterable[Fact], episodes: Mapping[str, Episode]
    ) -> Standing:
        """Counted over `facts`, which rest on `episodes`."""
        bare = cls(trust, owners)
        days: dict[tuple[str, date], list[tuple[datetime, str]]] = defaultdict(list)
        disputes: Counter[str] = Counter()
        for fact in facts:
            told = [episodes[s.episode_id] for s in fact.sources if s.episode_id in episodes]
            by = {source_of(e) for e in told if bare.level_of(e, fact) != "owner"}
            if fact.status == "disputed":  # marks of low trust are on the turn: they say nothing of who is named in it
                disputes.update({source_of(e) for e in told if not is_low(e, trust)} & by)
            if len(by) == 1 and told:
                first = min(e.recorded_at for e in told)
                days[by.pop(), first.date()].append((first, fact.id))
        places = {id: n for each in days.values() for n, (_, id) in enumerate(sorted(each), 1)}
        return replace(bare, places=places, disputes=disputes)

    def level_of(self, episode: Episode, fact: Fact) -> str:
        """The level of a turn as a source of `fact`."""
        source = source_of(episode)
        if is_low(episode, self.trust):
            return "low"
        if episode.metadata.get("confirmed") is True:
            return "owner"
        if level := self.trust.sources.get(source):
            return level
        spoken = episode.role == "user" and source == fold(episode.speaker)
        if spoken and (not self.owners or source in self.owners):
            return "owner"
        if self.disputes.get(source, 0) >= self.trust.contradictions:
            return "low"
        if spoken and source in (fold(fact.subject), fold(fact.subject).split(" ")[0]):
            return "self"
        return self.trust.roles[episode.role]

    def objection(self, fact: Fact, sources: Sequence[Episode], now: datetime) -> str | None:
        """Why the sources of `fact` do not let it pass yet: a word of `selection.REASONS`, or None when they do."""
        if is_approved(fact, sources):
            return None
        levels: dict[str, set[str]] = defaultdict(set)
        for episode in sources:
            levels[self.level_of(episode, fact)].add(source_of(episode))
        if "owner" in levels or _in_two_sessions(sources, self.trust):
            return None
        counting = {name for level, names in levels.items() if self.trust.level(level).counts for name in names}
        if len(counting) > 1:
            return None
        enough = [self.trust.level(level) for level in levels if self.trust.level(level).enough]
        if not enough:
            alarmed = any(self.disputes.get(source_of(e), 0) >= self.trust.contradictions for e in sources)
            return "alarmed" if alarmed else "untrusted"
        first = min(e.recorded_at for e in sources if self.trust.level(self.level_of(e, fact)).enough)
        if now - first < timedelta(days=min(level.cool_off_days for level in enough)):
            return "cooling"
        most = max((level.facts_per_day for level in enough if level.facts_per_day is not None), default=None)
        return "quota" if most is not None and self.places.get(fact.id, 1) > most else None


def is_approved(fact: Fact, sources: Iterable[Episode]) -> bool:
    """Whether a review approved the fact on the word of one of its sources."""
    return any(fact.id in marked for e in sources if isinstance(marked := e.metadata.get(APPROVED), (list, tuple)))


def _in_two_sessions(sources: Iterable[Episode], trust: Trust) -> bool:
    """Whether an assistant says it in two sessions, as of old; tools and low sources count for nothing."""
    said = {e.session for e in sources if e.role == "assistant" and not is_low(e, trust)}
    return len(said) > 1
