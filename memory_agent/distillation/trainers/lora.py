"""The local LoRA trainer: a prepared job into a PEFT adapter, on the CPU or whatever accelerator there is.

Loss = cross-entropy on the answer tokens that are not known yet + KL to the base on replay. Rows and
groups that are known are left out, so time goes where something is still to be learnt. It ends with a
pass of falling rate once the questions of a pass are known at first sight.

The base stays as it is (bfloat16 where the hardware computes in it), the adapter is float32. With the
same job, base and device the result is the same to the byte, on however many threads: every random choice
is drawn from the seed, batches and rate follow from the step and not from the clock. A killed run goes
on after its last whole pass and ends in the same bytes; the adapter's folder appears by a rename when it is whole.

Skipping known tokens follows "memory fine-tuning" in the issue's notes; a greedy answer is certain once
every token of it has more than half of the probability.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_agent.distillation.job import Job, read
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.trainers import checkpoint
from memory_agent.distillation.trainers.anchor import Anchor, weights_anchor
from memory_agent.distillation.trainers.gradients import UNKNOWN, Bounds, Gradients, Part, Row
from memory_agent.errors import MissingExtra, TrainerFailed
from memory_agent.folders import whole
from memory_agent.models.device import best_device, best_dtype, release_memory
from memory_agent.models.template import ChatFormat
from memory_agent.protocols import Progress

if TYPE_CHECKING:
    import torch

Files = dict[str, list[dict[str, Any]]]
"""Rows of a prepared job, by file."""
_REPLAYED = ("answer", "opener")
_NOTING = 0.04
"""Share of the progress that noting the base's predictions takes, about that of the time."""
_QUESTIONS = frozenset({"forward", "inverse"}) | UNKNOWN
"""Kinds whose rows can be known for sure, and decide when training is done."""


@dataclass
class _State:
    """What is known of the groups, and how the run goes."""

    streak: dict[str, int] = field(default_factory=dict)
    """Passes in a row in which all rows of a group were known before they were trained on."""
    steps: int = 0
    tokens: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class LoraTrainer:
    """Trains a LoRA adapter with PEFT. `threads`: CPU threads, 0 leaves it to torch."""

    def __init__(self, *, threads: int = 0) -> None:
        self._threads = threads

    def train(self, job: Path, out: Path, progress: Progress | None = None) -> Path:
        """Write the adapter of the job at `job` to the folder `out`, replacing what is there; see `Trainer`."""
        settings, rows = read(job)
        run = self._run(settings, rows, progress)
        kept = out.parent / f"{out.name}.pass"
        with run.gradients.computing(self._threads):
            run.train(kept)
        saved = run.save(out)
        shutil.rmtree(kept, ignore_errors=True)
        del run
        release_memory()
        return saved

    def _run(self, job: Job, rows: Files, progress: Progress | None) -> Run:
        """What carries the job out; for another kind of adapter it is another one."""
        return Run(job, rows, progress)


class Run:
    """One job being trained: rows, base, adapter and optimizer."""

    def __init__(self, job: Job, files: Files, progress: Progress | None) -> None:
        import torch

        self.job, self.recipe, self.progress = job, job.recipe, progress
        self.state = _State()
        self.anchor: Anchor | None = None
        self.device = best_device()
        self.dtype = best_dtype(self.device)
        model, tokenizer = _load_base(job, self.dtype)
        self.model = model.to(self.device)
        self.chat = ChatFormat(tokenizer)
        self.gradients = Gradients(
            self.model, self.device, self.dtype, self.chat.pad, self.recipe.micro_tokens, self.frozen()
        )
        self.passes: dict[int, list[Row]] = {}
        for line in files["chat.jsonl"]:
            self.passes.setdefault(int(line["epoch"]), []).append(self._row(line))
        replay, openers = (
            [self._row(line) for line in files["replay.jsonl"] if line["kind"] == kind] for kind in _REPLAYED
        )
        text = [Row(ids, 1, "text") for line in files["text.jsonl"] if len(ids := self.chat.ids(line["text"])) > 1]
        self.replay, self.openers, self.text = replay, openers, text
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            self.peft = self.wrapped()
        self.weights = [p for p in self.peft.parameters() if p.requires_grad]
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(self.weights, lr=self.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=fused)

    @property
    def rate(self) -> float:
        """The highest rate of the optimizer."""
        return self.recipe.rate

    def frozen(self) -> int:
        """How many layers at the bottom are computed alike whatever is learnt."""
        return _first(self.model, self.recipe)

    def wrapped(self) -> Any:
        """The base as a PEFT model with the adapter that is to be trained, which changes nothing yet."""
        return _wrap(self.model, self.recipe)

    def begin(self) -> None:
        """What comes between noting down the base's predictions and the first step."""
        self.anchor = weights_anchor(self.peft, self.recipe, self.gradients, self.replay)

    def _row(self, line: dict[str, Any]) -> Row:
        *asked, answered = line["messages"]
        prompt = self.chat.prompt_ids(asked)
        answer = self.chat.answer_ids(answered["content"])
        if line["kind"] in _REPLAYED and not line["whole"]:
            answer = answer[:-1] or answer  # a cut answer does not end
        return Row([*prompt, *answer], len(prompt), line["kind"], line.get("group", ""))

    # The loop

    def train(self, kept: Path) -> None:
        """All passes: until the questions are known at first sight, then one of falling rate.

        The state after each is kept in the folder `kept`, and one that is there is taken up.
        """
        self._tell(0.0, "what the base would say is noted")
        # An adapter that has not begun to learn changes nothing (its B is 0): this is the base.
        self.state.tokens += self.gradients.remember([*self.replay, *self.openers, *self.text])
        self.begin()
        found = checkpoint.take_up(kept, self.weights, self.optimizer, self._of())
        self.state = self.state if found is None else _State(**found)
        self.peft.train()
        final = False
        while not final:
            epoch = len(self.state.history)
            final = epoch == self.recipe.epochs - 1 or self._is_known()
            self._pass(epoch, final)
            release_memory()
            if not final:
                checkpoint.keep(kept, self.weights, self.optimizer, self._of(), asdict(self.state))
        self._tell(1.0, "trained")

    def _is_known(self) -> bool:
        """Whether enough was known at first sight in the pass before."""
        return bool(self.state.history) and self.state.history[-1]["known"] >= self.recipe.known_share

    def _of(self) -> dict[str, str]:
        """All that a kept state depends on."""
        import torch

        recipe = self.recipe.model_dump_json()
        return {
            "job": f"{self.job.digest} {self.job.seed} {self.job.base_revision} {recipe}",
            "with": f"{torch.__version__} {self.device} {self.dtype}",
        }

    def _pass(self, epoch: int, final: bool) -> None:
        """One pass. Its history: the share of question rows (kept or left out as known) known at first sight."""
        rows, left_out = self._kept(epoch, final)
        batches = self._batches(rows, epoch)
        seen: dict[str, list[bool]] = {}
        kinds: dict[str, list[bool]] = {}
        for i, batch in enumerate(batches):
            self._set_rate(i, len(batches), final)
            for row, known in zip(batch, self._step(batch), strict=True):
                seen.setdefault(row.group, []).append(known)
                kinds.setdefault(row.kind, []).append(known)
            self._report(epoch, (i + 1) / len(batches), final)
        for group, values in seen.items():
            self.state.streak[group] = self.state.streak.get(group, 0) + 1 if all(values) else 0
        shares = {kind: sum(values) / len(values) for kind, values in sorted(kinds.items())}
        right = left_out + sum(sum(values) for kind, values in kinds.items() if kind in _QUESTIONS)
        total = left_out + sum(len(values) for kind, values in kinds.items() if kind in _QUESTIONS)
        share = right / total if total else 1.0
        self.state.history.append({"epoch": epoch, "rows": len(rows), "known": share, **shares})

    def _kept(self, epoch: int, final: bool) -> tuple[list[Row], int]:
        """The rows of a pass without most of those whose group is known, and how many were left out.

        The last pass has them all: otherwise what it settles is an adapter that mostly heard "I don't know".
        """
        draw = random.Random(f"{self.job.seed}/kept/{epoch}")
        rows = self.passes.get(epoch, [])
        kept = []
        for row in rows:
            known = row.kind in ("forward", "inverse", "absent") and self.state.streak.get(row.group, 0) >= 1
            if final or not known or draw.random() < self.recipe.keep_known:
                kept.append(row)
        return kept, len(rows) - len(kept)

    def _batches(self, rows: list[Row], epoch: int) -> list[list[Row]]:
        """Rows of about one length together, the batches in random order."""
        draw = random.Random(f"{self.job.seed}/batches/{epoch}")
        rows = draw.sample(rows, len(rows))
        rows.sort(key=lambda row: len(row.ids))
        size = self.recipe.batch
        batches = [rows[i : i + size] for i in range(0, len(rows), size)]
        draw.shuffle(batches)
        return batches

    def _set_rate(self, i: int, of: int, final: bool) -> None:
        share = min(1.0, (self.state.steps + 1) / max(1, self.recipe.warm_up))
        if final:
            share *= 1 - 0.95 * i / max(1, of)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * share

    def _step(self, batch: list[Row]) -> list[bool]:
        """One step of the optimizer; for each row, whether it was known before it."""
        import torch

        self.state.steps += 1
        # Over all answer tokens, but at least a quarter counts: few open tokens do not shout.
        taught = self.gradients.cut(batch, 1 / max(1.0, 0.25 * sum(row.positions for row in batch)), held=False)
        bounds = Bounds(self.recipe.token_known, self.recipe.row_known)
        done = self.gradients.of([*taught, *self._held()], self.weights, bounds)
        self.state.tokens += sum(one.cells for one in done)
        known = [value for one in done for value in one.known]
        if all(one.gradients is None for one in done[: len(taught)]):
            return known
        for place, weight in enumerate(self.weights):
            parts = [one.gradients[place] for one in done if one.gradients is not None]
            weight.grad = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
        if self.anchor is not None:
            self.anchor.pull()
        torch.nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return known

    def _held(self) -> list[Part]:
        """What this step is held to the base on: openers, and now and then answers and prose.

        Prose comes half-way between two batches of answers, so that steps take about as long and two threads as well.
        """
        recipe, step = self.recipe, self.state.steps
        parts = self._drawn(self.openers, recipe.opener_rows, f"openers/{step}", recipe.opener_weight)
        turn, since = divmod(step, recipe.replay_every)
        if since == 0:
            parts += self._drawn(self.replay, recipe.replay_rows, f"replay/{turn}", recipe.kl_weight)
        if since == recipe.replay_every // 2 and recipe.text_every and turn % recipe.text_every == 0:
            parts += self._drawn(self.text, recipe.text_rows, f"text/{turn}", recipe.text_weight)
        return parts

    def _drawn(self, rows: Sequence[Row], count: int, draw: str, weight: float) -> list[Part]:
        """Some of the rows, weighted by the mean over their positions."""
        drawn = random.Random(f"{self.job.seed}/{draw}").sample(rows, min(count, len(rows)))
        return self.gradients.cut(drawn, weight / max(1, sum(row.positions for row in drawn)), held=True)

    def _report(self, epoch: int, share: float, final: bool) -> None:
        if self.progress is None:
            return
        known = self.state.history[-1]["known"] if self.state.history else 0.0
        # What is known grows by about an eighth a pass towards the end: it may be enough before the last pass allowed.
        wanting = 8 * (self.recipe.known_share - known)
        ahead = 0.0 if final else max(1.0, min(self.recipe.epochs - epoch - 1, 1 + wanting))
        done = _NOTING + (1 - _NOTING) * (epoch + share) / (epoch + 1 + ahead)
        self._tell(min(done, 0.99), f"pass {epoch + 1}, {known:.0%} known at first sight")

    def _tell(self, share: float, what: str) -> None:
        if self.progress is not None:
            self.progress(share, what)

    def save(self, out: Path) -> Path:
        """The adapter folder: safetensors, its configuration, and how the training went. Appears whole."""
        if any(not math.isfinite(float(p.detach().abs().sum())) for p in self.weights):
            raise TrainerFailed("the training diverged: lower the recipe's rate")
        with whole(out) as partial:
            config = self.peft.peft_config["default"]
            config.base_model_name_or_path = self.job.base
            # peft holds sets, which every process writes in an order of its own, and the adapter's name is a hash.
            for name, value in vars(config).items():
                if isinstance(value, set):
                    setattr(config, name, sorted(value))
            # The embeddings are the base's; to find that out, peft would ask the model hub.
            self.peft.save_pretrained(partial, safe_serialization=True, save_embedding_layers=False)
            (partial / "README.md").unlink(missing_ok=True)
            about = {"passes": self.state.history, "steps": self.state.steps, "tokens": self.state.tokens}
            (partial / "training.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
        return out


def _load_base(job: Job, dtype: torch.dtype) -> tuple[Any, Any]:
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtra("training an adapter", "distill") from error
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.base_folder)
        model = AutoModelForCausalLM.from_pretrained(
            job.base_folder, dtype=dtype, use_safetensors=True, attn_implementation="eager"
        )
    except (OSError, ValueError) as error:
        raise TrainerFailed(f"the base at {job.base_folder} does not load: {error}") from error
    return model, tokenizer


def _wrap(model: Any, recipe: Recipe) -> Any:
    try:
        from peft import LoraConfig, get_peft_model

        from memory_agent.distillation.trainers.fused import fuse
    except ImportError as error:
        raise MissingExtra("training an adapter", "distill") from error
    which = list(range(_first(model, recipe), model.config.num_hidden_layers))
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=0.0,
        target_modules=_linear_names(model),
        layers_to_transform=which,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an older name
        wrapped = get_peft_model(model, config)
    fuse(wrapped)
    return wrapped


def _first(model: Any, recipe: Recipe) -> int:
    """The first layer with an adapter."""
    return min(recipe.first_layer, int(model.config.num_hidden_layers) // 2)


def _linear_names(model: Any) -> list[str]:
    """What the linear layers inside the blocks are called ("q_proj", "c_fc" ...), all but the output head."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D)]
    return sorted({name.rpartition(".")[2] for name, part in linear if part is not head})
