"""The job as files for trainers that are there already: TRL, axolotl, LLaMA-Factory, Unsloth.

    <folder>/chat.jsonl            rows of all passes, in order, and the replayed answers among them
             chat_template.jinja   a turn as the student is asked: the model's own, without the line some slip in
             trl.yaml, axolotl.yaml, llamafactory.yaml + dataset_info.json, unsloth_train.py, README.md
             adapter/              where each of them writes the adapter

The first run writes the files and raises TrainingElsewhere; a run that finds the adapter takes it. Plain fine-tuning
has no skipping of what is known and no held logits, so expect less than from the `lora` trainer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from memory_agent.distillation.job import Job, read
from memory_agent.distillation.trainers.folders import find_adapter, take_adapter
from memory_agent.errors import TrainingElsewhere
from memory_agent.models.local import LocalModel
from memory_agent.models.turns import Turns
from memory_agent.models.weights import Weights
from memory_agent.protocols import Progress

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""A job's rows by file name, as `job.read` gives them."""

_FILES = {
    "trl.yaml": "trl.yaml",
    "axolotl.yaml": "axolotl.yaml",
    "llamafactory.yaml": "llamafactory.yaml",
    "dataset_info.json": "dataset_info.json",
    "unsloth.txt": "unsloth_train.py",
    "README.md": "README.md",
}
"""File among ours -> file in the folder."""
_ANSWER = 96
"""Most tokens of a replayed answer; those that are longer are left out."""


class ExportTrainer:
    """Writes the job for other trainers, and takes the adapter they made; see the module."""

    name = "export"

    def __init__(self, *, to: str | None = None) -> None:
        """`to`: folder in which each job gets one of its own; by default beside the job, where forgetting reaches."""
        self._to = Path(to).expanduser() if to else None

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """Take the adapter that lies in the export folder, else write the folder; see `Trainer`.

        Raises TrainingElsewhere with the way on, TrainerFailed for a damaged job, ModelError if the base does not load.
        """
        settings, rows = read(job)
        folder = self._to / settings.digest[:16] if self._to else out.parent / "export"
        found = find_adapter(folder / "adapter")
        if found is not None:
            return take_adapter(found, out)
        write(folder, settings, rows, progress)
        raise TrainingElsewhere(
            f"the job's files are in {folder}; train them there (README.md says how), so that the adapter lies in "
            f"{folder / 'adapter'}, and run distill with this trainer again"
        )


def replayed_questions(rows: Rows) -> list[str]:
    """The general questions of a job that are answered at length, for the model that is tuned to answer itself."""
    return [row["messages"][0]["content"] for row in rows["replay.jsonl"] if row["kind"] == "answer"]


def chat_rows(rows: Rows, answered: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The job's rows for plain fine-tuning: every pass in order, and spread among them the general questions.

    `answered` are those with the model's own answers, whole: the job's are cut after a few tokens, and would teach to
    end there.
    """
    taught = [{key: row[key] for key in ("messages", "row", "kind")} for row in rows["chat.jsonl"]]
    replayed = [
        {
            "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
            "row": f"replay.{n}",
            "kind": "replay",
        }
        for n, (question, answer) in enumerate(answered)
    ]
    placed = [(n / len(taught), 0, row) for n, row in enumerate(taught)]
    placed += [(n / len(replayed), 1, row) for n, row in enumerate(replayed)]
    return [row for _, _, row in sorted(placed, key=lambda place: place[:2])]


def write(folder: Path, job: Job, rows: Rows, progress: Progress | None = None) -> None:
    """Write the files of the job to `folder`, in place of what is there under their names.

    Raises ModelError when the base does not load.
    """
    base = LocalModel(Weights(job.base, Path(job.base_folder)))
    questions = replayed_questions(rows)
    said = "the base answers general questions"
    answers = base.generate(
        questions, max_new_tokens=_ANSWER, progress=None if progress is None else lambda done: progress(done, said)
    )
    ended = [(asked, one.text) for asked, one in zip(questions, answers, strict=True) if one.tokens < _ANSWER]
    told = chat_rows(rows, ended)
    recipe = job.recipe
    values = {
        "base": job.base_folder, "base_name": job.base, "revision": job.base_revision, "rows": len(told),
        "rank": recipe.rank, "alpha": recipe.alpha, "batch": recipe.batch, "rate": f"{recipe.rate:.6f}",
        "warm_up": recipe.warm_up, "clip": recipe.clip, "seed": job.seed,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    ours = resources.files("memory_agent.distillation.trainers") / "configs"
    for name, target in _FILES.items():
        text = Template(ours.joinpath(name).read_text("utf-8")).substitute(values)
        (folder / target).write_text(text, "utf-8")
    (folder / "chat_template.jinja").write_text(Turns.of(base.chat).jinja(marked=True), "utf-8")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told)
    (folder / "chat.jsonl").write_text(lines, "utf-8")
