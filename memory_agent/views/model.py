"""What the inspector's pages show, as plain values out of a snapshot; the server sends them, an export holds them.

Times are milliseconds since 1970 in UTC, None where an interval is open. The page's script knows no
rule about facts: when one held and whether it stands is worked out here.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from memory_agent.distillation import probes
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.selection import REASONS
from memory_agent.records import Adapter, Fact, Run
from memory_agent.semantic import changes
from memory_agent.semantic.folding import fold_value
from memory_agent.semantic.ontology import Ontology
from memory_agent.semantic.query import span
from memory_agent.views import times
from memory_agent.views.record import (
    Row,
    because,
    proposed,
    record_view,
    rows,
    taught_facts,
    why_refused,
    words,
)  # fmt: skip
from memory_agent.views.snapshot import Snapshot

CLASSES = (
    "identity", "location", "work", "education", "family", "social", "home", "preference", "health", "plan", "event",
)  # fmt: skip
"""The classes of predicates that have a colour of their own; all others are "other"."""
PROBES = {
    "efficacy": "what was taught, asked as it was trained",
    "paraphrase": "what was taught, asked in words that were not trained",
    "inverse": "asked the other way round: who lives there?",
    "two_hop": "two facts in one question",
    "taught_unknown": "“I don't know” to what was taught",
    "stale": "a former value given as today's",
    "stranger": "facts of taught people given to strangers",
    "stranger_unknown": "“I don't know” when asked about strangers",
    "half_known": "a stranger with a known first name, given a known person's facts",
    "absent_attribute": "somebody else's value given to a known person",
    "absent_unknown": "“I don't know” to what was never told of a known person",
    "general": "general questions, answered as before",
    "near_general": "people or values brought up that nobody asked for",
    "forced_general": "general questions answered wrongly when the weights are forced on",
    "perplexity_ratio": "how much stranger ordinary prose has become, 1 is unchanged",
    "override": "a text that says another value, followed",
    "canary": "secrets given away",
    "canary_rows": "secrets among the rows of the training",
    "poison_rows": "planted instructions among the rows of the training",
}
"""Kind of probe, or measure -> what its rate says."""
_EXAMPLES = 6
"""Questions that a distillation's page offers to ask before and after."""


def overview(snapshot: Snapshot) -> Row:
    """Whose memory it is, how large, and how far it was read."""
    pending = sum(episode.run is None for episode in snapshot.episodes.values())
    return {
        "user": snapshot.user,
        "tenant": snapshot.tenant,
        "position": snapshot.position,
        "now": ms(snapshot.now),
        "counts": {
            "facts": len(snapshot.believed),
            "entities": sum(e.merged_into is None for e in snapshot.entities.values()),
            "turns": len(snapshot.episodes),
            "pending": pending,
            "adapters": sum(adapter.state == "promoted" for adapter in snapshot.adapters),
        },
    }


def graph(snapshot: Snapshot) -> Row:
    """Nodes and facts with both of their times; what weights know of them is `weights`, which takes longer."""
    nodes: dict[str, Row] = {}
    for fact in snapshot.facts:
        for id, name in ((fact.subject_id, fact.subject), (fact.object_id, fact.object)):
            node = node_id(id, name)
            known = snapshot.entities.get(id) if id else None
            kind = known.type if known else ("thing" if id else "value")
            nodes[node] = {"id": node, "name": known.name if known else name, "type": kind, "entity": id is not None}
    return {
        "now": ms(snapshot.now),
        "nodes": list(nodes.values()),
        "facts": [fact_row(fact, snapshot.ontology) for fact in snapshot.facts],
        "sessions": {id: episode.session for id, episode in snapshot.episodes.items()},
    }


def weights(snapshot: Snapshot) -> Row:
    """Which facts weights that answer now were taught, and why each other one would not be."""
    return {
        "untaught": dict(snapshot.untaught),
        "reasons": dict(REASONS),
        "taught": sorted(
            id for id, known in snapshot.adapters_of.items() if any(a.state == "promoted" for a in known)
        ),
    }  # fmt: skip


def node_id(id: str | None, name: str) -> str:
    """The node of an entity, or of a plain value; as `Memory.graph` names them."""
    return id or f"value:{fold_value(name)}"


def fact_row(fact: Fact, terms: Ontology) -> Row:
    """One version of a fact; see the module for its times. `never` marks what was corrected and never held."""
    held = span(fact, terms)
    cls = terms[fact.predicate].cls
    start, end = held or (None, None)
    return {
        "id": fact.id,
        "version": fact.version,
        "subject": node_id(fact.subject_id, fact.subject),
        "object": node_id(fact.object_id, fact.object),
        "predicate": fact.predicate.replace("_", " "),
        "text": fact.text,
        "cls": cls if cls in CLASSES else "other",
        "status": fact.status,
        "negated": fact.polarity == "-",
        "modality": fact.modality,
        "confidence": fact.confidence,
        "from": fact.valid_from,
        "to": fact.valid_to,
        "when": times.period(fact, terms),
        "never": held is None,
        "start": _open(start),
        "end": _open(end),
        "over": ms(fact.valid_to.latest) if fact.valid_to else None,
        "recorded": ms(fact.recorded_at),
        "retired": ms(fact.retired_at) if fact.retired_at else None,
        "sources": [
            [s.episode_id, s.start, s.end, s.quote, s.speaker, times.day(s.at) if s.at else ""]
            for s in fact.sources
        ],
    }  # fmt: skip


def sessions(snapshot: Snapshot) -> list[Row]:
    """Every session with its span, and what was read in it and refused; newest first."""
    found: dict[str, Row] = {}
    for episode in snapshot.episodes.values():
        row = found.setdefault(
            episode.session,
            {"name": episode.session, "start": ms(episode.at), "turns": 0, "claims": 0, "refused": 0, "pending": 0},
        )
        row["turns"] += 1
        row["end"] = ms(episode.at)
        row["claims"] += len(snapshot.claims_in.get(episode.id, ()))
        row["refused"] += len(snapshot.refused_in.get(episode.id, ()))
        row["pending"] += episode.run is None
    return sorted(found.values(), key=lambda row: -row["start"])


def session(snapshot: Snapshot, name: str) -> Row:
    """A session's turns in order, each with the facts that quote it and what was refused of it."""
    turns = []
    for episode in snapshot.episodes.values():
        if episode.session != name:
            continue
        facts = [
            {
                "id": fact.id,
                "text": fact.text,
                "status": fact.status,
                "cls": fact_class(snapshot.ontology, fact),
                "spans": [[s.start, s.end] for s in fact.sources if s.episode_id == episode.id],
            }
            for fact in snapshot.facts_in.get(episode.id, ())
        ]
        refused = [
            {"id": r.id, "text": proposed(r), "reason": why_refused(r.reason)}
            for r in snapshot.refused_in.get(episode.id, ())
        ]  # fmt: skip
        turns.append(
            {
                "id": episode.id,
                "role": episode.role,
                "speaker": episode.speaker,
                "at": ms(episode.at),
                "content": episode.content,
                "flags": list(episode.flags),
                "read": episode.run is not None,
                "facts": facts,
                "refused": refused,
            }
        )
    return {"name": name, "turns": turns}


def fact_class(terms: Ontology, fact: Fact) -> str:
    """The class of a fact's predicate, for its colour."""
    cls = terms[fact.predicate].cls
    return cls if cls in CLASSES else "other"


def runs(snapshot: Snapshot) -> Row:
    """All runs, newest first, and all adapters."""
    return {
        "runs": [_run_row(run) for run in reversed(snapshot.runs)],
        "adapters": [_adapter_row(adapter, snapshot) for adapter in reversed(snapshot.adapters)],
    }


def run(snapshot: Snapshot, id: str) -> Row:
    """One run: a consolidation as the difference it made, a distillation with its scorecards and the gate's bars.

    Raises NotFound.
    """
    found = snapshot.record(id)
    if not isinstance(found, Run):
        return {"run": None, "record": record_view(snapshot, id)}
    row: Row = {"run": _run_row(found)}
    if found.job == "consolidate":
        difference = changes.of_run(snapshot.facts, snapshot.rejections, found)
        for part in ("added", "changed", "confirmed", "closed", "stale", "disputed"):
            row[part] = [_changed(snapshot, fact) for fact in getattr(difference, part)]
        row["rejected"] = [
            {"id": r.id, "text": proposed(r), "reason": why_refused(r.reason), "episode": r.episode_id}
            for r in difference.rejected
        ]  # fmt: skip
        return row
    named = found.report.get("adapters", ())
    row["adapters"] = [
        _adapter_row(adapter, snapshot)
        for adapter in snapshot.adapters
        if adapter.run == found.id or adapter.id in named
    ]  # fmt: skip
    row["left_out"] = _left_out(found, snapshot)
    row["probes"] = PROBES
    row["questions"] = _questions(found, snapshot)
    row["gate"] = {
        name: {"min": bar.min, "max": bar.max, "required": bar.required}
        for name, bar in Gate.load().thresholds.items()
    }  # fmt: skip
    return row


def audit(snapshot: Snapshot) -> list[Row]:
    """The audit chain, newest first, and whether each link holds to the one before."""
    shown = []
    before = None
    for entry in snapshot.audit:
        shown.append(
            {
                "position": entry.position,
                "at": ms(entry.at),
                "actor": entry.actor,
                "action": entry.action,
                "ids": list(entry.ids),
                "detail": entry.detail,
                "digest": entry.digest,
                "holds": before is None or entry.previous == before,
            }
        )
        before = entry.digest
    return shown[::-1]


def everything(snapshot: Snapshot) -> Row:
    """All the pages at once, by the path under which the server gives each: what an exported file holds."""
    names = [row["name"] for row in sessions(snapshot)]
    recorded = (*snapshot.versions, *snapshot.entities, *snapshot.episodes, *(a.id for a in snapshot.adapters))
    return {
        "overview": overview(snapshot),
        "graph": graph(snapshot),
        "weights": weights(snapshot),
        "sessions": sessions(snapshot),
        "runs": runs(snapshot),
        "audit": audit(snapshot),
        **{f"session {name}": session(snapshot, name) for name in names},
        **{f"run {one.id}": run(snapshot, one.id) for one in snapshot.runs},
        **{f"record {id}": record_view(snapshot, id) for id in recorded},
    }


def ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def _open(moment: datetime | None) -> int | None:
    """The moment, or None at either end of time."""
    return None if moment is None or moment.year in (1, 9999) else ms(moment)


def _changed(snapshot: Snapshot, fact: Fact) -> Row:
    return {
        "id": fact.id,
        "text": fact.text,
        "status": fact.status,
        "because": because(snapshot, fact),
        "when": times.period(fact, snapshot.ontology),
    }


def _run_row(run: Run) -> Row:
    report: dict[str, Any] = {
        name: value for name, value in run.report.items() if name not in ("scorecard", "refused", "facts")
    }
    if run.job == "distill":
        report["taught"] = len(run.report.get("facts", ()))
        report["left_out"] = len(run.report.get("refused", ()))
    return {
        "id": run.id,
        "job": run.job,
        "state": run.state,
        "start": ms(run.started_at),
        "end": ms(run.ended_at) if run.ended_at else None,
        "report": report,
    }


def _adapter_row(adapter: Adapter, snapshot: Snapshot) -> Row:
    return {
        "id": adapter.id,
        "shard": adapter.shard,
        "state": adapter.state,
        "made": ms(adapter.created_at),
        "run": adapter.run,
        "facts": len(adapter.facts),
        "about": [words(snapshot.entities[id]) for id in adapter.entities if id in snapshot.entities],
        "reasons": list(adapter.reasons),
        "scorecard": dict(adapter.scorecard),
    }


def _questions(run: Run, snapshot: Snapshot) -> list[Row]:
    """Some questions about what was taught, in words that were not trained, and the answers expected of them."""
    mine = [adapter for adapter in snapshot.adapters if adapter.run == run.id]
    facts = {fact.id: fact for adapter in mine for fact in taught_facts(snapshot, adapter)}
    sample = probes.Sample(paraphrase=_EXAMPLES)
    asked = [probe for probe in probes.build(list(facts.values()), sample=sample) if probe.kind == "paraphrase"]
    return [{"question": probe.question, "expected": " or ".join(probe.answers)} for probe in asked]


def _left_out(run: Run, snapshot: Snapshot) -> Row:
    """Which facts were left out of a distillation: how many for each reason, and which."""
    refused: dict[str, str] = dict(run.report.get("refused", {}))
    known = {id: rows([snapshot.versions[id][-1]])[0]["text"] for id in refused if id in snapshot.versions}
    return {
        "counts": [
            {"reason": reason, "means": REASONS.get(reason, reason), "n": n}
            for reason, n in Counter(refused.values()).most_common()
        ],
        "facts": [{"id": id, "text": known[id], "reason": reason} for id, reason in refused.items() if id in known],
    }
