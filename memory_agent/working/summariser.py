"""Summaries by the chat model: a prompt that fits its window, and nothing at all when the model fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memory_agent.fence import fence
from memory_agent.models.tokens import TokenCounter
from memory_agent.prompts import prompt_text
from memory_agent.records import Episode, Summary
from memory_agent.working.window import cut_middle

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_log = logging.getLogger(__name__)


class ModelSummariser:
    """A `compaction.Summariser` that asks a chat model."""

    def __init__(self, model: BaseChatModel, counter: TokenCounter, window: int) -> None:
        """`window`: most tokens of a prompt."""
        self._model, self._counter, self._window = model, counter, window

    def __call__(self, turns: Sequence[Episode], summaries: Sequence[Summary], budget: int) -> str:
        """What the model writes, or "" when it fails or the window leaves no room to ask it."""
        lines = [summary.text for summary in summaries]
        lines += [f"{turn.at:%Y-%m-%d}, {turn.speaker}: {turn.content}" for turn in turns]
        words = max(budget * 2 // 3, 10)  # English has some 1.3 tokens a word
        template = prompt_text("compact.md").strip()
        frame = self._counter.prompt([{"role": "user", "content": template.format(words=words, text=fence(""))}])
        room = (self._window - frame) * 9 // 10
        prompt = template.format(words=words, text=fence(cut_middle("\n\n".join(lines), room, self._counter)))
        if room < budget or self._counter.prompt([{"role": "user", "content": prompt}]) > self._window:
            return ""
        try:
            return str(self._model.invoke(prompt).text)
        except Exception as error:  # noqa: BLE001 - providers' errors have no common base, and a summary can wait
            _log.warning("the model did not summarise (%s); sentences are taken instead", type(error).__name__)
            return ""
