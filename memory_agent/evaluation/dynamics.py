"""What a memory makes of lives that change: current values, past ones, consequences, ignorance, deletion.

Worlds (`worlds.py`) are taken in as dialogue, old conversations among them arriving late, read by the
extractor, and the stored state is compared with the truth. A slot (one predicate of one person) counts
only if all its statements were read as they were meant, so these are figures of the state, not of the
reading; `extracted` says how many were.

    current    the one value that holds now, no other beside it
    as_of      the value that held in the middle of each known stretch
    cascade    a dependent value is stale, says why, and says so when it is searched for; one whose ground stands is not
    absence    nothing is said of what was never told, of strangers, and of namesakes
    deletion   after `forget` of a turn, no byte of a word that only it held is in any file of the store
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from memory_agent.evaluation.report import Plot, Report, Table, stamped
from memory_agent.evaluation.worlds import Said, Slot, World, build, words
from memory_agent.memory import Memory
from memory_agent.protocols import Extractor, Progress, Query
from memory_agent.records import Claim, Fact, PartialDate
from memory_agent.semantic.folding import fold_value

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

SINGLE = ("lives_in", "works_at", "occupation", "manager", "commute", "partner", "diet")
STRANGERS = ("Quentin Zwart", "Philippa Oduya", "Ravi Castellan")


class _Score:
    """Right answers out of all, by name, and the first few wrong ones."""

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.n: Counter[str] = Counter()
        self.wrong: list[str] = []

    def take(self, name: str, right: bool, what: str = "") -> None:
        self.n[name] += 1
        self.right[name] += right
        if not right:
            self.wrong.append(f"{name}: {what}")

    def report(self, *names: str) -> dict[str, Any]:
        return {
            name: {"value": round(self.right[name] / self.n[name], 4) if self.n[name] else None, "n": self.n[name]}
            for name in names
        }


def run(
    seed: int = 0,
    *,
    worlds: int = 5,
    people: int = 6,
    templates: str = "held",
    extractor: Extractor | None = None,
    embedder: Embeddings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build `worlds` worlds from `seed` on, live through each in a store of its own, and score it.

    `templates` is "held" for figures, "seen" for the wordings that rules were written with. Raises what
    `Memory.open` and the extractor raise.
    """
    began, score, lost, doomed = perf_counter(), _Score(), 0, 0
    for number in range(worlds):
        if progress:
            progress(number / worlds, f"world {number + 1}")
        world = build(seed * 1000 + number, people=people, templates=templates)
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "store"
            with Memory.open(str(store), user="kit", embedder=embedder) as memory:
                _live(memory, world, extractor)
                _score(memory, world, score)
                for turn, _ in world.doomed:
                    memory.forget(turn, reason="evaluation")
                _deleted(memory, world, score)
            found = residue(store, [word for _, word in world.doomed])
            lost, doomed = lost + sum(found.values()), doomed + len(world.doomed)
            for _, word in world.doomed:
                score.take("deletion", word not in found, f"{word} stays in a file")
    names = ("extracted", "current", "as_of", "cascade", "absence", "deletion")
    return {
        "seed": seed,
        "worlds": worlds,
        "templates": templates,
        **score.report(*names),
        "deletion_residue_bytes": {"value": lost, "n": doomed},
        "seconds": round(perf_counter() - began, 1),
        "wrong": score.wrong,
    }


AIMS = {"current": 0.98, "as_of": 0.97, "cascade": 0.95, "absence": 0.98, "deletion": 1.0}


def report(found: Mapping[str, Any]) -> Report:
    """What `run` found, as a page shows it."""
    names = ("extracted", *AIMS)
    rows = [(name, found[name]["value"], found[name]["n"], AIMS.get(name)) for name in names]
    left = found["deletion_residue_bytes"]
    rows.append(("bytes left of what was forgotten", left["value"], left["n"], 0))
    plot = Plot(
        name="figures",
        title="The state of invented lives, scored against the truth",
        form="bars",
        groups=names,
        series={"measured": tuple(found[name]["value"] for name in names), "aim": tuple(map(AIMS.get, names))},
    )
    table = Table(columns=("figure", "value", "n", "aim"), rows=tuple(rows))
    return stamped("dynamics", "Dynamics", tables=[table], plots=[plot], seeds=[found["seed"]])


def residue(folder: Path, needles: Sequence[str]) -> dict[str, int]:
    """How many bytes of each needle still stand in files under `folder`, whatever their case; those that do only.

    Looks for UTF-8 and UTF-16, in every file, after the store was closed.
    """
    found: Counter[str] = Counter()
    for path in (p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes().lower()
        for needle in needles:
            for form in {needle.lower().encode(), needle.lower().encode("utf-16-le")}:
                found[needle] += len(form) * content.count(form)
    return {needle: count for needle, count in found.items() if count}


def _live(memory: Memory, world: World, extractor: Extractor | None) -> None:
    """Take the world in, half of its sessions first, so that the rest arrives late."""
    half = len(world.sessions) // 2
    for part in (world.sessions[:half], world.sessions[half:]):
        for name, turns in part:
            memory.add(turns, session=name)
        memory.consolidate(extractor=extractor)


def _score(memory: Memory, world: World, score: _Score) -> None:
    claims: dict[str, list[Claim]] = {}
    for claim in memory.space.ledger.select(Claim, Query()):
        claims.setdefault(claim.episode_id, []).append(claim)
    read = {}
    for slot in world.slots:
        for said in slot.said:
            read[id(said)] = any(_means(c, said) for c in claims.get(said.turn, ()))
            score.take("extracted", read[id(said)], f"{slot.person} {said.predicate} {said.value}")
    whole = {id(s): all(read[id(said)] for said in s.said) for s in world.slots}
    for slot in world.slots:
        if not whole[id(slot)]:
            continue
        if slot.dependent:
            grounds = [s for s in world.slots if s.person == slot.person and s.predicate in _GROUNDS[slot.predicate]]
            if all(whole[id(s)] for s in grounds):
                _cascade(memory, slot, score)
            continue
        _current(memory, slot, score)
        for moment, value in _stretches(slot):
            held = _values(memory.facts(slot.person, as_of=moment, predicate=slot.predicate))
            score.take("as_of", held == {fold_value(value)}, f"{slot.person} {slot.predicate} {moment:%Y-%m}: {held}")
    _absence(memory, world, score)


_GROUNDS = {"commute": ("lives_in", "works_at"), "manager": ("works_at",), "plans": ("partner",)}


def _means(claim: Claim, said: Said) -> bool:
    """Whether the claim says what was meant, dates and all."""
    date = claim.valid_from if said.polarity == "+" else claim.valid_to
    dated = said.since is None or (date is not None and str(date).startswith(said.since))
    told = fold_value(said.value)
    same = told == fold_value(claim.object) or told in fold_value(claim.object).split()
    same = same or (said.predicate in ("plans", "commute") and told in fold_value(claim.object))
    signs = claim.polarity == said.polarity and claim.modality == said.modality
    return claim.predicate == said.predicate and same and signs and dated


def _values(facts: Sequence[Fact]) -> set[str]:
    """What is asserted: the objects of facts that stand, the disputed left out."""
    return {
        fold_value(f.object) for f in facts if f.polarity == "+" and f.modality == "actual" and f.status != "disputed"
    }


def _current(memory: Memory, slot: Slot, score: _Score) -> None:
    own = [s for s in slot.said if s.own]
    truth = {fold_value(own[-1].value)} if own[-1].polarity == "+" else set()
    found = _values(memory.facts(slot.person, predicate=slot.predicate))
    score.take("current", found == truth, f"{slot.person} {slot.predicate}: {found}, not {truth}")


def _stretches(slot: Slot) -> Iterator[tuple[datetime, str]]:
    """(a moment, the value that held then) for each stretch whose bounds are known."""
    own = [s for s in slot.said if s.own]
    for one, after in zip(own, [*own[1:], None], strict=True):
        if one.polarity == "-":
            continue
        start = PartialDate(one.since).latest if one.since else one.at
        end = one.at + timedelta(days=30)
        if after is not None:
            end = PartialDate(after.since).earliest if after.since else after.at - timedelta(days=1)
        if start < end:
            yield start + (end - start) / 2, one.value


def _cascade(memory: Memory, slot: Slot, score: _Score) -> None:
    said = slot.said[0]
    facts = [
        f
        for f in memory.facts(slot.person, predicate=slot.predicate)
        if fold_value(said.value) in fold_value(f.object) and f.subject == slot.person
    ]
    for fact in facts[:1]:
        right = (fact.status == "stale") == slot.stale
        if slot.stale:
            hits = memory.search(fact.text, limit=10, kinds=("fact",)).hits
            says = any(hit.record.id == fact.id and "stale" in hit.why.note for hit in hits)
            right = right and bool(fact.because) and says
        score.take("cascade", right, f"{slot.person} {slot.predicate} {fact.status}, stale is {slot.stale}")
    if not facts:
        score.take("cascade", False, f"{slot.person} {slot.predicate} {said.value} is gone")


def _absence(memory: Memory, world: World, score: _Score) -> None:
    told = {(s.person, s.predicate) for s in world.slots}
    for person in world.people:
        for predicate in words("never_told"):
            found = memory.facts(person, predicate=predicate)
            score.take("absence", not found or (person, predicate) in told, f"{person} {predicate}: {_values(found)}")
    for stranger in STRANGERS:
        for predicate in SINGLE:
            found = memory.facts(stranger, predicate=predicate)
            score.take("absence", not found, f"{stranger} {predicate}: {_values(found)}")


def _deleted(memory: Memory, world: World, score: _Score) -> None:
    """Of what was forgotten, nothing is found any more."""
    for _, word in world.doomed:
        hits = memory.search(word, limit=10).hits
        shown = [h for h in hits if word.casefold() in str(h.record).casefold()]
        score.take("deletion", not shown, f"{word} is found")
