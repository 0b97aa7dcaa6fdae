"""Checks of what cannot be made anew: turns, what was read in them, and the times at which it was believed."""

from __future__ import annotations

from collections.abc import Iterator

from memory_agent.doctor.finding import Finding, Subject, listed
from memory_agent.episodic.taking import digest
from memory_agent.fence import strip_fenced
from memory_agent.records import Rejection


def turns(subject: Subject) -> Iterator[Finding]:
    """Each turn says what its digest was taken over, and nothing that was recalled into a prompt."""
    altered, echoed = [], []
    for turn in subject.episodes.values():
        if turn.digest != digest(turn.session, turn.speaker, turn.at, turn.content):
            altered.append(turn.id)
        if strip_fenced(turn.content)[1]:
            echoed.append(turn.id)
    if altered:
        yield Finding("durable", f"turns do not say what was stored: {listed(altered)}")
    if echoed:
        yield Finding("recalled", f"turns hold recalled text: {listed(echoed)}")


def claims(subject: Subject) -> Iterator[Finding]:
    """Each claim and refusal names a turn, and each claim quotes it; no claim comes from an instruction."""
    loose, misquoted, instructed = [], [], []
    for claim in subject.claims:
        turn = subject.episodes.get(claim.episode_id)
        if turn is None:
            loose.append(claim.id)
        elif turn.content[claim.start : claim.end] != claim.quote:
            misquoted.append(claim.id)
        elif "instruction" in turn.flags:
            instructed.append(claim.id)
    refused = [r.id for r in subject.held.select(Rejection) if r.episode_id not in subject.episodes]
    for ids, what in (
        (loose, "claims were read in turns that are gone"),
        (misquoted, "claims quote what their turns do not say"),
        (refused, "refusals name turns that are gone"),
    ):
        if ids:
            yield Finding("lineage", f"{what}: {listed(ids)}")
    if instructed:
        yield Finding("instructions", f"claims come from turns that look like instructions: {listed(instructed)}")


def entities(subject: Subject) -> Iterator[Finding]:
    """Whoever is named by a claim or a merge is there."""
    named = {id for claim in subject.claims for id in (claim.subject_id, claim.object_id) if id}
    named |= {entity.merged_into for entity in subject.entities.values() if entity.merged_into}
    if missing := sorted(named - set(subject.entities)):
        yield Finding("lineage", f"entities are named that are gone: {listed(missing)}")


def times(subject: Subject) -> Iterator[Finding]:
    """A version is retired after it was recorded; of a fact one version at most is current, and it is the last."""
    backwards = sorted({f.id for f in subject.facts if f.retired_at is not None and f.retired_at < f.recorded_at})
    last: dict[str, int] = {}
    for fact in subject.facts:
        last[fact.id] = max(last.get(fact.id, 0), fact.version)
    wrong = sorted({f.id for f in subject.current if f.version != last[f.id]})
    if backwards:
        yield Finding("time", f"versions were retired before they were recorded: {listed(backwards)}")
    if wrong:
        yield Finding("time", f"an older version of a fact is current: {listed(wrong)}")
