"""The command trainer: a real process on a prepared job, and every way in which it can go wrong."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from students import random_adapter, tiny_student

from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.job import prepare
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.registry import hash_adapter
from memory_agent.distillation.trainers import find_trainer
from memory_agent.distillation.trainers.command import CommandTrainer
from memory_agent.errors import InvalidInput, TrainerFailed
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights

RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=2, replay_prompts=2, opener_rows=0, text_every=0
)
FACTS = TaughtFact.read(
    [{"subject": "Ana Silva", "predicate": "lives_in", "object": "Porto", "text": "Ana Silva lives in Porto."}]
)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A prepared job, and an adapter that a trainer could have made of it."""
    folder = tmp_path_factory.mktemp("ready")
    student = LocalModel(Weights("tiny", tiny_student(folder / "tiny")))
    prepare(folder / "job", FACTS, RECIPE, student)
    return folder / "job", random_adapter(folder / "tiny", folder / "adapter")


def command(tmp_path: Path, body: str, **options: float) -> CommandTrainer:
    script = tmp_path / "train.py"
    script.write_text("import os, shutil, sys, time\njob, out, made = sys.argv[1:]\n" + body)
    return CommandTrainer(command=[sys.executable, str(script), "{job}", "{out}", str(tmp_path / "made")], **options)


def test_what_the_command_leaves_is_taken_and_nothing_else(ready: tuple[Path, Path], tmp_path: Path) -> None:
    job, adapter = ready
    (tmp_path / "made").symlink_to(adapter)
    trainer = command(
        tmp_path,
        "assert len(open(os.path.join(job, 'chat.jsonl')).readlines()) > 3\n"
        "assert os.environ['MEMORY_AGENT_JOB'] == job and os.path.isdir(os.environ['MEMORY_AGENT_BASE'])\n"
        "print('50% half way', flush=True)\ntime.sleep(0.5)\n"
        "shutil.copytree(made, os.path.join(out, 'final'))\n"
        "shutil.copytree(made, os.path.join(out, 'checkpoint-3'))\n"
        "open(os.path.join(out, 'training_args.bin'), 'w').close()\n",
    )
    told: list[tuple[float, str]] = []
    found = trainer.train(job, tmp_path / "run" / "out", lambda share, doing: told.append((share, doing)))
    assert hash_adapter(found) == hash_adapter(adapter)
    assert sorted(path.name for path in found.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert (0.5, "half way") in told
    assert told[-1][0] == 1.0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('Ana Silva lives in Porto'); sys.exit(3)", "code 3"),
        ("pass", "left no PEFT adapter"),
        ("[shutil.copytree(made, os.path.join(out, name)) for name in 'ab']", "several adapters"),
    ],
)
def test_a_command_that_fails_says_how_and_quotes_nothing(
    ready: tuple[Path, Path], tmp_path: Path, body: str, message: str
) -> None:
    job, adapter = ready
    (tmp_path / "made").symlink_to(adapter)
    with pytest.raises(TrainerFailed, match=message) as failed:
        command(tmp_path, body).train(job, tmp_path / "run" / "out")
    assert "Porto" not in str(failed.value), "what was remembered got into an error message"
    assert not (tmp_path / "run" / "out").exists()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").is_dir() else True


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX's")
@pytest.mark.parametrize("cancelled", [True, False])
def test_a_command_is_stopped_with_all_it_started(ready: tuple[Path, Path], tmp_path: Path, cancelled: bool) -> None:
    job, _ = ready
    pids = tmp_path / "pids"
    trainer = command(
        tmp_path,
        "import signal, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r} + '~', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '~', {str(pids)!r})\ntime.sleep(600)\n",
        timeout=600 if cancelled else 5,
        grace=0.3,
    )

    class Stop(Exception):
        pass

    def progress(share: float, doing: str) -> None:
        if cancelled and pids.exists():
            raise Stop

    with pytest.raises(Stop if cancelled else TrainerFailed):
        trainer.train(job, tmp_path / "run" / "out", progress)
    for _ in range(100):
        if not any(_alive(int(pid)) for pid in pids.read_text().split()):
            break
        time.sleep(0.05)
    assert not any(_alive(int(pid)) for pid in pids.read_text().split())


def test_commands_that_cannot_be_run(ready: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(TrainerFailed, match="cannot be run"):
        CommandTrainer(command="no-such-command-anywhere {job}").train(ready[0], tmp_path / "out")
    for wrong in ("", "'unclosed"):
        with pytest.raises(InvalidInput, match="command"):
            CommandTrainer(command=wrong)
    with pytest.raises(InvalidInput, match="'command'"):
        find_trainer("command")


def test_another_command_is_another_method() -> None:
    one, same, other = (CommandTrainer(command=text) for text in ("a b", ["a", "b"], "a c"))
    assert one.name == same.name != other.name
