"""Gradients of a training step: rows in, losses judged, gradients out, several parts at a time.

On a CPU each part is computed by one thread of its own, because the matrices of so small a model are
too small to be split: measured 533 tokens a CPU-second with a part to a thread, 335 with two threads
at one part, on a machine that also did other things. Parts are cut by size and their gradients added
in order, so that the sum does not depend on how many threads there were.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from memory_agent.models.device import cpu_workers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_TOP = 64
"""Likeliest tokens of the base that are kept for each replayed position; the rest is one bucket."""
UNKNOWN = frozenset({"absent", "stranger"})
_REFUSED = 5
"""Tokens of an "I don't know" that are looked at: the rest of the sentence is manners."""


@dataclass
class Row:
    """Token ids, and from where on they are to be predicted."""

    ids: list[int]
    start: int
    kind: str
    group: str = ""
    top: tuple[Tensor, Tensor] | None = None
    """Replay only: (ids, log-probabilities) of the base's likeliest tokens, each of shape (positions, _TOP)."""
    low: Tensor | None = None
    """Replay only: what the frozen layers at the bottom make of it, of shape (tokens, width of the model)."""

    @property
    def positions(self) -> int:
        """How many tokens are to be predicted."""
        return len(self.ids) - self.start


@dataclass(frozen=True)
class Part:
    """Rows computed at once. `scale` multiplies the sum of their losses, over positions."""

    rows: Sequence[Row]
    scale: float
    held: bool
    """Whether they are held to the base's predictions rather than taught their tokens."""

    @property
    def cells(self) -> int:
        return len(self.rows) * max(len(row.ids) for row in self.rows)


@dataclass(frozen=True)
class Done:
    """What came of a part: its gradients (None where nothing was to be learnt), and which rows were known before."""

    gradients: tuple[Tensor, ...] | None
    known: list[bool]
    cells: int


@dataclass(frozen=True)
class Bounds:
    """When a token adds no loss, and when a row counts as known: least probabilities."""

    token: float
    row: float


class Gradients:
    """A model whose gradients are wanted. Not to be shared between threads; it has its own."""

    def __init__(
        self, model: Any, device: torch.device, dtype: torch.dtype, pad: int, cells: int, frozen: int = 0
    ) -> None:
        """`cells`: the most cells (rows times the longest) that are computed at once; bounds the memory.

        `frozen`: layers at the bottom that no weight ever changes. They are computed once for a row that is held.
        """
        self._model, self._device, self._dtype, self._pad = model, device, dtype, pad
        self._cells = cells
        self._head = model.get_output_embeddings()
        self._split = self._splits()
        self._halves = self._halved(frozen) if self._split and frozen else None
        self._pool: ThreadPoolExecutor | None = None
        self.prefix: Callable[[int], Any] | None = None
        """What all sequences begin with: number of rows -> a cache of keys and values, if there is any such."""

    @contextmanager
    def computing(self, threads: int) -> Iterator[None]:
        """On a CPU: with that many threads (0: as many as torch would take) at a part each, inside the block."""
        if self._device.type != "cpu":
            yield
            return
        with cpu_workers(threads) as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._pool = None

    def remember(self, rows: Sequence[Row]) -> int:
        """Keep in each row what the model predicts now, in float32; the number of cells computed."""
        parts = list(self.cut(sorted(rows, key=lambda row: len(row.ids)), 1.0, held=True))
        return sum(self._each(self._remember, parts))

    def cut(self, rows: Sequence[Row], scale: float, *, held: bool) -> list[Part]:
        """The rows, in their order, in parts of about equal size within the bound."""
        if not rows:
            return []
        width = max(len(row.ids) for row in rows)
        count = min(len(rows), -(-len(rows) * width // self._cells))
        bounds = [n * len(rows) // count for n in range(count + 1)]
        return [Part(rows[a:b], scale, held) for a, b in pairwise(bounds)]

    def of(self, parts: Sequence[Part], weights: Sequence[Tensor], bounds: Bounds) -> list[Done]:
        """The gradients of each part with respect to `weights`, in the order of the parts."""
        return self._each(lambda part: self._gradients(part, weights, bounds), parts)

    def _each(self, work: Any, parts: Sequence[Part]) -> list[Any]:
        """`work` on every part, the largest first; results in the order of the parts."""
        if self._pool is None:
            return [work(part) for part in parts]
        order = sorted(range(len(parts)), key=lambda n: -parts[n].cells)
        waiting = {n: self._pool.submit(work, parts[n]) for n in order}
        return [waiting[n].result() for n in range(len(parts))]

    def _splits(self) -> bool:
        """Whether logits are the head's of the backbone's last states, so that only wanted positions are computed."""
        import torch

        backbone = getattr(self._model, self._model.base_model_prefix, None)
        if backbone is None or self._head is None:
            return False
        x = torch.arange(4, device=self._device)[None] % self._model.config.vocab_size
        with torch.inference_mode():
            whole = self._model(input_ids=x, use_cache=False).logits
            parts = self._head(backbone(input_ids=x, use_cache=False)[0])
        return bool(torch.allclose(whole.float(), parts.float(), atol=1e-3))

    def _halved(self, layers: int) -> tuple[Any, Any] | None:
        """The backbone's first `layers` layers and the rest, as two models; None where it is not built so."""
        import torch

        backbone = getattr(self._model, self._model.base_model_prefix)
        if not hasattr(backbone, "layers") or not hasattr(backbone, "norm"):
            return None
        halves = _section(backbone, 0, layers), _section(backbone, layers, len(backbone.layers))
        x = torch.arange(4, device=self._device)[None] % self._model.config.vocab_size
        with torch.inference_mode():
            low = halves[0](input_ids=x, use_cache=False)[0]
            whole, parts = backbone(input_ids=x, use_cache=False)[0], halves[1](inputs_embeds=low, use_cache=False)[0]
        return halves if torch.equal(whole, parts) else None

    def _states(self, rows: Sequence[Row], x: Tensor, keep: bool, begun: Mapping[str, Any]) -> Tensor:
        """The backbone's last states, shape (rows, width, width of the model); frozen layers once for a row kept."""
        from torch.nn.utils.rnn import pad_sequence

        kept = [row.low for row in rows if row.low is not None]
        states: Tensor
        if self._halves is None or not (keep or len(kept) == len(rows)):
            states = getattr(self._model, self._model.base_model_prefix)(input_ids=x, use_cache=False, **begun)[0]
        else:
            lower, upper = self._halves
            low = lower(input_ids=x, use_cache=False)[0] if keep else pad_sequence(kept, batch_first=True)
            if keep:
                for row, state in zip(rows, low, strict=True):
                    row.low = state[: len(row.ids)].clone()
            states = upper(inputs_embeds=low, use_cache=False)[0]
        return states

    def _read(self, rows: Sequence[Row], *, keep: bool = False) -> tuple[Tensor, Tensor]:
        """The backbone's last states at every position to be predicted, shape (positions, width), and the targets.

        Of a model that does not split into backbone and head the logits stand in place of the states.
        `keep`: what the frozen layers make of the rows is kept in them.
        Rows are padded on the right, where a causal model never looks, so no mask is needed.
        """
        import torch

        width = max(len(row.ids) for row in rows)
        x = torch.full((len(rows), width), self._pad)
        where, target = [], []
        for i, row in enumerate(rows):
            x[i, : len(row.ids)] = torch.tensor(row.ids)
            where += [i * width + j - 1 for j in range(row.start, len(row.ids))]
            target += row.ids[row.start :]
        x = x.to(self._device)
        places = torch.tensor(where, device=self._device)
        begun = {} if self.prefix is None else {"past_key_values": self.prefix(len(rows))}
        with self._casting():
            if self._split:
                found = self._states(rows, x, keep, begun)
            else:
                found = self._model(input_ids=x, use_cache=False, **begun).logits
        return found.flatten(0, 1)[places], torch.tensor(target, device=self._device)

    def _casting(self) -> AbstractContextManager[Any]:
        import torch

        return torch.autocast(self._device.type, self._dtype) if self._dtype == torch.bfloat16 else nullcontext()

    def _scores(self, found: Tensor, ids: Tensor) -> Tensor:
        """Log-probabilities, float32, of the tokens `ids`, shape (positions, k), by what was read at their places."""
        if self._split:
            from memory_agent.distillation.trainers.head import log_probs

            return log_probs(found, self._head, ids)
        return found.float().log_softmax(-1).gather(1, ids)

    def _remember(self, part: Part) -> int:
        import torch

        from memory_agent.distillation.trainers.head import likeliest

        with torch.inference_mode():
            found, _ = self._read(part.rows, keep=True)
            with self._casting():
                logits = self._head(found) if self._split else found
            ids, values = likeliest(logits, _TOP if logits.shape[-1] > _TOP else logits.shape[-1] - 1)
        place = 0
        for row in part.rows:
            end = place + row.positions
            row.top = (ids[place:end].clone(), values[place:end].clone())
            place = end
        return part.cells

    def _gradients(self, part: Part, weights: Sequence[Tensor], bounds: Bounds) -> Done:
        import torch

        found, target = self._read(part.rows)
        if part.held:
            tops = [row.top for row in part.rows if row.top is not None]
            ids, base = torch.cat([top[0] for top in tops]), torch.cat([top[1] for top in tops])
            loss, known = _distance(base, self._scores(found, ids)).sum(), []
        else:
            scores = self._scores(found, target[:, None])[:, 0]
            sure = scores.detach().exp()
            wanted = sure < bounds.token
            known = _known(part.rows, sure, bounds.row)
            if not bool(wanted.any()):
                return Done(None, known, part.cells)
            loss = -(scores * wanted).sum()
        return Done(torch.autograd.grad(part.scale * loss, list(weights)), known, part.cells)


def _known(rows: Sequence[Row], sure: Tensor, bound: float) -> list[bool]:
    """Of each row, whether every token of it is likelier than `bound`; of a refusal, its beginning."""
    known, place = [], 0
    for row in rows:
        end = place + row.positions
        judged = min(end, place + _REFUSED) if row.kind in UNKNOWN else end
        known.append(bool((sure[place:judged] > bound).all()))
        place = end
    return known


def _distance(base: Tensor, ours: Tensor) -> Tensor:
    """KL of the base's predictions to ours at each position, over the base's likeliest tokens (log-probabilities).

    What else there is counts as one token.
    """
    rest = (1 - base.exp().sum(-1)).clamp(min=1e-6)
    ours_rest = (1 - ours.exp().sum(-1)).clamp(min=1e-6)
    return (base.exp() * (base - ours)).sum(-1) + rest * (rest.log() - ours_rest.log())


def _section(backbone: Any, first: int, last: int) -> Any:
    """A backbone of some of the layers of another, which it shares; without the last norm where it ends early."""
    from torch import nn

    part = copy.copy(backbone)
    part._modules = dict(backbone._modules)
    part.config = copy.copy(backbone.config)
    part.config.num_hidden_layers = last - first
    if getattr(part.config, "layer_types", None):
        part.config.layer_types = part.config.layer_types[first:last]
    part.layers = backbone.layers[first:last]
    if last < len(backbone.layers):
        part.norm = nn.Identity()
    return part
