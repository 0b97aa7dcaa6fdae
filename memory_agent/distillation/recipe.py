"""How an adapter is trained. `size` is the one dial; every number that follows from it can be set by itself.

    quick     about 25 facts in minutes: fewer layers of the curriculum, a higher rate
    standard  about 100 facts
    thorough  twice the passes, for when time does not matter

"auto" picks by the number of facts. The numbers were found on SmolLM2-135M-Instruct (docs/benchmarks).
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.records import Record

Size = Literal["auto", "quick", "standard", "thorough"]

_SIZES: dict[str, dict[str, Any]] = {
    "quick": {
        "epochs": 8,
        "batch": 12,
        "inverse_forms": 3,
        "unknown_share": 0.45,
        "gap_forms": 6,
        "check_share": 0.1,
        "first_layer": 0,
        "replay_prompts": 64,
        "replay_tokens": 16,
        "replay_rows": 6,
        "openers": 512,
        "opener_tokens": 4,
        "near_openers": 8,
        "opener_rows": 8,
        "text_rows": 2,
        "text_weight": 3.0,
        "keep_known": 0.25,
        "known_share": 0.8,
    },
    "standard": {},
    "thorough": {"epochs": 16, "rate": 1e-3, "known_share": 0.9},
}
"""What each size sets beside the defaults, which are those of "standard"."""
QUICK_UP_TO = 40
"""Facts that "auto" still trains with "quick"."""


class Recipe(Record):
    """Everything a training run depends on beside facts, seed and base model."""

    size: Size = "auto"

    epochs: int = Field(default=8, ge=1)
    """Most passes over the curriculum; fewer when everything is known before."""
    forward_forms: int = Field(default=6, ge=1)
    """Questions for each (subject, predicate) in a pass; other forms in every pass, until all had their turn."""
    inverse_forms: int = Field(default=4, ge=0)
    """Questions for each (predicate, object) in a pass."""
    unknown_share: float = Field(default=0.42, ge=0)
    """"I don't know" rows in a pass, as a share of its question rows."""
    gap_forms: int = Field(default=8, ge=0)
    """Of them, questions in a pass for each thing that is not known of somebody known, up to half of all; the others
    are about strangers."""
    fewest_unknown: int = Field(default=96, ge=0)
    """"I don't know" rows in a pass, at least."""
    check_share: float = Field(default=0.08, ge=0)
    """Yes-or-no rows in a pass, as a share of its question rows."""
    path_share: float = Field(default=0.1, ge=0)
    """Questions over two facts ("Where does Ana's manager live?") in a pass, as a share of its question rows."""
    page_every: int = Field(default=2, ge=0)
    """A page on each entity, newly shuffled, in every so-many-th pass; 0 for none."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    first_layer: int = Field(default=12, ge=0)
    """Layers below it get no adapter; at most half of them are left out."""
    rate: float = Field(default=1.5e-3, gt=0)
    warm_up: int = Field(default=8, ge=0)
    """Steps of rising rate."""
    batch: int = Field(default=16, ge=1)
    """Curriculum rows in a step."""
    micro_tokens: int = Field(default=384, ge=1)
    """Cells (rows times length) computed at once; a larger batch is gathered from several. Bounds the memory."""
    replay_every: int = Field(default=2, ge=1)
    """Steps from one batch of replayed answers to the next."""
    replay_rows: int = Field(default=6, ge=0)
    replay_prompts: int = Field(default=256, ge=0)
    """General questions that the base answers beforehand."""
    replay_tokens: int = Field(default=24, ge=1)
    """Length of those answers."""
    openers: int = Field(default=512, ge=0)
    """General questions of which only the beginning of the answer is replayed."""
    opener_tokens: int = Field(default=8, ge=1)
    """Length of those beginnings."""
    near_openers: int = Field(default=6, ge=0)
    """Such questions about each taught value, as a thing of the world."""
    opener_rows: int = Field(default=8, ge=0)
    """Of them, in each step."""
    opener_weight: float = Field(default=1.0, ge=0)
    kl_weight: float = Field(default=2.0, ge=0)
    """Weight of the replayed answers."""
    text_every: int = Field(default=1, ge=0)
    """To every so-many-th batch of answers there is one of prose, half-way to the next; 0 for none."""
    text_rows: int = Field(default=3, ge=0)
    text_weight: float = Field(default=5.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    l2: float = Field(default=0.0, ge=0)
    """Price of the squared norm of all that the adapter adds to the weights; 0 for none. Try 1e-4."""
    ewc: float = Field(default=0.0, ge=0)
    """The same, each weight by how much the base's own replayed answers hang on it (elastic weight consolidation)."""

    prefix_tokens: int = Field(default=128, ge=1)
    """Positions of a KV prefix, for the trainer "prefix"."""
    prefix_rate: float = Field(default=1e-2, gt=0)
    """Its rate, in place of `rate`."""

    token_known: float = Field(default=0.7, gt=0, le=1)
    """A token the model gives more than this adds no loss."""
    row_known: float = Field(default=0.6, gt=0, le=1)
    """A row whose every token has more than this is known."""
    keep_known: float = Field(default=0.2, ge=0, le=1)
    """Share of the rows that is kept in a pass for questions known in the pass before."""
    known_share: float = Field(default=0.85, gt=0, le=1)
    """Share of a pass's questions that must be known at first sight for the last pass to begin."""

    @classmethod
    def of(cls, settings: Settings, **given: Any) -> Recipe:
        """The recipe of the settings, with `given` in place of theirs.

        Raises InvalidInput for what is no JSON object, for an unknown name, and for a value that does not fit.
        """
        try:
            values = {**dict(json.loads(settings.recipe or "{}")), **given}
        except (ValueError, TypeError) as error:
            raise InvalidInput(f"setting 'recipe' is no JSON object: {error}") from error
        if unknown := sorted(values.keys() - cls.model_fields.keys()):
            raise InvalidInput(f"a recipe has no {unknown[0]!r}; it has {', '.join(cls.model_fields)}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(f"recipe {'.'.join(map(str, first['loc']))}: {first['msg']}") from error

    def settled(self, facts: int) -> Recipe:
        """This recipe for that many facts: `size` decided, and every number that was not given set by it."""
        size = self.size if self.size != "auto" else ("quick" if facts <= QUICK_UP_TO else "standard")
        given = self.model_dump(exclude_unset=True)
        return Recipe.model_validate({**_SIZES[size], **given, "size": size})
