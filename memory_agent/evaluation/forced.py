"""What a model loses where an adapter is forced on it, as if there were no router; and what it loses with one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memory_agent.answering import adapter_for
from memory_agent.distillation import registry
from memory_agent.distillation.asking import ANSWER_TOKENS
from memory_agent.distillation.matching import names, names_any, says_unknown
from memory_agent.distillation.probes import load_data
from memory_agent.distillation.scorecard import Score
from memory_agent.models.local import LocalModel
from memory_agent.space import Space


def forced(
    space: Space, general: Sequence[str], near: Sequence[str], graph: Sequence[str], prose: str = ""
) -> dict[str, dict[str, Any]]:
    """The figures of each promoted adapter, by shard; nothing where none is promoted.

    `general`: general questions; n, rate, low, high of those whose answer is lost: an "I don't know" or a name of
    `graph` where the base gave neither. `near`: questions about a taught value as a thing of the world; the share whose
    answer names another name of `graph`. `answer_ratio`: perplexity of the base's own answers to all of them, as a
    ratio to the base's. `perplexity_ratio`: the same of `prose`, the gate's where that is empty.
    """
    model, text = LocalModel.load(space.settings), prose or "\n\n".join(load_data().prose)
    asked = [*general, *near]
    plain = [said.text for said in model.generate(asked, max_new_tokens=ANSWER_TOKENS)]
    likely, usual = _answers(model, asked, plain, None), model.perplexity(text)
    found = {}
    for adapter in registry.with_state(space.ledger, "promoted"):
        folder = registry.folder_of(space, adapter)
        said = [one.text for one in model.generate(asked, adapter=folder, max_new_tokens=ANSWER_TOKENS)]
        told = [
            names_any(answer, [name for name in graph if not names(f"{question} {base}", name)])
            for question, base, answer in zip(asked, plain, said, strict=True)
        ]
        gone = [
            named or (says_unknown(answer) and not says_unknown(base))
            for named, base, answer in zip(told, plain, said, strict=True)
        ]
        found[adapter.shard] = {
            "general_lost": Score.of(gone[: len(general)]).model_dump(),
            "near_named": Score.of(told[len(general) :]).model_dump(),
            "answer_ratio": _answers(model, asked, plain, folder) / likely,
            "perplexity_ratio": model.perplexity(text, adapter=folder) / usual,
        }
    return found


def routed_ratio(space: Space, questions: Sequence[str]) -> float:
    """Perplexity of the base's own answers by the weights that the router has for each, as a ratio to the base's.

    1 where it leaves all questions to the base, or there are none.
    """
    model = LocalModel.load(space.settings)
    plain = [said.text for said in model.generate(questions, max_new_tokens=ANSWER_TOKENS)]
    pairs = list(zip(questions, plain, strict=True))
    rows = [row for pair in pairs for row in model.log_probs([pair], adapter=adapter_for(space, pair[0]))]
    return _perplexity(rows) / _answers(model, questions, plain, None)


def _answers(model: LocalModel, questions: Sequence[str], answers: Sequence[str], adapter: Path | None) -> float:
    """Perplexity of the answers, over all their tokens; 1 without any."""
    return _perplexity(model.log_probs(list(zip(questions, answers, strict=True)), adapter=adapter))


def _perplexity(rows: Sequence[Sequence[float]]) -> float:
    """Over all log-probabilities of all rows; 1 without any."""
    scores = [score for row in rows for score in row]
    return math.exp(-sum(scores) / len(scores)) if scores else 1.0
