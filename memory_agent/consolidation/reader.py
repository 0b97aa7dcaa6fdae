"""Who reads turns into facts, as the settings name it: the built-in rules, or a chat model within a budget."""

from __future__ import annotations

from pathlib import Path

from memory_agent.config import Settings
from memory_agent.protocols import Extractor
from memory_agent.space import Space

OFFLINE = "offline"


def reader_of(space: Space) -> Extractor:
    """A reader for one run over `space`, by its settings; see `reader_named`.

    Its answers are kept beside the space, unless other hosts share the store: what they forget would stay in them.
    """
    from memory_agent.consolidation.spending import ANSWERS

    kept = space.derived / ANSWERS if space.derived is not None else None
    return reader_named(space.settings.extractor, space.settings, kept)


def reader_named(spec: str, settings: Settings, answers: Path | None = None) -> Extractor:
    """The built-in rules for "" or "offline", else the chat model `spec` with the settings' whole budget before it.

    `answers` is a folder to keep its usable answers in. Raises InvalidInput for a model that is none or a limit in
    money without prices, MissingExtra or ModelNotFound when it is not on this machine.
    """
    if spec in ("", OFFLINE):
        from memory_agent.consolidation.offline import OfflineExtractor

        return OfflineExtractor()
    from memory_agent.consolidation.llm import LLMExtractor
    from memory_agent.consolidation.spending import Answers, Budget
    from memory_agent.models.chat import load_chat_model

    budget = Budget(
        tokens=settings.extractor_tokens or None,
        money=settings.extractor_money or None,
        price_in=settings.extractor_price_in,
        price_out=settings.extractor_price_out,
    )
    return LLMExtractor(
        load_chat_model(spec, settings),
        budget=budget,
        answers=Answers(answers) if answers is not None else None,
        summaries=settings.extractor_summaries,
    )
