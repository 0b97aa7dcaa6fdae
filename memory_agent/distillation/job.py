"""A training job as a folder of files, which any trainer can read.

    chat.jsonl      {"messages": [...], "row", "epoch", "kind", "group"}: the curriculum, pass by pass
    replay.jsonl    {"messages": [...], "kind", "whole"}: general questions with the base model's own answers
                    ("answer"), or with the first few tokens of them ("opener"); "whole": it ended there by itself
    text.jsonl      {"text"}: prose on which an adapter is to predict what the base predicts
    lineage.jsonl   {"row", "facts"}: which facts each curriculum row rests on
    job.json        the recipe, the seed, the base and its revision, counts, and a digest of the other files

All but lineage.jsonl is a function of what the facts say (not of their ids), recipe, seed, base and paraphrases.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from memory_agent.distillation.curriculum import Curriculum
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.paraphrasing import Paraphrases
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.templates import load_templates
from memory_agent.errors import NothingToDistill, TrainerFailed
from memory_agent.folders import whole
from memory_agent.models.local import LocalModel
from memory_agent.protocols import Progress
from memory_agent.records import Record

FILES = ("chat.jsonl", "replay.jsonl", "text.jsonl", "lineage.jsonl")


class Job(Record):
    """What job.json holds."""

    version: int = 1
    recipe: Recipe
    seed: int
    base: str
    base_folder: str
    base_revision: str
    facts: int
    rows: int
    digest: str
    """SHA-256 over chat.jsonl, replay.jsonl and text.jsonl."""


def prepare(
    folder: Path,
    facts: Iterable[TaughtFact],
    recipe: Recipe,
    base: LocalModel,
    seed: int = 0,
    progress: Progress | None = None,
    paraphrases: Paraphrases | None = None,
) -> Job:
    """Write the job for `facts` to `folder`, which appears whole or not at all; one that is there is replaced.

    `paraphrases` are more forms of theirs than the templates have.
    Raises NothingToDistill without facts, and the model's errors while the base answers.
    """
    facts = list(facts)
    if not facts:
        raise NothingToDistill("there are no facts to teach")
    recipe = recipe.settled(len(facts))
    curriculum = Curriculum(facts, recipe, seed, paraphrases=paraphrases)
    chat, lineage = _chat(curriculum, recipe)
    replay = _replay(curriculum, recipe, base, progress)
    prose = load_templates().replay
    text = [{"text": passage} for passage in (*prose.text, *prose.sampled)] if recipe.text_every else []
    written = dict(zip(FILES, (_lines(chat), _lines(replay), _lines(text), _lines(lineage)), strict=True))
    digest = hashlib.sha256("\0".join(written[name] for name in FILES[:3]).encode()).hexdigest()
    job = Job(
        recipe=recipe,
        seed=seed,
        base=base.name,
        base_folder=str(base.weights.folder),
        base_revision=base.revision,
        facts=len(facts),
        rows=len(chat),
        digest=digest,
    )
    written["job.json"] = job.model_dump_json(indent=1) + "\n"
    _put(folder, written)
    return job


def read(folder: Path) -> tuple[Job, dict[str, list[dict[str, Any]]]]:
    """A prepared job and its rows by file name. Raises TrainerFailed when the folder holds none, or a changed one."""
    try:
        job = Job.model_validate_json((folder / "job.json").read_text("utf-8"))
        texts = {name: (folder / name).read_text("utf-8") for name in FILES}
    except (OSError, ValueError) as error:
        raise TrainerFailed(f"{folder} holds no prepared job: {error}") from error
    if hashlib.sha256("\0".join(texts[name] for name in FILES[:3]).encode()).hexdigest() != job.digest:
        raise TrainerFailed(f"the files in {folder} are not the ones that job.json was written for; prepare it again")
    return job, {name: [json.loads(line) for line in text.splitlines()] for name, text in texts.items()}


def _chat(curriculum: Curriculum, recipe: Recipe) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    chat, lineage = [], []
    for epoch in range(recipe.epochs):
        for i, row in enumerate(curriculum.rows(epoch)):
            name = f"{epoch}.{i}"
            chat.append(
                {
                    "messages": _messages(row.prompt, row.answer),
                    "row": name,
                    "epoch": epoch,
                    "kind": row.kind,
                    "group": row.group,
                }
            )
            lineage.append({"row": name, "facts": list(row.facts)})
    return chat, lineage


def _replay(
    curriculum: Curriculum, recipe: Recipe, base: LocalModel, progress: Progress | None
) -> list[dict[str, Any]]:
    """The base's greedy answers, cut at `replay_tokens`; a third of the questions are about things of the graph.

    Where the questions written out are too few, those composed for the openers fill them up. Then the openers, cut at
    `opener_tokens`: many more questions, of which only the turn the answer takes counts.
    """
    templates = load_templates().replay
    wanted = recipe.replay_prompts
    about = _spread(curriculum.near(), wanted // 3)
    kindred = _spread(templates.near, (wanted - len(about)) // 4)
    prompts = [*about, *kindred, *_spread(templates.general, wanted - len(about) - len(kindred))]
    composed = [question for question in templates.opened() if question not in prompts]
    prompts += _spread(composed, wanted - len(prompts))
    openers = curriculum.openers(recipe.near_openers, recipe.openers) if recipe.opener_rows else []
    share = len(prompts) * recipe.replay_tokens
    whole = share + len(openers) * recipe.opener_tokens

    def told(begun: float, of: int) -> Callable[[float], None] | None:
        said = "the base answers general questions"
        return None if progress is None else lambda done: progress((begun + done * of) / whole, said)

    answers = base.generate(prompts, max_new_tokens=recipe.replay_tokens, progress=told(0, share))
    begun = base.generate(openers, max_new_tokens=recipe.opener_tokens, progress=told(share, whole - share))
    rows = [*zip(prompts, answers, strict=True)], [*zip(openers, begun, strict=True)]
    lengths = recipe.replay_tokens, recipe.opener_tokens
    return [
        {"messages": _messages(prompt, answer.text), "kind": kind, "whole": answer.tokens < most}
        for kind, most, part in zip(("answer", "opener"), lengths, rows, strict=True)
        for prompt, answer in part
    ]


def _spread(items: Sequence[str], count: int) -> list[str]:
    """`count` of the items (all, if there are no more), evenly from the whole list."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _messages(prompt: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _put(folder: Path, files: Mapping[str, str]) -> None:
    with whole(folder) as partial:
        for name, text in files.items():
            (partial / name).write_text(text, "utf-8", newline="\n")
