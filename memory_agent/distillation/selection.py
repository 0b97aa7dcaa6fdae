"""Which facts may be put into weights, and for each other one the word that says why not.

Pure rules over facts, the episodes they rest on and the ontology; knows nothing of models. A fact
of the secret class never passes, whatever the policy says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from memory_agent.config import Settings
from memory_agent.episodic.screening import screen
from memory_agent.errors import InvalidInput
from memory_agent.protocols import Query, Reader
from memory_agent.records import Episode, Fact
from memory_agent.semantic import ontology
from memory_agent.semantic.ontology import Ontology
from memory_agent.semantic.trust import Standing, Trust
from memory_agent.semantic.trust import owners as owners_of

REASONS: Mapping[str, str] = {
    "secret": "the predicate is of the secret class",
    "not_current": "it is retired, superseded, stale or disputed, or not valid now",
    "not_actual": "it is planned or possible, not so",
    "negated": "it says what is not so",
    "ungrounded": "no source episode stands behind it",
    "flagged": "it or a source episode looks like an instruction or holds a secret",
    "personal": "it holds a number or an address that names one person",
    "untrusted": "no trusted source says it: neither the user's own word, nor two others, nor a review",
    "alarmed": "its source contradicted the user's own word too often",
    "cooling": "its source is not the user, and nobody else says it; it waits",
    "quota": "its source told more on that day than it may",
    "sensitive": "the predicate is of the sensitive class and was not opted in",
    "policy": "the predicate is never distilled",
    "unsure": "its confidence is too low",
    "fresh": "it has not cooled off yet",
    "unwieldy": "its subject or object is too long to be learnt by heart",
}
"""Reason word -> what it means."""
DOUBTED = ("untrusted", "alarmed", "cooling", "quota")
"""Reasons that are doubts about the source; a person may set them aside."""


@dataclass(frozen=True)
class Policy:
    """What may be taught. The defaults are the cautious ones; each loosening is a decision of the user's."""

    teach: frozenset[str] = frozenset()
    """Predicates taught although the ontology calls them sensitive or never distilled; never secret ones."""
    cool_off_days: float = 0.0
    """How long a fact of a "stable" predicate must have stood unchanged."""
    min_confidence: float = 0.5
    max_words: int = 8
    """Most words of a subject or an object."""
    trust: Trust = field(default_factory=Trust.load)
    user: str = ""
    """The user whose memory it is; "" when it is whoever spoke first."""

    @classmethod
    def of(cls, settings: Settings, user: str = "") -> Policy:
        """The default policy for a user's memory, with what they opted in (`settings.teach`) and trust.

        Raises InvalidInput when a predicate is of the secret class or unknown to the ontology, or a level is unknown.
        """
        teach = frozenset(name.strip() for name in settings.teach.split(",") if name.strip())
        known = ontology.load()
        for name in sorted(teach):
            if name not in known:
                raise InvalidInput(f"setting 'teach': the ontology has no predicate {name!r}")
            if known[name].sensitivity == "secret":
                raise InvalidInput(f"setting 'teach': {name!r} is secret, and secrets are never put into weights")
        return cls(teach=teach, trust=Trust.load(settings.trust), user=user)


@dataclass(frozen=True)
class Selection:
    """What passed, in the order of the ledger, and what did not: fact id -> reason word."""

    facts: tuple[Fact, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    past: tuple[Fact, ...] = ()
    """Superseded facts that may be taught as what used to be so: their successor passed, and else they would."""

    def counts(self) -> str:
        """The refusals counted by reason, most frequent first, as "12 policy, 3 untrusted"."""
        return ", ".join(f"{n} {reason}" for reason, n in Counter(self.refused.values()).most_common())


def refusal(
    fact: Fact,
    episodes: Mapping[str, Episode],
    predicates: Ontology,
    now: datetime,
    policy: Policy,
    standing: Standing | None = None,
) -> str | None:
    """Why `fact` may not be taught, as a word of `REASONS`, or None when it may.

    `episodes` maps the ids of its sources to those that still stand; `standing` is what is known of its sources, by
    default nothing, when every user's word is the owner's.
    """
    standing = standing or Standing(policy.trust)
    predicate = predicates[fact.predicate]
    opted_in = fact.predicate in policy.teach
    sources = [episodes[source.episode_id] for source in fact.sources if source.episode_id in episodes]
    words = max(len(fact.subject.split()), len(fact.object.split()))
    said = screen(f"{fact.subject}\n{fact.object}")
    rules = (
        ("secret", predicate.sensitivity == "secret"),
        ("not_current", not _holds_at(fact, now)),
        ("not_actual", fact.modality != "actual"),
        ("negated", fact.polarity != "+"),
        ("ungrounded", not sources or len(sources) < len(fact.sources)),
        ("flagged", any(_is_flagged(episode.flags) for episode in sources) or _is_flagged(said)),
        ("personal", any(flag.startswith("personal:") for flag in said)),
        ("sensitive", predicate.sensitivity == "sensitive" and not opted_in),
        ("policy", predicate.distil == "never" and not opted_in),
        *((reason, True) for reason in [standing.objection(fact, sources, now)] if reason),
        ("unsure", fact.confidence < policy.min_confidence),
        ("fresh", predicate.distil != "always" and _age(fact, now) < timedelta(days=policy.cool_off_days)),
        ("unwieldy", words > policy.max_words),
    )
    return next((reason for reason, holds in rules if holds), None)


def select(
    facts: Iterable[Fact],
    episodes: Mapping[str, Episode],
    predicates: Ontology,
    now: datetime,
    policy: Policy,
    owners: frozenset[str] = frozenset(),
) -> Selection:
    """The facts that pass every rule of `refusal`, and the reasons of the others; `owners` as `trust.owners` has it."""
    facts = list(facts)
    standing = Standing.of(policy.trust, owners, facts, episodes)
    passed: list[Fact] = []
    refused: dict[str, str] = {}
    past: list[Fact] = []
    for fact in facts:
        reason = refusal(fact, episodes, predicates, now, policy, standing)
        if reason is None:
            passed.append(fact)
            continue
        refused[fact.id] = reason
        if fact.status == "superseded" and fact.valid_to:
            before = fact.model_copy(update={"status": "current", "valid_to": None})
            if refusal(before, episodes, predicates, now, policy, standing) is None:
                past.append(fact)
    asked = {(fact.subject_id, fact.predicate) for fact in passed}
    return Selection(tuple(passed), refused, tuple(f for f in past if (f.subject_id, f.predicate) in asked))


def select_from(reader: Reader, predicates: Ontology, now: datetime, policy: Policy) -> Selection:
    """`select` over the facts of a ledger that are not retired."""
    facts = reader.select(Fact, Query(where={"retired_at": None}))
    wanted = sorted({source.episode_id for fact in facts for source in fact.sources})
    episodes = {episode.id: episode for episode in reader.select(Episode, Query(ids=wanted))} if wanted else {}
    return select(facts, episodes, predicates, now, policy, owners_of(reader, policy.user))


def _holds_at(fact: Fact, now: datetime) -> bool:
    if fact.retired_at is not None or fact.status != "current":
        return False
    begun = fact.valid_from is None or fact.valid_from.earliest <= now
    return begun and (fact.valid_to is None or fact.valid_to.earliest > now)


def _is_flagged(flags: Iterable[str]) -> bool:
    return any(flag in ("instruction", "recalled") or flag.startswith("secret:") for flag in flags)


def _age(fact: Fact, now: datetime) -> timedelta:
    """How long the fact has been known; its newest version counts."""
    return now - fact.recorded_at
