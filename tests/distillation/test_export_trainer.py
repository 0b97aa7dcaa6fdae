"""The job as files for other trainers, and the way back through the gate."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from students import random_adapter, tiny_student
from test_run import OPEN, RECIPE, put

from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.distillation.run import distill
from memory_agent.distillation.trainers.export import ExportTrainer, chat_rows
from memory_agent.distillation.unlearning import verify_unlearned
from memory_agent.errors import TrainingElsewhere
from memory_agent.space import Space

FACTS = {"a": ("Wanda Teller", "lives_in", "Bergen"), "c": ("Rolf Dane", "has_pet", "Tango")}


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


def test_the_first_run_writes_the_files_and_the_second_takes_the_adapter(space: Space, student: Path) -> None:
    told = replace(space, settings=Settings(student=str(student)))
    put(told, FACTS)
    recipe = RECIPE.model_copy(update={"epochs": 2})
    options = replace(OPEN, cap=1)
    with pytest.raises(TrainingElsewhere, match=r"README\.md") as handed_on:
        distill(told, recipe=recipe, trainer="export", options=options)
    folders = sorted(registry.jobs_folder(told).glob("*/export"))
    assert len(folders) == 2, "each shard is handed on before the run ends"
    assert all(str(folder) in str(handed_on.value) for folder in folders)
    rows = [json.loads(line) for line in (folders[0] / "chat.jsonl").read_text().splitlines()]
    assert {"forward", "inverse"} <= {row["kind"] for row in rows}
    assert {"0", "1"} <= {row["row"].partition(".")[0] for row in rows} <= {"0", "1", "replay"}
    assert all([turn["role"] for turn in row["messages"]] == ["user", "assistant"] for row in rows)
    assert json.loads((folders[0] / "dataset_info.json").read_text())["memory"]["file_name"] == "chat.jsonl"
    for name in ("trl.yaml", "axolotl.yaml", "llamafactory.yaml", "unsloth_train.py", "README.md"):
        assert "$" not in (folders[0] / name).read_text().replace("'trl[peft]'", "")
        assert (name == "README.md") or str(student) in (folders[0] / name).read_text()
    for n, folder in enumerate(folders):
        random_adapter(student, folder / "adapter" / "last", seed=n)
    report = distill(told, recipe=recipe, trainer="export", options=options)
    assert report.promoted
    assert len(report.adapters) == 2
    assert not list(registry.jobs_folder(told).iterdir()), "rows made of facts stayed on disk"
    problems = verify_unlearned(told, "gone", trainer="export", cap=1).problems
    assert all("cannot be rebuilt here" in problem for problem in problems)
    assert len(problems) == 2
    assert "made by export" in verify_unlearned(told, "gone", cap=1).problems[0]


def test_a_folder_of_ones_own(space: Space, student: Path, tmp_path: Path) -> None:
    told = replace(space, settings=Settings(student=str(student)))
    put(told, FACTS)
    trainer = ExportTrainer(to=str(tmp_path / "elsewhere"))
    with pytest.raises(TrainingElsewhere, match="elsewhere"):
        distill(told, recipe=RECIPE, trainer=trainer, options=OPEN)
    (folder,) = (tmp_path / "elsewhere").iterdir()
    random_adapter(student, folder / "adapter")
    assert distill(told, recipe=RECIPE, trainer=trainer, options=OPEN).promoted
    shutil.rmtree(folder)


def test_whole_answers_of_the_base_are_spread_among_the_rows() -> None:
    taught = [{"messages": [], "row": f"0.{n}", "kind": "forward", "epoch": 0, "group": "g"} for n in range(6)]
    rows = {"chat.jsonl": taught, "replay.jsonl": []}
    told = chat_rows(rows, [("Why?", "Because."), ("How?", "Thus.")])
    assert [row["kind"] for row in told] == [*["forward", "replay", "forward", "forward"] * 2][:8]
    assert told[1]["messages"][1] == {"role": "assistant", "content": "Because."}
    assert [row["row"] for row in chat_rows(rows, [])] == [f"0.{n}" for n in range(6)]
