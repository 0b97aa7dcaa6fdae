"""Whether a name means something to the base model, asked of the base model itself.

For a name such as "Isaac Newton", the later words are likely given the first, and much likelier than
after other first words ("John Newton"). Both must hold: common surnames are likely after anything, and
rare ones may go well with a rare first name. Measured on SmolLM2-135M with 66 known names (people,
places, works, events) and 36 invented ones: 64 and 35 told rightly (docs/decisions/2026-11-23-routing.md).
"""

from __future__ import annotations

from memory_agent.models.local import LocalModel

PROMPT = "Name a famous person or place."
OTHERS = ("The", "John", "Maria")
"""First words to compare with."""
LIKELY = -9.0
"""Least log-probability of the later words given the first."""
LIFT = 2.7
"""Least gain of it over the best of `OTHERS`, in nats (a pointwise mutual information)."""


def is_familiar(student: LocalModel, name: str) -> bool:
    """Whether the untouched base knows a name of two or more words."""
    first, _, rest = name.partition(" ")
    own = _later_words(student, first, rest)
    if own < LIKELY:
        return False
    return all(own - _later_words(student, other, rest) > LIFT for other in OTHERS if other != first)


def _later_words(student: LocalModel, first: str, rest: str) -> float:
    """Log-probability of `rest` after `first`, without the end of the answer."""
    (scores,) = student.log_probs([(PROMPT, f"{first} {rest}")])
    begun = len(student.chat.ids(first))
    return sum(scores[begun:-1])
