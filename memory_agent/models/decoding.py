"""Reading a loaded model: which token is likeliest next, and how likely given ones were.

Every prompt is laid out on a canvas, rows times columns, whose shape follows from its own length (`local` says why).
Nothing here keeps anything; who may use the model when is `local`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memory_agent.models.prefix import Prefix
from memory_agent.models.template import ChatFormat

if TYPE_CHECKING:
    import torch

_COLUMNS = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Widths of a canvas, in tokens; a longer prompt gets one of its own width."""
_CELLS = 1536
"""Rows times columns of a canvas, at most, so that filling up stays cheap."""
_MOST_ROWS = 16


@dataclass(frozen=True)
class Generation:
    """One answer: its text, its length and the prompt's in tokens, and how sure the model was at its least sure token.

    `min_probability` counts the end of the answer, where the model ended it.
    """

    text: str
    tokens: int
    prompt_tokens: int
    min_probability: float


@dataclass(frozen=True)
class Loaded:
    """A model on its device, and what one has to know of it to ask it."""

    model: Any
    chat: ChatFormat
    device: torch.device
    dtype: torch.dtype
    takes: frozenset[str]
    longest: int
    prefix: Prefix | None = None
    """What every sequence begins with."""

    @property
    def ahead(self) -> int:
        """Positions that are taken before the first token."""
        return 0 if self.prefix is None else self.prefix.tokens

    @property
    def last_only(self) -> dict[str, Any]:
        """What makes the model score the last position alone, where it can.

        As an index, not as the number 1: a slice of the states is a view, for which matmul copies the head's weights
        once for every row (58 % of the time measured).
        """
        import torch

        return {"logits_to_keep": torch.tensor([-1], device=self.device)} if "logits_to_keep" in self.takes else {}

    def begun(self, rows: int) -> Any:
        """The cache that so many sequences begin with; None for an empty one."""
        return None if self.prefix is None else self.prefix.cache(rows)


def scored(loaded: Loaded, ids: Sequence[int], start: int) -> list[float]:
    """Log-probabilities of ids[start:], each given all before it."""
    import torch

    if len(ids) <= start:
        return []
    with torch.inference_mode():
        x = torch.tensor([list(ids)], device=loaded.device)
        begun = {} if loaded.prefix is None else {"past_key_values": loaded.begun(1)}
        logits = loaded.model(input_ids=x, use_cache=False, **begun).logits[0, start - 1 : -1].float()
        scores: list[float] = logits.log_softmax(-1).gather(1, x[0, start:, None])[:, 0].tolist()
    return scores


def _width(length: int) -> int:
    """The columns a prompt of `length` tokens is laid out on."""
    return next((columns for columns in _COLUMNS if length <= columns), length)


def rows_of(width: int) -> int:
    """The rows of a canvas of that many columns."""
    return max(1, min(_MOST_ROWS, _CELLS // width))


def laid_out(lengths: Sequence[tuple[int, int]]) -> Iterator[tuple[int, list[int]]]:
    """(columns, which prompts) for prompts given as (index, length), in ascending order of length."""
    part: list[int] = []
    width = 0
    for index, length in lengths:
        if part and (_width(length) != width or len(part) == rows_of(width)):
            yield width, part
            part = []
        width = _width(length)
        part.append(index)
    if part:
        yield width, part


def greedy(loaded: Loaded, prompts: Sequence[list[int]], width: int, rows: int, most: int) -> list[Generation]:
    """Answers to up to `rows` prompts, laid out on rows x width cells; missing rows repeat the first prompt."""
    filled = [*prompts, *[prompts[0]] * (rows - len(prompts))]
    ids: list[list[int]] = [[] for _ in prompts]
    least = [1.0] * len(prompts)
    running = set(range(len(prompts)))
    for chosen, sure in steps(loaded, filled, width, most):
        for i in sorted(running):
            least[i] = min(least[i], sure[i])
            if chosen[i] in loaded.chat.stops:
                running.discard(i)
            else:
                ids[i].append(chosen[i])
        if not running:
            break
    return [
        Generation(loaded.chat.text(ids[i]), len(ids[i]), len(prompt), least[i]) for i, prompt in enumerate(prompts)
    ]


def steps(
    loaded: Loaded, prompts: Sequence[list[int]], width: int, most: int
) -> Iterator[tuple[list[int], list[float]]]:
    """The likeliest next token of every row and its probability, up to `most` times."""
    import torch

    x = torch.full((len(prompts), width), loaded.chat.pad)
    mask = torch.zeros((len(prompts), loaded.ahead + width), dtype=torch.long)
    mask[:, : loaded.ahead] = 1
    for i, prompt in enumerate(prompts):
        x[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, loaded.ahead + width - len(prompt) :] = 1
    x, mask = x.to(loaded.device), mask.to(loaded.device)
    places = (mask.cumsum(1) - 1).clamp(min=0)[:, loaded.ahead :]
    cache = loaded.begun(len(prompts))
    for _ in range(most):
        given: dict[str, Any] = {"input_ids": x, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
        given |= loaded.last_only
        if "position_ids" in loaded.takes:
            given["position_ids"] = places
        with torch.inference_mode():
            out = loaded.model(**given)
            sure, chosen = out.logits[:, -1].float().softmax(-1).max(-1)
            cache, x, places = out.past_key_values, chosen[:, None], places[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones((len(prompts), 1))], 1)
        yield chosen.tolist(), sure.tolist()
