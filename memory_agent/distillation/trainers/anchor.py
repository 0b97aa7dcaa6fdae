"""What keeps an adapter near the base, beside replay: a price on moving away from it, chosen in the recipe.

l2    the squared norm of what the adapter adds to each matrix, D = s B A
ewc   elastic weight consolidation (Kirkpatrick et al., 2017): the sum of F D^2, with F the diagonal of the
      Fisher information of the base on its own replayed answers

Of a linear layer F is taken as the outer product of the mean squares of its inputs and of the gradients of its
outputs (Martens and Grosse, 2015), scaled so that its mean over all adapted weights is 1. Both prices and
their gradients then need only matrices of rank times rank: tr((B'B)(AA')), and the same with rows and columns weighed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.trainers.gradients import Bounds, Gradients, Row
from memory_agent.errors import InvalidInput, TrainerFailed

if TYPE_CHECKING:
    from torch import Tensor

_EVERY_TOKEN = Bounds(token=float("inf"), row=1.0)


class Anchor(Protocol):
    """A price on being away from the base."""

    def pull(self) -> None:
        """Add its gradients to those that the weights have."""
        ...


def weights_anchor(peft: Any, recipe: Recipe, gradients: Gradients, replay: Sequence[Row]) -> Anchor | None:
    """The recipe's prices on a LoRA that has not learnt yet; None where it names none.

    Raises TrainerFailed when `ewc` is wanted and nothing is replayed.
    """
    if not recipe.l2 and not recipe.ewc:
        return None
    layers = _layers(peft)
    if recipe.ewc:
        if not replay:
            raise TrainerFailed("the recipe's ewc weighs by replayed answers: give replay_prompts too")
        _weigh(layers, gradients, replay)
    return _Weights([layer.pair for layer in layers], recipe.l2, recipe.ewc)


def start_anchor(weights: Sequence[Tensor], recipe: Recipe) -> Anchor | None:
    """The recipe's price on moving `weights` away from where they are now; None where it names none.

    Raises InvalidInput when `ewc` is wanted: a prefix changes no weight of the base's.
    """
    if recipe.ewc:
        raise InvalidInput("ewc weighs what a LoRA changes in the base's weights; for a prefix say l2")
    return _Start([(weight, weight.detach().clone()) for weight in weights], recipe.l2) if recipe.l2 else None


@dataclass
class _Pair:
    """One matrix's adapter: a (rank, in), b (out, rank), scale; how much inputs and outputs weigh, where they do."""

    a: Tensor
    b: Tensor
    scale: float
    ins: Tensor | None = None
    outs: Tensor | None = None

    def add(self, price: float, ins: Tensor | None, outs: Tensor | None) -> None:
        """Add the gradients of price * sum(outs_i ins_j D_ij^2)."""
        a, b = self.a.detach(), self.b.detach()
        right = a if ins is None else a * ins
        left = b if outs is None else b * outs[:, None]
        factor = 2 * price * self.scale**2
        for weight, gradient in ((self.a, (b.t() @ left) @ right), (self.b, left @ (right @ a.t()))):
            weight.grad = gradient * factor if weight.grad is None else weight.grad + gradient * factor


@dataclass
class _Weights:
    """Prices on what a LoRA adds to the weights."""

    pairs: Sequence[_Pair]
    l2: float
    ewc: float

    def pull(self) -> None:
        for pair in self.pairs:
            if self.l2:
                pair.add(self.l2, None, None)
            if self.ewc:
                pair.add(self.ewc, pair.ins, pair.outs)


@dataclass
class _Start:
    """A price on leaving the start."""

    weights: Sequence[tuple[Tensor, Tensor]]
    l2: float

    def pull(self) -> None:
        for weight, start in self.weights:
            moved = 2 * self.l2 * (weight.detach() - start)
            weight.grad = moved if weight.grad is None else weight.grad + moved


class _Layer:
    """A LoRA layer, and the sums of squares seen at it: of its inputs, of the gradients of its outputs."""

    def __init__(self, module: Any, adapter: str) -> None:
        import torch

        a, b = module.lora_A[adapter].weight, module.lora_B[adapter].weight
        self.module, self.seen = module, 0
        self.pair = _Pair(a, b, float(module.scaling[adapter]))
        self.ins = torch.zeros(a.shape[1], device=a.device)
        self.outs = torch.zeros(b.shape[0], device=b.device)

    def watch(self) -> Any:
        """Sum up squares of inputs, and of the outputs' gradients, while it computes; what ends that."""

        def computed(module: Any, given: tuple[Any, ...], out: Any) -> None:
            x = given[0].detach()
            out.register_hook(lambda gradient: self._note(x, gradient))

        return self.module.register_forward_hook(computed)

    def _note(self, x: Tensor, gradient: Tensor) -> None:
        alive = (gradient != 0).any(-1)  # nothing flows to the cells that fill a row up
        self.ins += x[alive].float().square().sum(0)
        self.outs += gradient[alive].float().square().sum(0)
        self.seen += int(alive.sum())


def _layers(peft: Any, adapter: str = "default") -> list[_Layer]:
    from peft.tuners.lora import LoraLayer

    found = [module for module in peft.modules() if isinstance(module, LoraLayer) and adapter in module.lora_A]
    return [_Layer(module, adapter) for module in found]


def _weigh(layers: Sequence[_Layer], gradients: Gradients, replay: Sequence[Row]) -> None:
    """Put the Fisher information of the replayed answers into the layers' pairs, its mean over all weights 1."""
    hooks = [layer.watch() for layer in layers]
    weights = [weight for layer in layers for weight in (layer.pair.a, layer.pair.b)]
    # One part after the other: sums must not depend on which thread was sooner.
    for part in gradients.cut(sorted(replay, key=lambda row: len(row.ids)), 1.0, held=False):
        gradients.of([part], weights, _EVERY_TOKEN)
    for hook in hooks:
        hook.remove()
    masses = [float(layer.ins.sum()) * float(layer.outs.sum()) / max(1, layer.seen) for layer in layers]
    mean = sum(masses) / sum(layer.ins.numel() * layer.outs.numel() for layer in layers)
    for layer in layers:
        layer.pair.ins = layer.ins
        layer.pair.outs = layer.outs / (max(1, layer.seen) * (mean or 1.0))
