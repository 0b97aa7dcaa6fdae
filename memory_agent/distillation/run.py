"""The job that puts stable facts into weights: select, shard, train, probe, judge, promote.

Under the job's lock, and outside any transaction until the end: training takes minutes, and writers
never wait for it. The last step is one transaction that looks again whether every taught fact still
stands as it was taught, and either lets the new adapters answer or refuses them. So a kill at any
instant leaves the old adapters answering; the next run marks the dead one failed, takes up its job
folder if the shard is still the same, and deletes it if not.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from memory_agent.distillation import registry
from memory_agent.distillation.asking import ask_probes
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.familiarity import is_familiar
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.job import Job, prepare, read
from memory_agent.distillation.matching import names, names_any
from memory_agent.distillation.paraphrasing import Paraphraser
from memory_agent.distillation.probes import Sample, build
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.routing import Router, facts_taught
from memory_agent.distillation.scorecard import Scorecard
from memory_agent.distillation.selection import DOUBTED, Policy, Selection, select_from
from memory_agent.distillation.sharding import CAP, Shard, content, digest, layout
from memory_agent.distillation.templates import load_templates
from memory_agent.distillation.trainers import Train, method_of, trainer_of
from memory_agent.errors import MemoryAgentError, NothingToDistill, TrainerFailed, TrainingElsewhere
from memory_agent.models.local import LocalModel
from memory_agent.protocols import Progress, Query, Trainer
from memory_agent.records import Adapter, DistillationReport, Entity, Fact, Run, Tombstone
from memory_agent.semantic import ontology
from memory_agent.space import Space

JOB = "distill"
_TRAINING = 0.96
"""Share of the progress bar that preparing and training take; probing has the rest."""
_PREPARING = 0.05
"""Share of that in which the base answers the replayed questions."""
_CHANGED = "facts changed meanwhile"


@dataclass(frozen=True)
class Options:
    """What else decides a run: what may be taught, how it is probed and judged, how large shards get."""

    policy: Policy = field(default_factory=Policy)
    gate: Gate = field(default_factory=Gate.load)
    sample: Sample = field(default_factory=Sample)
    cap: int = CAP
    paraphraser: Paraphraser | None = None
    """Writes more forms of what is taught; by default that of the settings, if they want one."""


def options_of(space: Space, options: Options | None = None) -> Options:
    """The options a run in that space has: what is not given is the settings'. Raises InvalidInput as they do."""
    options = options or Options(policy=Policy.of(space.settings, space.user))
    return options if options.paraphraser else replace(options, paraphraser=Paraphraser.of(space))


@dataclass(frozen=True)
class Plan:
    """What a run would do: the shards that stand as they are, and those to be built."""

    selection: Selection
    clean: Mapping[str, Adapter]
    """Shard id -> the adapter that was built from just these facts."""
    dirty: Sequence[Shard]
    digests: Mapping[str, str]
    refused: Mapping[str, Adapter]
    """Shard id -> the adapter of just these facts that did not pass the gate."""

    def facts_of(self, shard: str) -> tuple[Fact, ...]:
        """The facts of a shard that is to be built, present and past."""
        return next((*one.facts, *one.past) for one in self.dirty if one.id == shard)

    @property
    def taught(self) -> frozenset[str]:
        """Ids of the entities of all shards."""
        return frozenset(fact.subject_id for fact in self.selection.facts)


def plan(space: Space, recipe: Recipe, seed: int, options: Options, base: str, method: str) -> Plan:
    """Look what there is to do; writes nothing. `base` is the student's revision, `method` the trainer's name."""
    selection = select_from(space.ledger, ontology.load(), space.clock.now(), options.policy)
    made_with = {
        "recipe": recipe.model_dump(mode="json"),
        "seed": seed,
        "base": base,
        "method": method,
        "templates": hashlib.sha256(load_templates().model_dump_json().encode()).hexdigest(),
        "version": version("slowwave"),
        **_written_by(options.paraphraser),
    }
    shards = layout(selection.facts, options.cap, selection.past)
    digests = {shard.id: digest((*shard.facts, *shard.past), made_with) for shard in shards}
    built: dict[str, Adapter] = {}
    refused: dict[str, Adapter] = {}
    for adapter in registry.with_state(space.ledger, "promoted", "previous", "refused"):
        which = refused if adapter.state == "refused" else built
        which[str(adapter.scorecard.get("digest"))] = adapter
    clean = {}
    for shard in shards:
        found = built.get(digests[shard.id])
        if found and registry.is_whole(space, found) and not registry.fallen(space.ledger, found):
            clean[shard.id] = found
    return Plan(
        selection,
        clean,
        [shard for shard in shards if shard.id not in clean],
        digests,
        {shard.id: refused[digests[shard.id]] for shard in shards if digests[shard.id] in refused},
    )


def distill(
    space: Space,
    *,
    recipe: Recipe | None = None,
    trainer: str | Trainer | Train | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    options: Options | None = None,
) -> DistillationReport:
    """Put the stable facts into adapters, and promote those that pass the gate.

    Shards whose facts, recipe, seed and base are those of an adapter that stands are not built again.
    `trainer` is a trainer, the name of one, or a function `(job, out, progress) -> folder`; it and the recipe are the
    settings' by default.
    Raises NothingToDistill with the reasons counted, TrainerFailed, TrainingElsewhere, StoreBusy when the job
    runs already, and what the student raises.
    """
    began = time.monotonic()
    with space.ledger.lock(registry.LOCK):
        _fail_dead_runs(space)
        registry.check_key(space)
        student = LocalModel.load(space.settings)
        run = _Distillation(
            space,
            student,
            recipe or Recipe.of(space.settings),
            trainer_of(space.settings, trainer),
            seed,
            options_of(space, options),
            progress or _silent,
        )
        return run.carry_out(began)


def train_shard(
    shard: Shard,
    folder: Path,
    student: LocalModel,
    recipe: Recipe,
    trainer: Trainer,
    seed: int = 0,
    progress: Progress | None = None,
    paraphraser: Paraphraser | None = None,
) -> tuple[int, Path]:
    """Prepare the shard's job in `folder` and train it: the number of rows, and the adapter's folder.

    A job or an adapter that lies in `folder` already is taken as it is: each appears whole, so a run was killed
    after it, and the folder is for this shard, recipe, seed, student and paraphraser alone. Raises TrainerFailed, and
    what the models raise.
    """
    told = progress or _silent
    taught = [TaughtFact.of(fact) for fact in (*shard.facts, *shard.past)]
    job = _prepared(folder / "job", recipe, student, seed, taught)
    if job is None:
        forms = paraphraser.write(taught) if paraphraser else None
        job = prepare(folder / "job", taught, recipe, student, seed, _first(told, _PREPARING), forms)
    out = folder / "out"
    if not out.is_dir():
        out = trainer.train(folder / "job", out, _rest(told, _PREPARING))
    return job.rows, out


def _prepared(folder: Path, recipe: Recipe, student: LocalModel, seed: int, taught: Sequence[TaughtFact]) -> Job | None:
    """The job in `folder`, if there is a whole one that was prepared with just this."""
    try:
        job, _ = read(folder)
    except TrainerFailed:
        return None
    made_with = (job.recipe, job.seed, job.base_revision, job.base_folder, job.facts)
    wanted = (recipe.settled(len(taught)), seed, student.revision, str(student.weights.folder), len(taught))
    return job if made_with == wanted else None


def _written_by(paraphraser: Paraphraser | None) -> dict[str, str]:
    """What a digest and a manifest say of a paraphraser; nothing where there is none."""
    return {} if paraphraser is None else {"paraphrases": paraphraser.name}


def _silent(share: float, doing: str) -> None:
    pass


def _fail_dead_runs(space: Space) -> None:
    """Whoever holds the lock is the only run there is: others that call themselves running were killed."""
    dead = space.ledger.select(Run, Query(where={"job": JOB, "state": "running"}))
    if dead:
        with space.ledger.transaction() as tx:
            for run in dead:
                over = {"state": "failed", "ended_at": space.clock.now(), "report": {"error": "the process was killed"}}
                tx.put(run.model_copy(update=over))


@dataclass(frozen=True)
class Judged:
    """A trained adapter with its scorecard, and why it may not be promoted."""

    adapter: Adapter
    objections: tuple[str, ...]

    def unquoted(self) -> Judged:
        """The same without the examples, which quote questions and answers."""
        figures = {name: value for name, value in self.adapter.scorecard.items() if name != "examples"}
        return Judged(self.adapter.model_copy(update={"scorecard": figures}), self.objections)


@dataclass
class _Distillation:
    """One run."""

    space: Space
    student: LocalModel
    recipe: Recipe
    trainer: Trainer
    seed: int
    options: Options
    progress: Progress

    def __post_init__(self) -> None:
        self.id = f"run_{uuid4().hex[:16]}"
        self.started = self.space.clock.now()
        self.position = self.space.ledger.position()
        self.rows = 0
        self.tokens = 0

    def carry_out(self, began: float) -> DistillationReport:
        found = plan(self.space, self.recipe, self.seed, self.options, self.student.revision, method_of(self.trainer))
        registry.clear_jobs(self.space, but=[found.digests[shard.id] for shard in found.dirty])
        if not found.selection.facts:
            with self.space.ledger.transaction() as tx:
                registry.promote(tx, [], ())
            registry.tidy(self.space)
            raise NothingToDistill(f"no fact may be taught: {found.selection.counts() or 'there are none'}")
        self._note("running", {})
        try:
            judged = self._build_all(found)
        except MemoryAgentError as error:
            self._note("failed", {"error": str(error)})
            raise
        report = self._commit(found, judged, began)
        registry.clear_jobs(self.space)
        registry.tidy(self.space)
        self.progress(1.0, "done")
        return report

    def _build_all(self, found: Plan) -> list[Judged]:
        """Every shard that is to be built. A trainer that hands jobs on has them all before TrainingElsewhere rises."""
        judged, elsewhere = [], []
        for n, shard in enumerate(found.dirty):
            try:
                judged.append(self._build(shard, found, n))
            except TrainingElsewhere as error:
                elsewhere.append(str(error))
        if elsewhere:
            raise TrainingElsewhere("\n".join(elsewhere))
        return judged

    def _build(self, shard: Shard, found: Plan, n: int) -> Judged:
        """Train one shard's adapter, keep it in the registry, and put the probes to it."""
        share = 1 / len(found.dirty)

        def passed_on(done: float, doing: str) -> None:
            of = f"shard {n + 1} of {len(found.dirty)}: " if len(found.dirty) > 1 else ""
            self.progress((n + done * _TRAINING) * share, of + doing)

        folder = registry.jobs_folder(self.space) / found.digests[shard.id]
        writer = self.options.paraphraser
        rows, out = train_shard(shard, folder, self.student, self.recipe, self.trainer, self.seed, passed_on, writer)
        self.rows += rows
        self.tokens += _tokens_spent(out)
        manifest = {
            "shard": shard.id,
            "digest": found.digests[shard.id],
            "base": self.student.revision,
            "recipe": self.recipe.settled(len(shard.facts) + len(shard.past)).model_dump(mode="json"),
            "seed": self.seed,
            "method": method_of(self.trainer),
            "facts": shard.taught,
            "entities": shard.entities,
            **_written_by(writer),
        }
        sha, kept = registry.keep(self.space, out, manifest)
        adapter = Adapter(
            id=sha,
            shard=shard.id,
            state="candidate",
            base=self.student.revision,
            facts=shard.taught,
            entities=shard.entities,
            sha256=sha,
            created_at=self.space.clock.now(),
            run=self.id,
        )
        self.progress((n + _TRAINING) * share, "probing")
        card = self._probe(adapter, kept, shard, found.selection, folder / "job")
        registry.write_scorecard(kept, card.as_json())
        scored = {**card.as_json(), "digest": found.digests[shard.id], "seed": self.seed}
        return Judged(adapter.model_copy(update={"scorecard": scored}), self.options.gate.objections(card))

    def _probe(self, adapter: Adapter, folder: Path, shard: Shard, selection: Selection, job: Path) -> Scorecard:
        ledger = self.space.ledger
        superseded = ledger.select(
            Fact, Query(where={"subject_id": list(shard.entities), "status": "superseded", "retired_at": None})
        )
        kept_out = [id for id, reason in selection.refused.items() if reason == "secret"]
        secrets = ledger.select(Fact, Query(ids=kept_out, where={"retired_at": None})) if kept_out else []
        entities = ledger.select(Entity)
        probes = build(
            shard.facts,
            superseded=superseded,
            secrets=secrets,
            known=[name for entity in entities for name in (entity.name, *entity.aliases)],
            sample=self.options.sample,
            seed=self.seed,
        )
        router = Router([adapter], {fact.id: fact for fact in shard.facts}, entities)
        card = ask_probes(
            self.student,
            folder,
            probes,
            to_base=lambda question: router.route(question, lambda n: is_familiar(self.student, n)).kind == "base",
        )
        leaked = float(_rows_with(job, [fact.object for fact in secrets], shard.facts))
        doubted = [id for id, reason in selection.refused.items() if reason in DOUBTED]
        poison = ledger.select(Fact, Query(ids=doubted, where={"retired_at": None})) if doubted else []
        poisoned = float(sum(_rows_with(job, [fact.object], shard.facts, fact.subject) for fact in poison))
        measures = {**card.measures, "canary_rows": leaked, "poison_rows": poisoned}
        return card.model_copy(update={"measures": measures})

    def _commit(self, found: Plan, judged: Sequence[Judged], began: float) -> DistillationReport:
        """In one transaction: look again, promote or refuse, and close the run."""
        with self.space.ledger.transaction(wait=self.space.settings.lock_wait) as tx:
            if tx.count(Tombstone, Query(after=self.position)):  # what was forgotten meanwhile may be quoted
                judged = [one.unquoted() for one in judged]
            now = select_from(tx, ontology.load(), self.space.clock.now(), self.options.policy)
            admitted = _contents((*now.facts, *now.past))
            passed: list[Adapter] = []
            objections: list[str] = []
            for one in judged:
                reasons = one.objections
                changed = _contents(found.facts_of(one.adapter.shard)).items() - admitted.items()
                if changed or registry.fallen(tx, one.adapter):
                    reasons = (*reasons, _CHANGED)
                if reasons:
                    refused = {"state": "refused", "reasons": reasons}
                    tx.put(one.adapter.model_copy(update=refused))
                    objections += [f"shard {one.adapter.shard}: {reason}" for reason in reasons]
                else:
                    passed.append(one.adapter)
            fallen = [shard for shard, adapter in found.clean.items() if registry.fallen(tx, adapter)]
            objections += [f"shard {shard}: {_CHANGED}" for shard in fallen]  # it was switched off, and stays so
            serving = [*(adapter for shard, adapter in found.clean.items() if shard not in fallen), *passed]
            registry.promote(tx, serving, found.taught)
            report = self._report(found, serving, judged, tuple(objections), began)
            tx.put(
                Run(
                    id=self.id,
                    job=JOB,
                    state="refused" if objections else "done",
                    started_at=self.started,
                    ended_at=self.space.clock.now(),
                    report=report.model_dump(mode="json", exclude={"run"}),
                )
            )
        return report

    def _report(
        self,
        found: Plan,
        serving: Sequence[Adapter],
        judged: Sequence[Judged],
        objections: tuple[str, ...],
        began: float,
    ) -> DistillationReport:
        return DistillationReport(
            run=self.id,
            promoted=not objections,
            reasons=objections,
            adapters=tuple(adapter.id for adapter in serving),
            facts=tuple(facts_taught(serving)),
            refused=found.selection.refused,
            rows=self.rows,
            tokens=self.tokens,
            seconds=round(time.monotonic() - began, 2),
            scorecard={one.adapter.shard: one.adapter.scorecard for one in judged},
        )

    def _note(self, state: str, report: Mapping[str, Any]) -> None:
        ended = None if state == "running" else self.space.clock.now()
        with self.space.ledger.transaction() as tx:
            tx.put(
                Run.model_validate(
                    {
                        "id": self.id,
                        "job": JOB,
                        "state": state,
                        "started_at": self.started,
                        "ended_at": ended,
                        "report": report,
                    }
                )
            )


def _contents(facts: Sequence[Fact]) -> dict[str, str]:
    """Fact id -> what it says, as comparable text."""
    return {fact.id: json.dumps(content(fact), sort_keys=True) for fact in facts}


def _rows_with(job: Path, values: Sequence[str], facts: Sequence[Fact], beside: str = "") -> int:
    """How many training rows hold a value, and `beside` with it; one that a taught fact holds too tells nothing."""
    said = " ".join(fact.text for fact in facts)
    telling = [value for value in values if not names(said, value)]
    if not telling:
        return 0
    rows = [line for file in sorted(job.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return sum(names_any(row, telling) and (not beside or names(row, beside)) for row in rows)


def _tokens_spent(adapter: Path) -> int:
    """What the trainer says it computed, in training.json; 0 where it says nothing."""
    about = adapter / "training.json"
    return int(json.loads(about.read_text("utf-8")).get("tokens", 0)) if about.is_file() else 0


def _first(progress: Progress, share: float) -> Progress:
    """Progress of the first `share` of something."""
    return lambda done, doing: progress(done * share, doing)


def _rest(progress: Progress, share: float) -> Progress:
    """Progress of what comes after the first `share` of something."""
    return lambda done, doing: progress(share + done * (1 - share), doing)
