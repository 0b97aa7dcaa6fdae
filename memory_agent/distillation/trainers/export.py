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
from memory_agent.errors import MissingExtra, TrainerFailed, TrainingElsewhere
from memory_agent.models.template import ChatFormat
from memory_agent.protocols import Progress

_FILES = {
    "trl.yaml": "trl.yaml",
    "axolotl.yaml": "axolotl.yaml",
    "llamafactory.yaml": "llamafactory.yaml",
    "dataset_info.json": "dataset_info.json",
    "unsloth.txt": "unsloth_train.py",
    "README.md": "README.md",
}
"""File among ours -> file in the folder."""
_SENTINEL = "\x00question\x00"


class ExportTrainer:
    """Writes the job for other trainers, and takes the adapter they made; see the module."""

    name = "export"

    def __init__(self, *, to: str | None = None) -> None:
        """`to`: folder in which each job gets one of its own; by default beside the job, where forgetting reaches."""
        self._to = Path(to).expanduser() if to else None

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """Take the adapter that lies in the export folder, else write the folder; see `Trainer`.

        Raises TrainingElsewhere with the way on, TrainerFailed when the job is damaged.
        """
        settings, rows = read(job)
        folder = self._to / settings.digest[:16] if self._to else out.parent / "export"
        found = find_adapter(folder / "adapter")
        if found is not None:
            return take_adapter(found, out)
        write(folder, settings, rows)
        raise TrainingElsewhere(
            f"the job's files are in {folder}; train them there (README.md says how), so that the adapter lies in "
            f"{folder / 'adapter'}, and run distill with this trainer again"
        )


def chat_rows(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The job's rows for plain fine-tuning: every pass in order, the base's replayed answers spread evenly among them.

    Openers are left out: cut after a few tokens, they would teach to end there.
    """
    taught = [{key: row[key] for key in ("messages", "row", "kind")} for row in rows["chat.jsonl"]]
    replayed = [
        {"messages": row["messages"], "row": f"replay.{n}", "kind": "replay"}
        for n, row in enumerate(row for row in rows["replay.jsonl"] if row["kind"] == "answer")
    ]
    placed = [(n / len(taught), 0, row) for n, row in enumerate(taught)]
    placed += [(n / len(replayed), 1, row) for n, row in enumerate(replayed)]
    return [row for _, _, row in sorted(placed, key=lambda place: place[:2])]


def write(folder: Path, job: Job, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the files of the job to `folder`, in place of what is there under their names."""
    told = chat_rows(rows)
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
    (folder / "chat_template.jinja").write_text(template_of(Path(job.base_folder)), "utf-8")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in told)
    (folder / "chat.jsonl").write_text(lines, "utf-8")


def template_of(base: Path) -> str:
    """A Jinja chat template that writes one question and its answer as `ChatFormat` does, the answer marked as such.

    Raises TrainerFailed when the base's tokenizer does not load.
    """
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtra("exporting a job", "distill") from error
    try:
        chat = ChatFormat(AutoTokenizer.from_pretrained(base))
    except (OSError, ValueError) as error:
        raise TrainerFailed(f"the tokenizer at {base} does not load: {error}") from error
    before, after = chat.prompt(_SENTINEL).split(_SENTINEL)
    end = chat.tokenizer.decode(list(chat.stops[:1]))
    opened = "" if chat.tokenizer.chat_template else " "
    before, after, opened, end = (json.dumps(text) for text in (before, after, opened, end))
    return (
        "{%- for message in messages -%}"
        "{%- if message['role'] == 'assistant' -%}"
        f"{{% generation %}}{{{{ {opened} + message['content'] + {end} }}}}{{% endgeneration %}}"
        "{%- else -%}"
        f"{{{{ {before} + message['content'] + {after} }}}}"
        "{%- endif -%}"
        "{%- endfor -%}"
    )
