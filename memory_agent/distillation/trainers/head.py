"""Log-probabilities of a few tokens at each position, through an output head that does not learn.

The whole distribution is 49,152 numbers a position for SmolLM2, and autograd would write and read that several times
over: scores, their gradient, its copies. Here the vocabulary is gone through in slices of positions that stay in the
cache, and only the head's own products are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

_SLICE = 32
"""Positions whose distributions are computed at once."""


class _LogProbs(torch.autograd.Function):
    """states (n, width), frozen w (vocabulary, width), bias (vocabulary,) or None, ids (n, k) -> (n, k), float32."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, w: Tensor, bias: Tensor | None, ids: Tensor) -> Tensor:
        logits = nn.functional.linear(states.to(w.dtype), w, bias)
        whole = torch.cat([part.float().logsumexp(-1) for part in torch.split(logits, _SLICE)])
        ctx.save_for_backward(logits, whole, w, ids)
        ctx.dtype = states.dtype
        return logits.gather(1, ids).float() - whole[:, None]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        logits, whole, w, ids = ctx.saved_tensors
        up = gradients[0]
        rows = up.ne(0).any(-1).nonzero()[:, 0]  # a token that is known adds nothing
        states = torch.zeros(len(up), w.shape[1], dtype=ctx.dtype, device=w.device)
        for some in torch.split(rows, _SLICE):
            own = up[some]
            slope = (logits[some].float() - whole[some, None]).exp_().mul_(-own.sum(-1, keepdim=True))
            slope.scatter_add_(1, ids[some], own)
            states[some] = (slope.to(w.dtype) @ w).to(ctx.dtype)
        return states, None, None, None


def log_probs(states: Tensor, head: nn.Linear, ids: Tensor) -> Tensor:
    """Log-probabilities, shape (positions, k), float32, of the tokens `ids` (positions, k) after `states`.

    The gradient goes to the states alone, of shape (positions, width).
    """
    apply: Callable[..., Tensor] = _LogProbs.apply
    return apply(states, head.weight, head.bias, ids)
