"""One record's page: what it says, where it was said, what rests on it, and whether weights know it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from memory_agent.consolidation import grounding
from memory_agent.distillation.selection import REASONS
from memory_agent.records import Adapter, Block, Claim, Entity, Episode, Fact, Rejection, Run, Source, Stored, Summary
from memory_agent.views import times
from memory_agent.views.snapshot import Snapshot

Row = dict[str, Any]
_FACT = re.compile(r"\bfact (\S+)")


def record_view(snapshot: Snapshot, id: str) -> Row:
    """The page of the record of that id, as plain values. Raises NotFound.

    `kind`, `id`, `title`; `fields` as [name, text]; `sources` (quotes); `versions`, `rests_on` and
    `supports` as rows of {kind, id, text}; `adapters` that were taught it; `taught`, why it is or
    would not be put into weights; `can`, what may be done with it. A fact's has `is`, its parts as
    they are kept, a turn's `content`.
    """
    record = snapshot.record(id)
    page: Row = {
        "kind": record.kind,
        "id": record.id,
        "title": words(record),
        "fields": _fields(record, snapshot),
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
        page["content"] = record.content
        page["can"] = ["correct", "forget"]
    elif isinstance(record, Claim | Rejection):
        page["rests_on"] = rows(e for e in [snapshot.episodes.get(record.episode_id)] if e)
        page["can"] = ["forget"]
    elif isinstance(record, Adapter):
        page["rests_on"] = rows(taught_facts(snapshot, record))
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
        "versions": [_version(version, snapshot) for version in snapshot.versions[fact.id]],
        "rests_on": rows(claims),
        "supports": rows((*snapshot.fallen_with.get(fact.id, ()), *summaries)),
        "adapters": [_adapter(adapter, fact, snapshot) for adapter in adapters],
        "is": {name: getattr(fact, name) for name in ("subject", "predicate", "object", "valid_from", "valid_to")},
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


def _adapter(adapter: Adapter, fact: Fact, snapshot: Snapshot) -> Row:
    version = next((t.rpartition("@")[2] for t in adapter.facts if t.rpartition("@")[0] == fact.id), "")
    reasons = [_spelt(reason, snapshot) for reason in adapter.reasons]
    return {"id": adapter.id, "state": adapter.state, "version": version, "reasons": reasons}


def _spelt(reason: str, snapshot: Snapshot) -> str:
    """A reason ("fact fact_1a superseded") with the words of the facts in the place of their ids."""
    return _FACT.sub(lambda found: _quoted(found[1], snapshot), reason)


def _quoted(id: str, snapshot: Snapshot) -> str:
    return f"“{snapshot.versions[id][-1].text}”" if id in snapshot.versions else f"fact {id}"


def taught_facts(snapshot: Snapshot, adapter: Adapter) -> list[Fact]:
    """The versions it was taught that still stand in the ledger."""
    wanted = set(adapter.facts)
    ids = dict.fromkeys(taught.rpartition("@")[0] for taught in adapter.facts)
    return [f for id in ids for f in snapshot.versions.get(id, ()) if f"{f.id}@{f.version}" in wanted]


def because(snapshot: Snapshot, fact: Fact) -> str:
    """Why it is superseded, stale or disputed, in words: what it was for, and the fact that caused it."""
    return caused(fact, lambda id: snapshot.versions[id][-1].text if id in snapshot.versions else None)


def caused(fact: Fact, text: Callable[[str], str | None]) -> str:
    """As `because`, with the words of facts from `text`: None where a fact is not known."""
    id, _, word = (fact.because or "").partition(" ")
    cause = text(id)
    return word if cause is None else f"{word}: {cause}"


def proposed(rejection: Rejection) -> str:
    """What an extractor proposed, as a line without the marks it is kept with ("Ana | -plays | cello")."""
    parts = rejection.proposed.split(" | ")
    if len(parts) != 3:
        return rejection.proposed
    subject, said, object = parts
    return f"{subject} {'not ' if said.startswith('-') else ''}{said.lstrip('+-').replace('_', ' ')} {object}"


def why_refused(reason: str) -> str:
    """The word by which a proposal was refused, in words; one that is not known stays as it is."""
    return "a person corrected it" if reason == "corrected" else grounding.REASONS.get(reason, reason)


def _version(fact: Fact, snapshot: Snapshot) -> Row:
    why = because(snapshot, fact)
    until = times.minute(fact.retired_at) if fact.retired_at else "now"
    true = f"{times.period(fact, snapshot.ontology)}; {fact.status}{f' ({why})' if why else ''}"
    text = f"{fact.text} True {true}. Believed from {times.minute(fact.recorded_at)} to {until}."
    return {"kind": "version", "id": f"{fact.id}@{fact.version}", "number": fact.version, "text": text}


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
        "day": times.day(at) if at else "",
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
            return f"{record.speaker}, {times.day(record.at)}: {record.content}"
        case Claim():
            sign = "not " if record.polarity == "-" else ""
            return f"{record.subject} {sign}{record.predicate.replace('_', ' ')} {record.object} (“{record.quote}”)"
        case Rejection():
            return f"{proposed(record)} (refused: {why_refused(record.reason)})"
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


def _fields(record: Stored, snapshot: Snapshot) -> list[list[str]]:
    """What a record holds, but for what has a place of its own on the page."""
    match record:
        case Fact():
            why = because(snapshot, record)
            shown = {
                "subject": record.subject,
                "predicate": record.predicate.replace("_", " "),
                "object": record.object,
                "true": times.period(record, snapshot.ontology),
                "believed since": times.minute(record.recorded_at),
                "status": record.status + (f" ({why})" if why else ""),
                "confidence": f"{record.confidence:.0%}",
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
            shown = {"session": record.session, "role": record.role, "said": times.minute(record.at)}
            shown["read"] = record.run or "not yet"
        case Claim():
            shown = {"extractor": record.extractor, "confidence": f"{record.confidence:.0%}", "run": record.run or ""}
        case Adapter():
            shown = {"state": record.state, "made": times.minute(record.created_at), "base": record.base}
            if record.reasons:
                shown["reasons"] = "; ".join(_spelt(reason, snapshot) for reason in record.reasons)
        case _:
            shown = {}
    return [[name, str(value)] for name, value in shown.items()]
