"""Where a record comes from and what was made of it, both ways and for every kind of record.

episode -> claims -> facts -> adapters, summaries
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memory_agent.errors import NotFound
from memory_agent.protocols import Query, Reader
from memory_agent.records import (
    STORED,
    Adapter,
    Block,
    BlockVersion,
    Claim,
    Entity,
    Episode,
    Explanation,
    Fact,
    Item,
    Rejection,
    Run,
    Stored,
    Summary,
)  # fmt: skip
from memory_agent.semantic.entities import Directory
from memory_agent.semantic.evidence import gather, grouped
from memory_agent.semantic.folding import fold_value
from memory_agent.semantic.ontology import Ontology, load
from memory_agent.space import Space


def history(space: Space, id: str) -> list[Stored]:
    """Every version of the record of that id, oldest first; one for all kinds but facts and blocks. Raises NotFound."""
    for kind in STORED:
        if found := space.ledger.select(kind, Query(ids=[id])):
            if kind is Block and (edits := _edits(space.ledger, id)):
                return [*edits]
            return sorted(found, key=lambda r: r.version if isinstance(r, Fact) else 0)
    raise NotFound(f"no record {id!r} stands in the memory of {space.user!r}")


def get(space: Space, id: str) -> Stored:
    """The record of that id; a fact's latest version. Raises NotFound."""
    last = history(space, id)[-1]
    return space.ledger.select(Block, Query(ids=[id]))[0] if isinstance(last, BlockVersion) and last.id != id else last


def explain(space: Space, id: str) -> Explanation:
    """What the record rests on, what rests on it, and both in words. Raises NotFound."""
    record = get(space, id)
    reader = space.ledger
    rests_on: Sequence[Stored] = ()
    supports: Sequence[Stored] = ()
    if isinstance(record, Fact):
        claims = claims_of(reader, [record], Directory.of(reader), load())
        rests_on, supports = (
            [*claims, *_episodes(reader, (s.episode_id for s in record.sources))],
            _made_of(reader, [record]),
        )
    elif isinstance(record, Episode):
        claims = reader.select(Claim, Query(where={"episode_id": record.id}))
        refused = reader.select(Rejection, Query(where={"episode_id": record.id}))
        facts = facts_of(reader, claims)
        supports = [*claims, *refused, *facts, *_made_of(reader, facts, record.id)]
    elif isinstance(record, Claim):
        facts = facts_of(reader, [record])
        rests_on, supports = _episodes(reader, [record.episode_id]), [*facts, *_made_of(reader, facts)]
    elif isinstance(record, Rejection):
        rests_on = _episodes(reader, [record.episode_id])
    elif isinstance(record, Entity):
        rests_on = claims_about(reader, [record.id])
        supports = facts_of(reader, claims_about(reader, [record.id]))
    elif isinstance(record, Adapter):
        rests_on = _versions(reader, record.facts)
    elif isinstance(record, Summary):
        rests_on = _by_ids(reader, record.of)
    elif isinstance(record, Block):
        supports = history(space, id)
    elif isinstance(record, Run):
        rests_on = reader.select(Episode, Query(where={"run": record.id}))
        supports = [r for r in reader.select(Claim) if r.run == record.id] or reader.select(
            Adapter, Query(where={"run": record.id})
        )
    text = _words(record, rests_on, supports)
    return Explanation.model_validate(
        {"record": record, "rests_on": tuple(rests_on), "supports": tuple(supports), "text": text}
    )


def _edits(reader: Reader, block_id: str) -> list[BlockVersion]:
    edits = reader.select(BlockVersion, Query(where={"block_id": block_id}))
    return sorted(edits, key=lambda edit: edit.version)


def claims_about(reader: Reader, ids: Sequence[str]) -> list[Claim]:
    """The claims that have one of these entities as subject or object."""
    found = reader.select(Claim, Query(where={"subject_id": list(ids)}))
    found += reader.select(Claim, Query(where={"object_id": list(ids)}))
    return list({c.id: c for c in found}.values())


def claims_of(reader: Reader, facts: Sequence[Fact], directory: Directory, ontology: Ontology) -> list[Claim]:
    """The claims that the facts rest on, in ledger order."""
    spans = {(s.episode_id, s.start, s.end) for fact in facts for s in fact.sources}
    episodes = sorted({episode_id for episode_id, _, _ in spans})
    candidates = reader.select(Claim, Query(where={"episode_id": episodes}))
    places = {
        grouped(f.predicate, f.subject_id, f.object_id, f.object_id or fold_value(f.object), ontology) for f in facts
    }
    subjects = {(group, pair[0]) for group, pair in places}
    bearing = {
        e.claim.id
        for e in gather(candidates, ontology, directory.people)
        if (e.group, e.pair) in places or (e.anything and e.polarity == "-" and (e.group, e.pair[0]) in subjects)
    }
    return [c for c in candidates if c.id in bearing and (c.episode_id, c.start, c.end) in spans]


def facts_of(reader: Reader, claims: Sequence[Claim]) -> list[Fact]:
    """The facts as they are believed now that rest on any of the claims."""
    if not claims:
        return []
    spans = {(c.episode_id, c.start, c.end) for c in claims}
    ids = sorted({c.subject_id for c in claims} | {c.object_id for c in claims if c.object_id})
    directory = Directory.of(reader)
    members = sorted({m for id in ids for m in directory.members(directory.people.root(id))})
    found: dict[str, Fact] = {}
    for column in ("subject_id", "object_id"):
        for fact in reader.select(Fact, Query(where={column: members, "retired_at": None})):
            if any((s.episode_id, s.start, s.end) in spans for s in fact.sources):
                found[fact.id] = fact
    return list(found.values())


def _made_of(reader: Reader, facts: Sequence[Fact], *others: str) -> list[Stored]:
    """Adapters that were taught the facts, summaries that name them (or `others`), facts that fell with them."""
    ids = {f.id for f in facts}
    named = ids | set(others)
    adapters = [a for a in reader.select(Adapter) if any(taught.partition("@")[0] in ids for taught in a.facts)]
    summaries = [s for s in reader.select(Summary) if named & set(s.of)]
    fallen = [
        f
        for f in reader.select(Fact, Query(where={"retired_at": None}))
        if f.because and f.because.partition(" ")[0] in ids and f.id not in ids
    ]
    return [*fallen, *summaries, *adapters]


def _episodes(reader: Reader, ids: Iterable[str]) -> list[Episode]:
    return sorted(reader.select(Episode, Query(ids=sorted(set(ids)))), key=lambda e: e.at)


def _versions(reader: Reader, taught: Sequence[str]) -> list[Fact]:
    """The very versions that an adapter names as `<fact id>@<version>`; of a version that is gone, nothing."""
    wanted = set(taught)
    facts = reader.select(Fact, Query(ids=sorted({t.partition("@")[0] for t in taught})))
    return [f for f in facts if f"{f.id}@{f.version}" in wanted]


def _by_ids(reader: Reader, ids: Sequence[str]) -> list[Stored]:
    found: list[Stored] = []
    for kind in STORED:
        rows = reader.select(kind, Query(ids=list(ids)))
        found += [r for r in rows if not (isinstance(r, Fact) and r.retired_at)]
    return found


def _words(record: Stored, rests_on: Sequence[Stored], supports: Sequence[Stored]) -> str:
    lines = [_line(record)]
    if isinstance(record, Fact):
        lines += [f'  {s.speaker}, {s.at:%Y-%m-%d}: "{s.quote}" [{s.episode_id}]' for s in record.sources if s.at]
    for heading, records in (("rests on", rests_on), ("supports", supports)):
        if records:
            lines += [f"{heading}:", *(f"  {_line(r)}" for r in records)]
    return "\n".join(lines)


def _line(record: Stored) -> str:
    match record:
        case Episode():
            said = f"{record.speaker}, {record.at:%Y-%m-%d}: {record.content}"
        case Fact():
            because = f", {record.because}" if record.because else ""
            said = f"{record.text} ({record.status}{because})"
        case Claim():
            sign = "not " if record.polarity == "-" else ""
            said = (
                f'{record.subject} {sign}{record.predicate} {record.object} ({record.modality}), from "{record.quote}"'
            )
        case Rejection():
            said = f"{record.proposed} (refused: {record.reason})"
        case Entity():
            said = f"{record.name} ({', '.join([record.type, *record.aliases])})"
        case Adapter():
            said = f"{record.shard} ({', '.join([record.state, *record.reasons])})"
        case Summary():
            said = record.text
        case Block():
            said = f"{record.label} ({len(record.value)} of {record.limit} characters): {record.value}"
        case Item():
            said = f"{'/'.join(record.namespace)} {record.key} of {record.collection}"
        case BlockVersion():
            because = f", {record.reason}" if record.reason else ""
            said = f"{record.action} by {record.actor}, {record.at:%Y-%m-%d}{because}: {record.value}"
        case _:
            said = record.kind
    return f"{record.kind} {record.id}: {said}"
