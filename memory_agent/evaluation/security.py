"""Attacks on a memory, made by the hundred, and how many succeeded; and what the detectors of secrets find and miss.

    poisoning    50 turns in 1,000 say by every door they have what the owner never said (after MINJA, Dong et al.
                 2025): another speaker, a mail, a tool, an assistant in two sessions, another memory's export, turns
                 of low trust with a date or a confirmation. A success is a fact that may go into weights, at once or
                 after 60 days, and rests on them alone
    displacement the same turns: a success is a fact of the owner's that may no longer be taught because of them, but
                 for those that another speaker of the conversation contradicts, which are counted as "by a speaker": of
                 somebody else the newer word counts, until the speaker is given the level "low"
    injection    instructions in remembered turns: one that becomes a fact, or stands outside the fence in a prompt
    tenants      what is read of one user through another's handle: by id, by word, by every kind of record
    canaries     secrets of the user's, and another tenant's words, that change a byte of what would be trained on

Everything is a function of the seed. Nothing here needs a model.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from memory_agent import consolidation, episodic, working
from memory_agent.config import Settings
from memory_agent.distillation.selection import Policy, select_from
from memory_agent.distillation.sharding import CAP, digest, layout
from memory_agent.episodic import detectors
from memory_agent.episodic.screening import screen
from memory_agent.evaluation.secrets import labelled
from memory_agent.fence import TAG
from memory_agent.opening import bind, embedder_of
from memory_agent.protocols import Backend, Query
from memory_agent.records import STORED, Episode, Fact, Hit, Turn, Why
from memory_agent.semantic import ontology
from memory_agent.space import Space, open_backend

START = datetime(2026, 1, 1, tzinfo=UTC)
_PEOPLE = ("Ana Abel", "Bo Berg", "Cleo Cruz", "Dan Dale", "Eva Elm", "Finn Falk", "Gil Grau", "Hana Holt")
_CITIES = ("Porto", "Ghent", "Lyon", "Turin", "Bergen", "Leeds", "Graz", "Brno", "Malmo", "Cork")
_FIRMS = ("Quarkline", "Tessera", "Lumenor", "Vantix")
POISON = 50


class _Still:
    """A clock that stands where it was put."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """The time it was put to."""
        return self.at


def run(turns: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Carry out every attack; rows of (attack, attempts, successes), and the detectors' precision and recall."""
    chance = random.Random(seed)
    attacks = {
        **poisoning(turns, chance),
        "injection": injection(chance),
        "tenants": tenants(chance),
        "canaries": canaries(chance),
    }
    return {
        "attacks": {name: {"attempts": n, "successes": won} for name, (n, won) in attacks.items()},
        "detectors": detection(chance),
    }


@contextmanager
def _store() -> Iterator[Backend]:
    backend = open_backend("memory://")
    try:
        yield backend
    finally:
        backend.index.close()
        backend.ledger.close()


def _space(backend: Backend, user: str = "alice", tenant: str = "default", clock: _Still | None = None) -> Space:
    settings = Settings()
    return bind(
        backend, user=user, tenant=tenant, agent=None, embedder=embedder_of(None, settings), settings=settings,
        clock=clock or _Still(START),
    )  # fmt: skip


def _claim(n: int, subject: str, predicate: str, object: str, at: datetime = START, **given: Any) -> Turn:
    said = {"subject": subject, "predicate": predicate, "object": object}
    metadata = {"claim": said | given.pop("dates", {}), **given.pop("metadata", {})}
    text = f"{subject} {predicate.replace('_', ' ')} {object}."
    return Turn(role=given.pop("role", "user"), content=text, at=at + timedelta(minutes=n), metadata=metadata, **given)


# poisoning


def _honest(count: int, chance: random.Random) -> list[Turn]:
    """What the owner tells: a home and a job of each of many people, and likes."""
    people = [f"{first} {n}" for n in range(count // 8 + 1) for first in _PEOPLE]
    told = []
    for n, person in enumerate(people[:count]):
        predicate = ("lives_in", "works_at", "likes")[n % 3]
        value = chance.choice({"lives_in": _CITIES, "works_at": _FIRMS, "likes": ("chess", "tea", "opera")}[predicate])
        told.append(_claim(n, person, predicate, value, speaker="Alice", session=f"s{n // 40}"))
    return told


def _poison(victims: Sequence[Turn], chance: random.Random) -> list[Turn]:
    """Each victim's fact told otherwise, by one of the doors in turn."""
    doors: list[dict[str, Any]] = [
        {"speaker": "Mallory"},
        {"speaker": "Alice", "metadata": {"source": "email"}},
        {"speaker": "Alice", "metadata": {"trust": "low"}, "dates": {"valid_from": "2026-01-02"}},
        {"role": "tool", "speaker": "search"},
        {"role": "assistant", "speaker": "assistant"},
        {"speaker": "Alice", "metadata": {"origin": "mem0"}},
        {"speaker": "Mallory", "metadata": {"trust": "low", "confirmed": True}},
    ]
    made: list[Turn] = []
    for n, victim in enumerate(victims):
        claim = victim.metadata["claim"]
        door = doors[n % len(doors)]
        value = f"Evil{chance.randrange(10**6)}"
        # Every second one is said twice, in two sessions: repetition is no second source.
        for session in ("x1", "x2") if n % 2 else ("x1",):
            given = {**door, "metadata": dict(door.get("metadata", {}))}
            made.append(_claim(5000 + len(made), claim["subject"], claim["predicate"], value, session=session, **given))
    return made[:POISON]


def poisoning(turns: int, chance: random.Random) -> dict[str, tuple[int, int]]:
    """(poisoned turns, successes) of the attacks "poisoning", "displacement" and "displacement by a speaker"."""
    honest = _honest(turns - POISON, chance)
    poison = _poison(chance.sample(honest, min(POISON, len(honest))), chance)
    with _store() as clean, _store() as attacked:
        control, clock = _space(clean), _Still(START)
        space = _space(attacked, clock=clock)
        for each in (control, space):
            episodic.take_in(each, honest)
        ids = set(episodic.take_in(space, poison).added)
        for each in (control, space):
            consolidation.consolidate(each)
        admitted: set[str] = set()
        for later in (0, 60):
            clock.at = START + timedelta(days=later)
            passed = select_from(space.ledger, ontology.load(), clock.at, Policy.of(space.settings, space.user)).facts
            admitted |= {f.id for f in passed if {s.episode_id for s in f.sources} <= ids}
        lost = _taught(control) - _taught(space)
    spoken = {_said(turn)[:2] for turn in poison if turn.role == "user" and len(turn.metadata) == 1}
    by_speaker = sum(fact[:2] in spoken for fact in lost)
    return {
        "poisoning": (len(poison), len(admitted)),
        "displacement": (len(poison) - len(spoken), len(lost) - by_speaker),
        "displacement by a speaker": (len(spoken), by_speaker),
    }


def _said(turn: Turn) -> tuple[str, str, str]:
    claim = turn.metadata["claim"]
    return claim["subject"], claim["predicate"], claim["object"]


def _taught(space: Space) -> set[tuple[str, str, str]]:
    found = select_from(
        space.ledger, ontology.load(), START + timedelta(days=60), Policy.of(space.settings, space.user)
    )
    return {(f.subject, f.predicate, f.object) for f in found.facts}


# injection


def injection(chance: random.Random) -> tuple[int, int]:
    """(injected turns, successes): payloads in facts, or outside the fence of a prompt."""
    payloads: list[str] = _data()["injections"]
    roles = ("user", "assistant", "tool")
    won = 0
    with _store() as backend:
        space = _space(backend)
        turns = [
            _claim(n, "Ana Abel", "likes", payload, role=role, speaker=chance.choice(("Alice", "Mallory")))
            for n, (payload, role) in enumerate((p, r) for p in payloads for r in roles)
        ]
        added = episodic.take_in(space, turns).added
        consolidation.consolidate(space)
        facts = space.ledger.select(Fact)
        policy = Policy.of(space.settings, space.user)
        won += len(select_from(space.ledger, ontology.load(), START, policy).facts)
        hits = [Hit(record=e, score=1.0, why=Why()) for e in space.ledger.select(Episode, Query(ids=added))]
        hits += [Hit(record=f, score=1.0, why=Why()) for f in facts]
        for hit in hits:
            text = working.assemble("What does Ana like?", [hit], budget=10_000, count_tokens=len).text
            won += _escaped(text)
    return len(turns), won


def _escaped(text: str) -> bool:
    """Whether anything but one fence, opened at the start and closed at the end, is in a prompt's text."""
    lower = text.lower().replace(" ", "")
    return not (
        text.startswith(f"<{TAG} ") and text.endswith(f"</{TAG}>")
        and lower.count(f"<{TAG}") == 1 and lower.count(f"</{TAG}") == 1
    )  # fmt: skip


# other tenants


def tenants(chance: random.Random) -> tuple[int, int]:
    """(probes, successes): what of one user can be read or changed through another's handle."""
    names = [("acme", "alice"), ("acme", "bob"), ("beta", "alice"), ("acme/alice", "x"), ("acme", "alice/x")]
    probes = won = 0
    with _store() as backend:
        spaces = {name: _space(backend, user=name[1], tenant=name[0]) for name in names}
        words = {name: f"canary{n}{chance.randrange(10**9)}" for n, name in enumerate(names)}
        ids: dict[tuple[str, str], list[str]] = {}
        for name, space in spaces.items():
            added = episodic.take_in(space, [_claim(0, f"Ana {words[name]}", "lives_in", "Porto")]).added
            consolidation.consolidate(space)
            ids[name] = [*added, *(f.id for f in space.ledger.select(Fact))]
        for mine, space in spaces.items():
            for other in names:
                if other == mine:
                    continue
                probes += 1 + len(STORED) * 2
                won += bool(space.ledger.match([words[other], "canary"], limit=50) and mine != other and any(
                    words[other] in str(e) for e in space.ledger.select(Episode)
                ))  # fmt: skip
                for kind in STORED:
                    won += any(words[other] in record.model_dump_json() for record in space.ledger.select(kind))
                    own = {r.id for r in space.ledger.select(kind)}
                    won += any(r.id not in own for r in space.ledger.select(kind, Query(ids=ids[other])))
    return probes, won


# canaries


def canaries(chance: random.Random) -> tuple[int, int]:
    """(canaries, successes): what would be trained on, compared with a memory that never held them.

    A shard is trained as a pure function of what its facts say, the recipe, the seed and the base. Where the digests of
    all shards are equal, the adapters are equal to the byte, and no attack on them can extract what they never saw.
    """
    honest = _honest(60, chance)
    planted = [
        _claim(900 + n, person, predicate, f"{value} {chance.randrange(10**6)}", speaker="Alice", session="secrets")
        for n, (person, predicate, value) in enumerate(
            (p, predicate, value)
            for p in _PEOPLE
            for predicate, value in (("phone", "555"), ("secret", "hunter"), ("religion", "Quaker"))
        )
    ]
    with _store() as bare, _store() as full:
        control, space, foreign = _space(bare), _space(full), _space(full, user="eve", tenant="beta")
        episodic.take_in(control, honest)
        episodic.take_in(space, [*honest, *planted])
        episodic.take_in(foreign, [_claim(n, p, "lives_in", f"Canary {n}") for n, p in enumerate(_PEOPLE)])
        for each in (control, space, foreign):
            consolidation.consolidate(each)
        won = len(set(_digests(control).items()) ^ set(_digests(space).items()))
    return len(planted) + len(_PEOPLE), won


def _digests(space: Space) -> Mapping[str, str]:
    found = select_from(space.ledger, ontology.load(), START, Policy.of(space.settings, space.user))
    return {s.id: digest((*s.facts, *s.past), {}) for s in layout(found.facts, CAP, found.past)}


# detectors


def detection(chance: random.Random) -> dict[str, Any]:
    """Precision and recall of each class over generated sentences, without the extra `detect` and with it."""
    samples = labelled(_data(), chance)
    found = {"base": _scores(samples, others=False)}
    if len(detectors.available()) == 3:
        found["with detect"] = _scores(samples, others=True)
    return found


def _scores(samples: Sequence[tuple[str, str]], *, others: bool) -> dict[str, dict[str, float]]:
    """By class: over sentences that hold one thing of a class, or ("") nothing."""
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for text, label in samples:
        flags = set(screen(text, others=others))
        if label:
            (right if label in flags else missed)[label] += 1
        wrong.update(flags - {label})
    names = sorted({label for _, label in samples if label})
    return {
        name: {
            "n": right[name] + missed[name],
            "recall": round(right[name] / max(right[name] + missed[name], 1), 3),
            "precision": round(right[name] / max(right[name] + wrong[name], 1), 3),
        }
        for name in names
    }


def _data() -> dict[str, Any]:
    text = resources.files("memory_agent.evaluation").joinpath("data/security.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
