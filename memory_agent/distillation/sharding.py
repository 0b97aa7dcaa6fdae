"""Facts in shards: all facts of an entity in one, and each shard small enough to be rebuilt whole.

Shards are the leaves of a binary trie over the hashes of subject names. A leaf that holds more than
`cap` facts is split on the next bit, so the layout is a pure function of the facts: it keeps no
history, a new fact dirties one leaf (or splits it in two), and a graph that never held a forgotten
fact has the layout of the one that forgot it. The idea is extendible hashing (Fagin et al., 1979).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory_agent.records import Fact
from memory_agent.semantic.folding import fold

CAP = 128
"""Most facts in a shard, unless one entity alone has more."""
_BITS = 64


@dataclass(frozen=True)
class Shard:
    """Some entities' facts, in canonical order. `id` is "s" and the bits that its entities' hashes begin with.

    `past` holds their superseded facts, which are taught as what used to be so.
    """

    id: str
    facts: tuple[Fact, ...]
    past: tuple[Fact, ...] = ()

    @property
    def entities(self) -> tuple[str, ...]:
        """Ids of the subjects, sorted."""
        return tuple(sorted({fact.subject_id for fact in self.facts}))

    @property
    def taught(self) -> tuple[str, ...]:
        """The facts' ids with their versions, as an `Adapter` keeps them."""
        return tuple(f"{fact.id}@{fact.version}" for fact in (*self.facts, *self.past))


def content(fact: Fact) -> dict[str, Any]:
    """What of a fact reaches the weights; ids, versions, sources and transaction times do not."""
    return {
        "subject": fact.subject,
        "predicate": fact.predicate,
        "object": fact.object,
        "text": fact.text,
        "valid_from": fact.valid_from,
        "valid_to": fact.valid_to,
    }


def canonical(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The facts ordered by what they say, so that neither ids nor the order of arrival matter."""
    return tuple(sorted(facts, key=lambda fact: json.dumps(content(fact), sort_keys=True)))


def digest(facts: Sequence[Fact], made_with: Mapping[str, Any]) -> str:
    """SHA-256 over what the facts say and `made_with` (recipe, seed, base, templates ...): what a build depends on."""
    whole = {"facts": [content(fact) for fact in canonical(facts)], "made_with": made_with}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def layout(facts: Iterable[Fact], cap: int = CAP, past: Iterable[Fact] = ()) -> list[Shard]:
    """The shards of `facts`, ordered by id; empty for no facts. `past` goes where its subjects are, uncounted."""
    by_name: dict[str, list[Fact]] = {}
    for fact in facts:
        by_name.setdefault(fold(fact.subject), []).append(fact)
    hashed = {_bits(name): own for name, own in by_name.items()}
    past = canonical(past)
    shards: list[Shard] = []
    pending = [("", hashed)] if hashed else []
    while pending:
        prefix, held = pending.pop()
        if len(held) == 1 or len(prefix) == _BITS or sum(map(len, held.values())) <= cap:
            own = canonical(fact for facts_ in held.values() for fact in facts_)
            subjects = {fold(fact.subject) for fact in own}
            shards.append(Shard("s" + prefix, own, tuple(fact for fact in past if fold(fact.subject) in subjects)))
            continue
        for bit in "01":
            side = {bits: own for bits, own in held.items() if bits.startswith(prefix + bit)}
            if side:
                pending.append((prefix + bit, side))
    return sorted(shards, key=lambda shard: shard.id)


def _bits(name: str) -> str:
    return f"{int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]):064b}"
