"""The local LoRA trainer: a prepared job into a PEFT adapter, on the CPU or whatever accelerator there is.

Loss = cross-entropy on the answer tokens that are not known yet + KL to the base on replay. Rows and
groups that are known are left out, so time goes where something is still to be learnt. It ends with a
pass of falling rate once the questions of a pass are known at first sight.

The base stays as it is (bfloat16 where the hardware computes in it), the adapter is float32. With the
same job, base, device and number of threads the result is the same to the byte: every random choice is
drawn from the seed, batches and rate follow from the step and not from the clock. A killed run is
started anew; the adapter's folder appears by a rename when it is whole.

Skipping known tokens follows "memory fine-tuning" in the issue's notes; a greedy answer is certain once
every token of it has more than half of the probability.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory_agent.distillation.job import Job, read
from memory_agent.distillation.recipe import Recipe
from memory_agent.errors import MissingExtra, TrainerFailed
from memory_agent.models.device import best_device, best_dtype, cpu_threads
from memory_agent.models.template import ChatFormat
from memory_agent.protocols import Progress

if TYPE_CHECKING:
    import torch

_TOP = 64
"""Likeliest tokens of the base that are kept for each replayed position; the rest is one bucket."""
_UNKNOWN = frozenset({"absent", "stranger"})
_REFUSED = 5
"""Tokens of an "I don't know" that are looked at: the rest of the sentence is manners."""
_REPLAYED = ("answer", "opener")
_QUESTIONS = frozenset({"forward", "inverse"}) | _UNKNOWN
"""Kinds whose rows can be known for sure, and decide when training is done."""


@dataclass
class _Row:
    """Token ids, and from where on they are to be predicted."""

    ids: list[int]
    start: int
    kind: str
    group: str = ""
    top: Any = None
    """Replay only: (ids, log-probabilities) of the base's likeliest tokens, each of shape (positions, _TOP)."""


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
        with cpu_threads(self._threads):
            run = _Run(settings, rows, progress)
            run.train()
            return run.save(out)


class _Run:
    def __init__(self, job: Job, files: dict[str, list[dict[str, Any]]], progress: Progress | None) -> None:
        import torch

        self.job, self.recipe, self.progress = job, job.recipe, progress
        self.state = _State()
        self.device = best_device()
        self.dtype = best_dtype(self.device)
        self.began = time.monotonic()
        model, tokenizer = _load_base(job, self.dtype)
        self.model = model.to(self.device)
        self.chat = ChatFormat(tokenizer)
        self.head = self.model.get_output_embeddings()
        self.split = self._splits()
        self.passes: dict[int, list[_Row]] = {}
        for line in files["chat.jsonl"]:
            self.passes.setdefault(int(line["epoch"]), []).append(self._row(line))
        replay, openers = (
            [self._row(line) for line in files["replay.jsonl"] if line["kind"] == kind] for kind in _REPLAYED
        )
        text = [_Row(ids, 1, "text") for line in files["text.jsonl"] if len(ids := self.chat.ids(line["text"])) > 1]
        self._remember_base([*replay, *openers, *text])
        self.replay, self.openers, self.text = replay, openers, text
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(job.seed)
            self.peft = _wrap(self.model, self.recipe)
        self.weights = [p for p in self.peft.parameters() if p.requires_grad]
        fused = self.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=self.recipe.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=fused
        )

    def _row(self, line: dict[str, Any]) -> _Row:
        *asked, answered = line["messages"]
        prompt = self.chat.prompt_ids(asked)
        answer = self.chat.answer_ids(answered["content"])
        if line["kind"] in _REPLAYED:
            answer = answer[:-1] or answer  # a cut answer does not end
        return _Row([*prompt, *answer], len(prompt), line["kind"], line.get("group", ""))

    # The model

    def _splits(self) -> bool:
        """Whether logits are the head's of the backbone's last states, so that only wanted positions are computed."""
        import torch

        backbone = getattr(self.model, self.model.base_model_prefix, None)
        if backbone is None or self.head is None:
            return False
        x = torch.arange(4, device=self.device)[None] % self.model.config.vocab_size
        with torch.inference_mode():
            whole = self.model(input_ids=x, use_cache=False).logits
            parts = self.head(backbone(input_ids=x, use_cache=False)[0])
        return bool(torch.allclose(whole.float(), parts.float(), atol=1e-3))

    def _logits(self, rows: Sequence[_Row]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, shape (positions, vocabulary), float32, at every position to be predicted, and the targets.

        Rows are padded on the right, where a causal model never looks, so no mask is needed.
        """
        import torch

        width = max(len(row.ids) for row in rows)
        x = torch.full((len(rows), width), self.chat.pad)
        where, target = [], []
        for i, row in enumerate(rows):
            x[i, : len(row.ids)] = torch.tensor(row.ids)
            where += [i * width + j - 1 for j in range(row.start, len(row.ids))]
            target += row.ids[row.start :]
        x = x.to(self.device)
        places = torch.tensor(where, device=self.device)
        cast = torch.autocast(self.device.type, self.dtype) if self.dtype == torch.bfloat16 else nullcontext()
        with cast:
            if self.split:
                backbone = getattr(self.model, self.model.base_model_prefix)
                hidden = backbone(input_ids=x, use_cache=False)[0].flatten(0, 1)
                logits = self.head(hidden[places])
            else:
                logits = self.model(input_ids=x, use_cache=False).logits.flatten(0, 1)[places]
        self.state.tokens += x.numel()
        return logits.float(), torch.tensor(target, device=self.device)

    def _remember_base(self, rows: Sequence[_Row]) -> None:
        """Keep the base's likeliest tokens at every replayed position, log-probabilities in float32."""
        import torch

        for part in _micro(sorted(rows, key=lambda row: len(row.ids)), self.recipe.micro_tokens):
            with torch.inference_mode():
                logits, _ = self._logits(part)
                top = logits.log_softmax(-1).topk(_TOP if logits.shape[-1] > _TOP else logits.shape[-1] - 1)
            place = 0
            for row in part:
                end = place + len(row.ids) - row.start
                row.top = (top.indices[place:end].clone(), top.values[place:end].clone())
                place = end

    # The loop

    def train(self) -> None:
        """All passes: until the questions are known at first sight, then one of falling rate."""
        last = self.recipe.epochs - 1
        for epoch in range(self.recipe.epochs):
            final = epoch == last
            known = self._pass(epoch, final)
            if final:
                break
            if known >= self.recipe.known_share:
                self._pass(epoch + 1, True)
                break
        self._tell(1.0, "trained")

    def _pass(self, epoch: int, final: bool) -> float:
        """One pass; the share of its question rows (kept or left out as known) that was known at first sight."""
        rows, left_out = self._kept(epoch, final)
        batches = self._batches(rows, epoch)
        seen: dict[str, list[bool]] = {}
        kinds: dict[str, list[bool]] = {}
        for i, batch in enumerate(batches):
            self._set_rate(i, len(batches), final)
            for row, known in zip(batch, self._step(batch, epoch), strict=True):
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
        return share

    def _kept(self, epoch: int, final: bool) -> tuple[list[_Row], int]:
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

    def _batches(self, rows: list[_Row], epoch: int) -> list[list[_Row]]:
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
            group["lr"] = self.recipe.rate * share

    def _step(self, batch: list[_Row], epoch: int) -> list[bool]:
        """One step of the optimizer; for each row, whether it was known before it."""
        import torch

        self.peft.train()
        known: list[bool] = []
        learnt = False
        total = sum(len(row.ids) - row.start for row in batch)
        for part in _micro(batch, self.recipe.micro_tokens):
            logits, target = self._logits(part)
            scores = logits.log_softmax(-1).gather(1, target[:, None])[:, 0]
            sure = scores.detach().exp()
            open_ = sure < self.recipe.token_known
            place = 0
            for row in part:
                end = place + len(row.ids) - row.start
                judged = min(end, place + _REFUSED) if row.kind in _UNKNOWN else end
                known.append(bool((sure[place:judged] > self.recipe.row_known).all()))
                place = end
            if bool(open_.any()):
                learnt = True
                # Over all answer tokens, but at least a quarter counts: few open tokens do not shout.
                torch.autograd.backward(-(scores * open_).sum() / max(1.0, 0.25 * total))
        self.state.steps += 1
        if not learnt:
            return known
        if self.recipe.replay_rows and self.state.steps % self.recipe.replay_every == 0:
            self._replay()
        self._hold(self.openers, self.recipe.opener_rows, f"openers/{self.state.steps}", self.recipe.opener_weight)
        torch.nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return known

    def _replay(self) -> None:
        """Hold to the base on some replayed answers, or on prose in its turn."""
        turn = self.state.steps // self.recipe.replay_every
        prose = bool(self.text) and self.recipe.text_every > 0 and turn % self.recipe.text_every == 0
        rows, count = (
            (self.text, max(1, self.recipe.replay_rows // 3)) if prose else (self.replay, self.recipe.replay_rows)
        )
        self._hold(rows, count, f"replay/{turn}", self.recipe.kl_weight)

    def _hold(self, rows: Sequence[_Row], count: int, draw: str, weight: float) -> None:
        """Add the gradient of the KL to the base on `count` of the rows: the mean over their positions."""
        import torch

        part = random.Random(f"{self.job.seed}/{draw}").sample(rows, min(count, len(rows)))
        if not part:
            return
        logits, _ = self._logits(part)
        ids = torch.cat([row.top[0] for row in part])
        base = torch.cat([row.top[1] for row in part])
        ours = logits.log_softmax(-1).gather(1, ids)
        rest = (1 - base.exp().sum(-1)).clamp(min=1e-6)
        ours_rest = (1 - ours.exp().sum(-1)).clamp(min=1e-6)
        kl = (base.exp() * (base - ours)).sum(-1) + rest * (rest.log() - ours_rest.log())
        torch.autograd.backward(weight * kl.mean())

    def _report(self, epoch: int, share: float, final: bool) -> None:
        if self.progress is None:
            return
        known = self.state.history[-1]["known"] if self.state.history else 0.0
        # Most runs end well before the last pass allowed: count on what is known so far.
        ahead = (
            0.0 if final else max(1.0, min(self.recipe.epochs - epoch - 1, 1 + 4 * (self.recipe.known_share - known)))
        )
        done = (epoch + share) / (epoch + 1 + ahead)
        gone = time.monotonic() - self.began
        left = gone * (1 - done) / max(done, 1e-6)
        self._tell(min(done, 0.99), f"pass {epoch + 1}, {known:.0%} known at first sight, about {_minutes(left)} left")

    def _tell(self, share: float, what: str) -> None:
        if self.progress is not None:
            self.progress(share, what)

    def save(self, out: Path) -> Path:
        """The adapter folder: safetensors, its configuration, and how the training went. Appears whole."""
        if any(not math.isfinite(float(p.detach().abs().sum())) for p in self.weights):
            raise TrainerFailed("the training diverged: lower the recipe's rate")
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f".{out.name}-*"):  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            self.peft.peft_config["default"].base_model_name_or_path = self.job.base
            # The embeddings are the base's; to find that out, peft would ask the model hub.
            self.peft.save_pretrained(partial, safe_serialization=True, save_embedding_layers=False)
            (partial / "README.md").unlink(missing_ok=True)
            about = {"passes": self.state.history, "steps": self.state.steps, "tokens": self.state.tokens}
            (partial / "training.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
            for file in partial.iterdir():
                with file.open("rb") as written:
                    os.fsync(written.fileno())
            shutil.rmtree(out, ignore_errors=True)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
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
    layers = getattr(model.config, "num_hidden_layers", 0)
    which = list(range(min(recipe.first_layer, layers // 2), layers))
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


def _linear_names(model: Any) -> list[str]:
    """What the linear layers inside the blocks are called ("q_proj", "c_fc" ...), all but the output head."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    linear = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear | Conv1D)]
    return sorted({name.rpartition(".")[2] for name, part in linear if part is not head})


def _micro(rows: Sequence[_Row], cells: int) -> Iterable[list[_Row]]:
    """Rows in their order, in parts of at most that many cells (rows times the longest)."""
    part: list[_Row] = []
    for row in rows:
        width = max(len(row.ids), *(len(other.ids) for other in part)) if part else len(row.ids)
        if part and width * (len(part) + 1) > cells:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
