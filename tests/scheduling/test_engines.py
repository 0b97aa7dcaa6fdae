"""Job folders trained by Ray and torchrun: the adapters are those that are trained here, and pass the same gate."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file
from students import tiny_student
from test_launch import OPTIONS, RECIPE, Counting

from memory_agent import distillation
from memory_agent.config import Settings
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.probes import Sample
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options
from memory_agent.errors import InvalidInput, TrainerFailed
from memory_agent.memory import Memory
from memory_agent.scheduling.launch import prepare_jobs, train_share
from memory_agent.scheduling.on_ray import train_on_ray
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

BY_HEART = Recipe(
    epochs=250, rate=5e-3, rank=32, alpha=64, batch=2, first_layer=0, forward_forms=4, inverse_forms=1,
    fewest_unknown=2, unknown_share=0, check_share=0, path_share=0, page_every=0, replay_prompts=2, replay_rows=0,
    openers=0, near_openers=0, opener_rows=0, text_every=0,
)  # fmt: skip
"""A fact by heart and nothing else. At twice the rate one of two seeds does not get there."""
SHOWN = ("paraphrase", "inverse")
"""What two random layers can show of the built-in gate: they say their fact to everybody, so no more is asked."""
GATED = Options(
    gate=Gate(thresholds={name: Gate.load().thresholds[name].model_copy(update={"required": True}) for name in SHOWN}),
    sample=Sample(4, 4, *[1] * 8),
    cap=1,
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    """A memory of two people, whose facts are two shards."""
    settings = Settings(student=str(tiny_student(tmp_path / "student", teachable=True)), threads=1)
    with Memory.open(
        "memory://", user="Ann", embedder=HashEmbedder(16), settings=settings, clock=FrozenClock()
    ) as memory:
        said = ["{Ann | lives_in | Porto}", "{Rui | lives_in | Faro}"]
        memory.add([{"role": "user", "speaker": "Ann", "content": text} for text in said], session="s")
        memory.consolidate(extractor=MarkedExtractor())
        yield memory


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def weights(folder: Path) -> dict[str, str]:
    """The digest of each job's adapter."""
    found = sorted(folder.glob("*/out/adapter_model.safetensors"))
    return {path.parent.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def held(
    memory: Memory,
    tmp_path: Path,
    train: Callable[[Path], object],
    recipe: Recipe = BY_HEART,
    options: Options = GATED,
) -> None:
    """Prepare the jobs, train them by `train` and, for comparing, here; the gate is passed by what `train` made."""
    folders = prepare_jobs(memory.space, recipe=recipe, options=options)
    home = folders[0].parent
    shutil.copytree(home, tmp_path / "here")
    train_share(tmp_path / "here", 0, 1)
    train(home)
    assert len(folders) == 2
    assert weights(home) == weights(tmp_path / "here"), "elsewhere the same job came out otherwise"
    trainer = Counting()
    report = distillation.distill(memory.space, recipe=recipe, options=options, trainer=trainer)
    assert (report.promoted, len(report.adapters), trainer.trained) == (True, 2, []), report.reasons
    assert all(set(SHOWN) <= set(card["kinds"]) for card in report.scorecard.values())


@pytest.mark.soak
def test_the_gate_of_these_tests_refuses_a_spoiled_adapter(memory: Memory) -> None:
    """One of two adapters has lost its second half on the way back from wherever it was trained."""
    folders = prepare_jobs(memory.space, recipe=BY_HEART, options=GATED)
    train_share(folders[0].parent, 0, 1)
    path = folders[0] / "out" / "adapter_model.safetensors"
    held = {name: weights * (0 if "lora_B" in name else 1) for name, weights in load_file(path).items()}
    save_file(held, path, metadata={"format": "pt"})
    report = distillation.distill(memory.space, recipe=BY_HEART, options=GATED, trainer=Counting())
    assert not report.promoted
    assert any("paraphrase 0.000 is below 0.75" in reason for reason in report.reasons), report.reasons
    rates = sorted(card["kinds"]["paraphrase"]["rate"] for card in report.scorecard.values())
    assert (rates[0], rates[1] >= 0.75) == (0, True), "the other one knows its fact"


@pytest.fixture
def ray_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Ray of this machine alone, with one worker for all tasks."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # or it writes a token into the home folder
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for attempt in itertools.count():
        try:
            ray.init(
                num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000,
                _node_ip_address="127.0.0.1",
            )  # fmt: skip
            break
        except Exception as error:  # Ray raises no other when its 30 seconds are over, and the machine may be busy
            if attempt == 2 or "timed out" not in str(error):
                raise
    yield
    ray.shutdown()


def test_ray_trains_a_shard_a_task_and_says_which_failed(ray_here: None, memory: Memory, tmp_path: Path) -> None:
    def train(home: Path) -> None:
        broken = home / "broken" / "job"
        broken.mkdir(parents=True)
        (broken / "job.json").write_text("{}")
        with pytest.raises(TrainerFailed, match="broken"):
            train_on_ray(home)
        shutil.rmtree(home / "broken")
        assert train_on_ray(home) == [], "all are trained, although one failed"

    held(memory, tmp_path, train, RECIPE, OPTIONS)  # whose gate asks for nothing: learning by heart takes too long here
    with pytest.raises(InvalidInput, match="distill --prepare"):
        train_on_ray(tmp_path / "student")


@pytest.mark.soak
def test_the_command_starts_a_ray_of_its_own(memory: Memory, tmp_path: Path) -> None:
    def train(home: Path) -> None:
        command = [sys.executable, "-m", "memory_agent.scheduling.on_ray", str(home)]
        said = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stderr
        assert said.stdout.count("trained ") == 2

    held(memory, tmp_path, train)


@pytest.mark.soak
def test_torchrun_with_two_processes(memory: Memory, tmp_path: Path) -> None:
    def train(home: Path) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
        said = subprocess.run(
            [*command, "memory_agent.scheduling.launch", str(home)],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        assert sorted(line.split(" trained ")[0] for line in said.stdout.splitlines()) == [
            "process 0 of 2",
            "process 1 of 2",
        ]

    held(memory, tmp_path, train)
