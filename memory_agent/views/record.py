"""One record's page: what it says, where it was said, what rests on it, and whether weights know it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memory_agent.distillation.selection import REASONS
from memory_agent.records import Adapter, Block, Claim, Entity, Episode, Fact, Rejection, Run, Source, Stored, Summary
from memory_agent.views.snapshot import Snapshot

Row = dict[str, Any]


def record_view(snapshot: Snapshot, id: str) -> Row:
    """The page of the record of that id, as plain values. Raises NotFound.

    `kind`, `id`, `title`; `fields` as [name, text]; `sources` (quotes); `versions`, `rests_on` and
    `supports` as rows of {kind, id, text}; `adapters` that were taught it; `taught`, why it is or
    would not be put into weights; `can`, what may be done with it.
    """
    record = snapshot.record(id)
    page: Row = {
        "kind": record.kind,
        "id": record.id,
        "title": words(record),
        "fields": _fields(record),
        "sources": [],
        "versions": [],
        "rests_on": [],
        "supports": [],
        "adapters": [],
        "taught": "",
        "can": [],
    }
    if isinstance(record, Fact):
        page |= _fact(snapshot, record)
    elif isinstance(record, Entity):
        merged = [e for e in snapshot.entities.values() if e.merged_into == record.id]
        page["supports"] = rows([*snapshot.facts_of.get(record.id, ()), *merged])
        page["can"] = ["split" if record.merged_into else "merge", "forget"]
    elif isinstance(record, Episode):
        page["fields"] += [["flags", ", ".join(record.flags)]] if record.flags else []
        page["supports"] = rows(
            (*snapshot.claims_in.get(id, ()), *snapshot.refused_in.get(id, ()), *snapshot.facts_in.get(id, ()))
        )
        page["can"] = ["correct", "forget"]
    elif isinstance(record, Claim | Rejection):
        page["rests_on"] = rows(e for e in [snapshot.episodes.get(record.episode_id)] if e)
        page["can"] = ["forget"]
    elif isinstance(record, Adapter):
        page["rests_on"] = rows(_taught_facts(snapshot, record))
    elif isinstance(record, Summary | Block):
        page["can"] = ["forget"]
    return page


def _fact(snapshot: Snapshot, fact: Fact) -> Row:
    adapters = snapshot.adapters_of.get(fact.id, [])
    spans = {(s.episode_id, s.start, s.end) for s in fact.sources}
    claims = [
        claim
        for id in dict.fromkeys(s.episode_id for s in fact.sources)
        for claim in snapshot.claims_in.get(id, ())
        if (claim.episode_id, claim.start, claim.end) in spans
    ]
    summaries = [summary for summary in snapshot.summaries if fact.id in summary.of]
    standing = fact.retired_at is None
    return {
        "sources": [source_row(source, snapshot) for source in fact.sources],
        "versions": [_version(version) for version in snapshot.versions[fact.id]],
        "rests_on": rows(claims),
        "supports": rows((*snapshot.fallen_with.get(fact.id, ()), *summaries)),
        "adapters": [_adapter(adapter, fact) for adapter in adapters],
        "taught": _teaching(snapshot, fact, adapters),
        "can": ["edit", "forget"] if standing else ["forget"],
    }


def _teaching(snapshot: Snapshot, fact: Fact, adapters: Iterable[Adapter]) -> str:
    """Whether the weights know it, and if not, why."""
    answering = [a for a in adapters if a.state == "promoted"]
    stuck = [a for a in answering if fact.id not in a.scorecard.get("quarantined", ())]
    if stuck:
        return "known by heart: an adapter that answers now was taught it"
    if answering:
        return "taught, but it did not stick: the adapter is not asked for it"
    if reason := snapshot.untaught.get(fact.id):
        return f"not taught: {REASONS.get(reason, reason)} ({reason})"
    if fact.retired_at is not None:
        return "not taught: it is no longer believed"
    if not any(run.job == "distill" for run in snapshot.runs):
        return "may be taught; nothing was distilled yet"
    return "may be taught; no adapter that answers now knows it"


def _adapter(adapter: Adapter, fact: Fact) -> Row:
    version = next((t.rpartition("@")[2] for t in adapter.facts if t.rpartition("@")[0] == fact.id), "")
    return {"id": adapter.id, "state": adapter.state, "version": version, "reasons": list(adapter.reasons)}


def _taught_facts(snapshot: Snapshot, adapter: Adapter) -> list[Fact]:
    """The versions it was taught that still stand in the ledger."""
    wanted = set(adapter.facts)
    ids = dict.fromkeys(taught.rpartition("@")[0] for taught in adapter.facts)
    return [f for id in ids for f in snapshot.versions.get(id, ()) if f"{f.id}@{f.version}" in wanted]


def _version(fact: Fact) -> Row:
    until = f"{fact.retired_at:%Y-%m-%d %H:%M}" if fact.retired_at else "now"
    true = f"{fact.valid_from or '?'} to {fact.valid_to or ('now' if fact.status == 'current' else '?')}"
    because = f", {fact.because}" if fact.because else ""
    believed = f"believed {fact.recorded_at:%Y-%m-%d %H:%M} to {until}"
    text = f"{fact.text} True {true}, {fact.status}{because}; {believed}"
    return {"kind": "version", "id": f"{fact.id}@{fact.version}", "text": text}


def source_row(source: Source, snapshot: Snapshot) -> Row:
    """A quote, whose it is, and the words around it."""
    episode = snapshot.episodes.get(source.episode_id)
    at = source.at or (episode.at if episode else None)
    return {
        "episode": source.episode_id,
        "session": episode.session if episode else "",
        "quote": source.quote,
        "start": source.start,
        "end": source.end,
        "speaker": source.speaker or (episode.speaker if episode else ""),
        "day": f"{at:%Y-%m-%d}" if at else "",
        "content": episode.content if episode else "",
    }


def rows(records: Iterable[Stored]) -> list[Row]:
    """Records as rows: their kind, their id, and what they say in a line."""
    return [{"kind": record.kind, "id": record.id, "text": words(record)} for record in records]


def words(record: Stored) -> str:
    """A record in a line, for people: no ids where there are words."""
    match record:
        case Fact():
            return record.text
        case Episode():
            return f"{record.speaker}, {record.at:%Y-%m-%d}: {record.content}"
        case Claim():
            sign = "not " if record.polarity == "-" else ""
            return f"{record.subject} {sign}{record.predicate.replace('_', ' ')} {record.object} (“{record.quote}”)"
        case Rejection():
            return f"{record.proposed} (refused: {record.reason})"
        case Entity():
            return record.name
        case Adapter():
            return f"adapter of {len(record.facts)} facts, {record.state}"
        case Run():
            return f"{record.job}, {record.state}"
        case Summary():
            return record.text
        case Block():
            return f"{record.label}: {record.value}"
        case _:
            return record.kind


def _fields(record: Stored) -> list[list[str]]:
    """What a record holds, but for what has a place of its own on the page."""
    match record:
        case Fact():
            shown = {
                "subject": record.subject,
                "predicate": record.predicate,
                "object": record.object,
                "true from": record.valid_from or "not said",
                "true to": record.valid_to or ("now" if record.status == "current" else "not said"),
                "believed since": f"{record.recorded_at:%Y-%m-%d %H:%M} UTC",
                "status": record.status + (f" ({record.because})" if record.because else ""),
                "confidence": f"{record.confidence:.2f}",
            }
            if record.polarity == "-":
                shown["polarity"] = "it is not so"
            if record.modality != "actual":
                shown["modality"] = record.modality
        case Entity():
            shown = {"type": record.type, "also called": ", ".join(record.aliases) or "nothing else"}
            if record.merged_into:
                shown["merged into"] = record.merged_into
        case Episode():
            shown = {"session": record.session, "role": record.role, "said": f"{record.at:%Y-%m-%d %H:%M} UTC"}
            shown["read"] = record.run or "not yet"
        case Claim():
            shown = {"extractor": record.extractor, "confidence": f"{record.confidence:.2f}", "run": record.run or ""}
        case Adapter():
            shown = {"state": record.state, "made": f"{record.created_at:%Y-%m-%d %H:%M} UTC", "base": record.base}
            if record.reasons:
                shown["reasons"] = "; ".join(record.reasons)
        case _:
            shown = {}
    return [[name, str(value)] for name, value in shown.items()]
