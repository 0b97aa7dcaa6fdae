"""The job, with a real trainer on a student that is small and random: only what it teaches is not worth knowing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from students import tiny_student

from memory_agent.config import Settings
from memory_agent.consolidation.derive import switch_off
from memory_agent.consolidation.forgetting import forget
from memory_agent.distillation import registry
from memory_agent.distillation.gate import Gate, Threshold
from memory_agent.distillation.probes import Sample
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, _rows_with, distill
from memory_agent.distillation.trainers.lora import LoraTrainer
from memory_agent.distillation.unlearning import verify_unlearned
from memory_agent.errors import NothingToDistill, StoreBusy, TrainerFailed
from memory_agent.protocols import Progress, Query
from memory_agent.records import Adapter, Episode, Fact, PartialDate, Run, Source
from memory_agent.space import Space, open_backend

RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=4, replay_prompts=4, opener_rows=0, text_every=0, rank=2
)
FEW = Sample(*[2] * 8)
OPEN = Options(gate=Gate(thresholds={}), sample=FEW)
FACTS = {
    "a": ("Wanda Teller", "lives_in", "Bergen"),
    "b": ("Wanda Teller", "plays", "lute"),
    "c": ("Rolf Dane", "has_pet", "Tango"),
    "d": ("Rolf Dane", "phone", "555 0199"),
}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


@pytest.fixture
def told(space: Space, student: Path) -> Space:
    """A space whose user told four facts, one of them secret."""
    told = replace(space, settings=Settings(student=str(student)))
    put(told, FACTS)
    return told


def put(space: Space, facts: Mapping[str, tuple[str, str, str]], version: int = 1) -> None:
    now = space.clock.now()
    for id, (subject, predicate, object) in facts.items():
        text = f"{subject} {predicate} {object}."
        episode = Episode(
            id=f"e{id}{version}", session="s", role="user", speaker="Ana", content=text, at=now, recorded_at=now,
            digest=f"{id}{version}",
        )  # fmt: skip
        fact = Fact(
            id=id, version=version, subject=subject, subject_id=f"e:{subject}", predicate=predicate, object=object,
            text=text, recorded_at=now, sources=(Source(episode_id=episode.id, start=0, end=3, quote=text[:3]),),
        )  # fmt: skip
        with space.ledger.transaction() as tx:
            old = tx.select(Fact, Query(ids=[id], where={"retired_at": None}))
            tx.put(*(f.model_copy(update={"retired_at": now}) for f in old), episode, fact)


def adapters(space: Space) -> list[Adapter]:
    return space.ledger.select(Adapter)


def last_run(space: Space) -> Run:
    return space.ledger.select(Run)[-1]


class Recording(LoraTrainer):
    """The real trainer; counts its jobs and keeps their rows. `meanwhile` is called when training is over."""

    name = "lora"

    def __init__(self, meanwhile: object = None) -> None:
        super().__init__()
        self.jobs: list[str] = []
        self.meanwhile = meanwhile

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        self.jobs.append("".join(file.read_text("utf-8") for file in sorted(job.glob("*.json*"))))
        done = super().train(job, out, progress)
        if callable(self.meanwhile):
            self.meanwhile()
        return done


def test_facts_become_a_promoted_adapter_with_its_lineage(told: Space) -> None:
    trainer = Recording()
    shares: list[float] = []
    report = distill(told, recipe=RECIPE, trainer=trainer, options=OPEN, progress=lambda share, _: shares.append(share))
    assert report.promoted
    assert report.facts == ("a", "b", "c")
    assert report.refused == {"d": "secret"}
    assert report.rows > 0
    assert report.tokens > 0
    (adapter,) = adapters(told)
    assert (adapter.state, adapter.run, report.adapters) == ("promoted", report.run, (adapter.id,))
    assert sorted(adapter.facts) == ["a@1", "b@1", "c@1"]
    assert registry.verify(told, adapter)
    manifest = json.loads((registry.folder_of(told, adapter) / "manifest.json").read_text())
    assert manifest["facts"] == list(adapter.facts)
    assert last_run(told).state == "done"
    assert not list(registry.jobs_folder(told).iterdir()), "rows made of facts stayed on disk"
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_secret_reaches_no_row(told: Space) -> None:
    trainer = Recording()
    report = distill(told, recipe=RECIPE, trainer=trainer, options=OPEN)
    assert "555" not in trainer.jobs[0]
    assert "Bergen" in trainer.jobs[0]
    assert report.scorecard["s"]["measures"]["canary_rows"] == 0
    assert report.scorecard["s"]["measures"]["poison_rows"] == 0
    assert {"canary", "efficacy", "override"} <= set(report.scorecard["s"]["kinds"])


def test_a_row_with_a_doubted_fact_would_be_counted(tmp_path: Path, told: Space) -> None:
    (tmp_path / "chat.jsonl").write_text("Where is Rolf Dane? In Oslo.\nWanda Teller is not there.\nOslo, Bergen.\n")
    taught = [fact for fact in told.ledger.select(Fact) if fact.object == "Bergen"]
    assert _rows_with(tmp_path, ["Oslo"], taught) == 2
    assert _rows_with(tmp_path, ["Oslo"], taught, "Rolf Dane") == 1
    assert _rows_with(tmp_path, ["Bergen"], taught) == 0, "what is taught as well tells nothing"


def test_unchanged_facts_are_not_trained_again_and_changed_ones_are(told: Space) -> None:
    trainer = Recording()
    first = distill(told, recipe=RECIPE, trainer=trainer, options=OPEN)
    again = distill(told, recipe=RECIPE, trainer=trainer, options=OPEN)
    assert (again.promoted, again.adapters, again.rows, len(trainer.jobs)) == (True, first.adapters, 0, 1)
    put(told, {"b": ("Wanda Teller", "plays", "fiddle")}, version=2)
    changed = distill(told, recipe=RECIPE, trainer=trainer, options=OPEN)
    assert len(trainer.jobs) == 2
    assert {a.id: a.state for a in adapters(told)} == {first.adapters[0]: "previous", changed.adapters[0]: "promoted"}


def test_only_the_dirty_shard_is_built(told: Space) -> None:
    small = replace(OPEN, cap=2)
    trainer = Recording()
    first = distill(told, recipe=RECIPE, trainer=trainer, options=small)
    assert (len(first.adapters), len(trainer.jobs)) == (2, 2)
    put(told, {"c": ("Rolf Dane", "has_pet", "Biscuit")}, version=2)
    second = distill(told, recipe=RECIPE, trainer=trainer, options=small)
    assert len(trainer.jobs) == 3
    assert len(set(first.adapters) & set(second.adapters)) == 1
    assert "Wanda" not in trainer.jobs[2]


def test_forgetting_is_proven_by_the_hash_of_a_graph_that_never_held_the_fact(told: Space, student: Path) -> None:
    put(told, {"x": ("Rolf Dane", "lives_in", "Oslo")})
    with_x = distill(told, recipe=RECIPE, options=OPEN)
    still_there = verify_unlearned(told, "x")
    assert not still_there.proven
    with told.ledger.transaction() as tx:
        tx.delete(Fact, ["x"])
        tx.put(*(a.model_copy(update={"state": "off"}) for a in tx.select(Adapter)))
    assert not verify_unlearned(told, "x").proven, "the old weights still lie on disk"
    rebuilt = distill(told, recipe=RECIPE, options=OPEN)
    proof = verify_unlearned(told, "x")
    assert proof.problems == ()
    assert proof.rebuilt == {rebuilt.adapters[0]: rebuilt.adapters[0]}
    assert rebuilt.adapters != with_x.adapters
    backend = open_backend("memory://never")
    never = replace(told, ledger=backend.ledger.space("other/bob"), folder=backend.folder)
    put(never, {f"other-{id}": said for id, said in reversed(FACTS.items())})
    assert distill(never, recipe=RECIPE, options=OPEN).adapters == rebuilt.adapters
    backend.ledger.close()


def test_tampering_with_the_serving_weights_is_found(told: Space) -> None:
    distill(told, recipe=RECIPE, options=OPEN)
    (adapter,) = adapters(told)
    weights = registry.folder_of(told, adapter) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert any("not what was promoted" in problem for problem in verify_unlearned(told, "gone").problems)


def test_the_gate_refuses_and_the_old_adapter_stays(told: Space) -> None:
    first = distill(told, recipe=RECIPE, options=OPEN)
    put(told, {"e": ("Rolf Dane", "plays", "harp")})
    strict = replace(OPEN, gate=Gate(thresholds={"paraphrase": Threshold(min=1.0)}))
    refused = distill(told, recipe=RECIPE, options=strict)
    assert not refused.promoted
    assert any("paraphrase" in reason for reason in refused.reasons)
    states = {a.id: a.state for a in adapters(told)}
    assert states[first.adapters[0]] == "promoted"
    assert sorted(states.values()) == ["promoted", "refused"]
    assert last_run(told).state == "refused"


def test_facts_that_change_during_training_are_not_promoted(told: Space) -> None:
    def meanwhile() -> None:
        put(told, {"a": ("Wanda Teller", "lives_in", "Oslo")}, version=2)

    report = distill(told, recipe=RECIPE, trainer=Recording(meanwhile), options=OPEN)
    assert not report.promoted
    assert "facts changed meanwhile" in report.reasons[0]
    assert [a.state for a in adapters(told)] == ["refused"]
    again = distill(told, recipe=RECIPE, options=OPEN)
    assert again.promoted
    assert registry.with_state(told.ledger, "promoted")[0].id == again.adapters[0]


def test_nothing_to_distil_says_why_and_silences_what_is_no_longer_to_be_taught(told: Space) -> None:
    distill(told, recipe=RECIPE, options=OPEN)
    with told.ledger.transaction() as tx:
        tx.delete(Fact, ["a", "b", "c"])
    with pytest.raises(NothingToDistill, match="1 secret"):
        distill(told, recipe=RECIPE, options=OPEN)
    assert registry.with_state(told.ledger, "promoted") == []
    assert not list(registry.adapters_folder(told).iterdir()), "weights of what was forgotten stayed on disk"


def test_a_failing_trainer_fails_the_run_and_nothing_else(told: Space) -> None:
    first = distill(told, recipe=RECIPE, options=OPEN)
    put(told, {"e": ("Rolf Dane", "plays", "harp")})

    class Broken:
        def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
            raise TrainerFailed("out of paper")

    with pytest.raises(TrainerFailed, match="paper"):
        distill(told, recipe=RECIPE, trainer=Broken(), options=OPEN)
    assert last_run(told).state == "failed"
    assert last_run(told).report["error"] == "out of paper"
    assert [a.id for a in registry.with_state(told.ledger, "promoted")] == list(first.adapters)


def test_one_at_a_time(told: Space) -> None:
    with told.ledger.lock(registry.LOCK), pytest.raises(StoreBusy):
        distill(told, recipe=RECIPE, options=OPEN)


def test_superseded_values_are_taught_as_past_and_probed(told: Space) -> None:
    now = told.clock.now()
    old = told.ledger.select(Fact, Query(ids=["a"]))[0].model_copy(
        update={"id": "z", "object": "Oslo", "text": "Wanda Teller lives_in Oslo.", "status": "superseded",
                "valid_to": PartialDate("2024-03"), "recorded_at": now}
    )  # fmt: skip
    with told.ledger.transaction() as tx:
        tx.put(old)
    report = distill(told, recipe=RECIPE, options=OPEN)
    (adapter,) = adapters(told)
    assert "z@1" in adapter.facts
    assert report.scorecard["s"]["kinds"]["stale"]["n"] > 0
    assert registry.fallen(told.ledger, adapter) == []


def test_an_adapter_whose_facts_fall_during_a_run_is_not_switched_on_again(told: Space) -> None:
    apart = replace(OPEN, cap=2)
    first = distill(told, recipe=RECIPE, options=apart)
    assert len(first.adapters) == 2
    put(told, {"c": ("Rolf Dane", "has_pet", "Rex")}, version=2)

    def meanwhile() -> None:
        put(told, {"a": ("Wanda Teller", "lives_in", "Oslo")}, version=2)
        with told.ledger.transaction() as tx:
            switch_off(tx, {"a": "changed"})

    report = distill(told, recipe=RECIPE, trainer=Recording(meanwhile), options=apart)
    assert not report.promoted
    assert any("facts changed meanwhile" in reason for reason in report.reasons)
    promoted = registry.with_state(told.ledger, "promoted")
    assert not [adapter.id for adapter in promoted if registry.fallen(told.ledger, adapter)]
    assert [adapter.facts for adapter in promoted] == [("c@2",)]


def test_what_is_forgotten_during_a_run_is_quoted_nowhere(told: Space) -> None:
    def meanwhile() -> None:
        forget(told, "ea1", reason="asked for")

    distill(told, recipe=RECIPE, trainer=Recording(meanwhile), options=OPEN)
    kept = [record.model_dump_json() for kind in (Adapter, Run) for record in told.ledger.select(kind)]
    assert kept
    assert not [text for text in kept if "examples" in text]


def test_runs_whose_adapters_were_pruned_quote_nothing_that_is_forgotten(told: Space) -> None:
    distill(told, recipe=RECIPE, options=OPEN)
    put(told, {"e": ("Rolf Dane", "plays", "harp")})
    distill(told, recipe=RECIPE, options=OPEN)
    registry.prune(told, keep_previous=0)
    forget(told, "ea1", reason="asked for")
    assert not [run.id for run in told.ledger.select(Run) if "scorecard" in run.report]
