"""What a consolidation makes of conversations: how fast, how many facts, what was refused and why, a sample to judge.

Nothing here says whether a fact is true. For that a sample is drawn, each fact beside the words that it rests on, for
somebody to read.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

from memory_agent.config import Settings
from memory_agent.evaluation.datasets import Conversation, load
from memory_agent.evaluation.synthetic import WordVectors
from memory_agent.memory import Memory
from memory_agent.protocols import Extractor, Progress
from memory_agent.records import Episode, Fact


def run(
    dataset: str,
    conversations: Sequence[str] | None = None,
    *,
    extractor: Extractor | None = None,
    sample: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Consolidate each conversation of `dataset` (`locomo:PATH` or `beam:DIR`) as a user of its own, and count.

    `turns_per_second` is of the job alone: extraction, grounding, reconciliation and writing, no embedding. `sample`
    facts are drawn by `seed` over all conversations; each stands with its spans. Raises InvalidInput when the data
    cannot be read, and what the extractor raises.
    """
    chosen = load(dataset, list(conversations) if conversations is not None else None)
    counts, rejected, predicates = Counter[str](), Counter[str](), Counter[str]()
    seconds, drawable = 0.0, list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as folder:
        for number, conversation in enumerate(chosen):
            if progress:
                progress(number / len(chosen), conversation.id)
            with Memory.open(
                folder, user=conversation.id, embedder=WordVectors(), settings=Settings(user=conversation.id)
            ) as memory:
                for name, turns in conversation.sessions.items():
                    memory.add(list(turns), session=name)
                report = memory.consolidate(extractor=extractor)
                facts = memory.facts()
                drawable += _readable(memory, conversation, facts)
            seconds += report.seconds
            rejected.update(report.rejected)
            predicates.update(fact.predicate for fact in facts)
            counts.update(turns=report.episodes, claims=report.claims, facts=len(facts), failed=len(report.failed))
    return {
        "dataset": dataset,
        "conversations": [conversation.id for conversation in chosen],
        **{name: counts[name] for name in ("turns", "failed", "claims", "facts")},
        "rejected": dict(sorted(rejected.items())),
        "facts_by_predicate": dict(predicates.most_common()),
        "seconds": round(seconds, 2),
        "turns_per_second": round(counts["turns"] / seconds, 1) if seconds else None,
        "sample": random.Random(seed).sample(drawable, min(sample, len(drawable))),
    }


def _readable(memory: Memory, conversation: Conversation, facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Each fact as a reader needs it: what is claimed, the words it quotes, and the turn they stand in."""
    rows = []
    for fact in facts:
        sources = []
        for source in fact.sources:
            turn = memory.get(source.episode_id)
            assert isinstance(turn, Episode)
            said = {"id": turn.id, "speaker": turn.speaker, "at": f"{turn.at:%Y-%m-%d}", "text": turn.content}
            sources.append({"turn": said, "start": source.start, "end": source.end, "quote": source.quote})
        claimed = fact.model_dump(mode="json", include={"subject", "predicate", "object", "polarity", "modality"})
        dates = {"valid_from": fact.valid_from, "valid_to": fact.valid_to}
        rows.append({"conversation": conversation.id, "text": fact.text, **claimed, **dates, "sources": sources})
    return rows
