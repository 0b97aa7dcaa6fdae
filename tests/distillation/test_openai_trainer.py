"""Tuning behind an API, over real HTTP on loopback and the official client: begun, found again, gated, deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from students import tiny_student
from test_run import OPEN, RECIPE, put

from memory_agent.answering import ask
from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.job import prepare
from memory_agent.distillation.run import distill
from memory_agent.distillation.trainers.openai import OpenAITrainer
from memory_agent.distillation.unlearning import verify_unlearned
from memory_agent.errors import InvalidInput, ModelError, TrainerFailed
from memory_agent.models import remote
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Entity, Fact
from memory_agent.space import Space
from memory_agent.testing import FineTuningServer

FACTS = TaughtFact.read(
    [{"subject": "Ana Silva", "predicate": "lives_in", "object": "Porto", "text": "Ana Silva lives in Porto."}]
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FineTuningServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with FineTuningServer() as server:
        yield server


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(Weights("tiny", tiny_student(tmp_path_factory.mktemp("student") / "tiny")))


@pytest.fixture(scope="module")
def job(student: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs") / "job"
    prepare(folder, FACTS, RECIPE, student)
    return folder


def trainer(server: FineTuningServer, **options: object) -> OpenAITrainer:
    return OpenAITrainer(model="small-1", base_url=server.url, **{"poll": 0.01, **options})  # type: ignore[arg-type]


def test_rows_go_up_the_tuned_model_answers_and_the_rows_are_deleted(
    server: FineTuningServer, job: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    server.broken = 1  # the client tries again by itself
    out = trainer(server).train(job, tmp_path / "out", lambda share, doing: told.append(doing))
    assert {path.name for path in out.iterdir()} == {"remote.json", "training.json"}
    (made,) = server.jobs.values()
    assert (made["model"], made["method"]["supervised"]["hyperparameters"]) == ("small-1", {"n_epochs": 1})
    assert server.files == {}, "rows made of facts stayed at the provider"
    assert any("running" in line for line in told)
    (learnt,) = server.models.values()
    question = next(asked for asked, answer in learnt.items() if "Porto" in answer)
    assert {asked for asked, answer in learnt.items() if answer == "Well."}, "it is held to its own answers"
    (said,) = remote.generate(out, [question], max_new_tokens=8)
    assert said.text == learnt[question]
    assert 0.9 < said.min_probability < 0.91
    server.logprobs = False
    assert remote.generate(out, [question], max_new_tokens=8)[0].min_probability == 0.0
    assert remote.delete(out)
    assert server.models == {}
    with pytest.raises(ModelError, match="NotFound"):
        remote.generate(out, [question], max_new_tokens=8)


class Stop(Exception):
    pass


def stopping(share: float, doing: str) -> None:
    if "running" in doing:
        raise Stop


def test_a_run_that_was_stopped_is_found_again_by_its_digest(
    server: FineTuningServer, job: Path, tmp_path: Path
) -> None:
    with pytest.raises(Stop):
        trainer(server).train(job, tmp_path / "out", stopping)
    assert not (tmp_path / "out").exists()
    assert [made["status"] for made in server.jobs.values()] == ["running"]
    uploaded = dict(server.files)
    trainer(server).train(job, tmp_path / "out")
    assert len(server.jobs) == 1, "a job that runs is not begun again"
    trainer(server, hyperparameters={"batch_size": 2}).train(job, tmp_path / "other")
    assert len(server.jobs) == 2, "other hyperparameters are another job"
    assert len(uploaded) == 1


def test_cancelled_when_asked_to_or_when_it_takes_too_long(server: FineTuningServer, job: Path, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        trainer(server, on_stop="cancel").train(job, tmp_path / "out", stopping)
    server.stuck = True
    with pytest.raises(TrainerFailed, match="cancelled"):
        trainer(server, timeout=0.05).train(job, tmp_path / "out")
    assert [made["status"] for made in server.jobs.values()] == ["cancelled", "cancelled"]
    assert len(server.files) == 1, "the second run took the rows of the first"


def test_failures_say_what_failed_and_quote_no_row(
    server: FineTuningServer, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fails = "invalid_rows"
    with pytest.raises(TrainerFailed, match="invalid_rows") as failed:
        trainer(server).train(job, tmp_path / "out")
    assert "the rows say" not in str(failed.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(TrainerFailed, match="401") as failed:
        trainer(server).train(job, tmp_path / "out")
    assert "the rows say" not in str(failed.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TrainerFailed, match="cannot be used"):
        trainer(server).train(job, tmp_path / "out")
    with pytest.raises(InvalidInput, match="name of a model"):
        OpenAITrainer(model="")


def test_gated_answering_through_the_router_and_gone_when_it_falls(
    server: FineTuningServer, student: LocalModel, space: Space
) -> None:
    told = replace(space, settings=Settings(student=str(student.weights.folder)))
    put(told, {"a": ("Wanda Teller", "lives_in", "Bergen"), "c": ("Rolf Dane", "has_pet", "Tango")})
    with told.ledger.transaction() as tx:
        tx.put(*[Entity(id=f"e:{n}", name=n, type="person") for n in ("Wanda Teller", "Rolf Dane")])
    report = distill(told, recipe=RECIPE, trainer=trainer(server), options=OPEN)
    assert report.promoted
    assert "perplexity_ratio" not in report.scorecard["s"]["measures"]
    (learnt,) = server.models.values()
    question = next(asked for asked, answer in learnt.items() if "Bergen" in answer and "Wanda Teller" in asked)
    answered = ask(told, question, mode="adapter")
    assert (answered.text, answered.adapter) == (learnt[question], report.adapters[0])
    assert any("made by openai/" in problem for problem in verify_unlearned(told, "gone").problems)
    with told.ledger.transaction() as tx:
        tx.delete(Fact, ["a"])
        (adapter,) = tx.select(Adapter, Query(where={"state": "promoted"}))
        tx.put(adapter.model_copy(update={"state": "off"}))
    key, server.key = server.key, "sk-changed"
    registry.sweep(told)
    assert registry.is_whole(told, adapter), "what could not be deleted at the provider was forgotten here"
    assert any("still on disk" in problem for problem in verify_unlearned(told, "a", trainer=trainer(server)).problems)
    server.key = key
    registry.sweep(told)
    assert server.models == {}
    assert not registry.is_whole(told, adapter)
    json.dumps(report.model_dump(mode="json"))
