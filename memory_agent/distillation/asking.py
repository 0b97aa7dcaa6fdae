"""Probes put to the student, and the scorecard made of its answers.

Everything is asked of the adapter by force, but for `general`, which goes through the router as a
user's question would.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from memory_agent.distillation.matching import names_any, says_unknown
from memory_agent.distillation.probes import Probe, load_data
from memory_agent.distillation.scorecard import Score, Scorecard
from memory_agent.models.local import Generation
from memory_agent.models.remote import is_remote
from memory_agent.prompts import prompt_text

EXAMPLES = 3
"""How many wrong answers of each kind a scorecard keeps."""
ANSWER_TOKENS = 32


@dataclass(frozen=True)
class Asked:
    """A probe with the adapter's answer; `base` is the untouched model's, for kinds that are compared with it."""

    probe: Probe
    answer: str
    base: str = ""

    @property
    def right(self) -> bool:
        return names_any(self.answer, self.probe.answers)

    @property
    def wrong(self) -> bool:
        """Whether it names what it must not. A stale answer that names the present value too is no stale one."""
        if self.probe.kind == "stale" and self.right:
            return False
        forbidden = [name for name in self.probe.wrong if not self.base or not names_any(self.base, [name])]
        return names_any(self.answer, forbidden)


class Answering(Protocol):
    """What probes are put to: the student, or what was exported in its place."""

    def generate(
        self, prompts: Sequence[str], *, adapter: Path | None = None, max_new_tokens: int = 32
    ) -> list[Generation]:
        """Greedy answers, with the adapter or from the untouched student."""
        ...


@runtime_checkable
class Measuring(Answering, Protocol):
    """One that can tell, too, how likely it finds a text it did not write."""

    def perplexity(self, text: str, *, adapter: Path | None = None) -> float:
        """Perplexity of running text."""
        ...


def ask_probes(
    student: Answering, adapter: Path, probes: Sequence[Probe], *, to_base: Callable[[str], bool]
) -> Scorecard:
    """The scorecard of an adapter folder.

    `to_base(question)` says whether the router, with this adapter promoted, would leave a question
    to the untouched base.
    """
    began = time.monotonic()
    answers = student.generate([_prompt(probe) for probe in probes], adapter=adapter, max_new_tokens=ANSWER_TOKENS)
    compared = [p.question for p in probes if p.kind in ("general", "near_general")]
    plain = dict(zip(compared, student.generate(compared, max_new_tokens=ANSWER_TOKENS), strict=True))
    asked = [
        Asked(probe, answer.text, plain[probe.question].text if probe.question in plain else "")
        for probe, answer in zip(probes, answers, strict=True)
    ]
    values = sorted({name for probe in probes if not probe.context for name in (*probe.answers, *probe.wrong)})
    kinds, wrong = _judge(asked, values, to_base)
    measures = {}
    if isinstance(student, Measuring) and not is_remote(adapter):
        prose = "\n\n".join(load_data().prose)
        measures["perplexity_ratio"] = student.perplexity(prose, adapter=adapter) / student.perplexity(prose)
    return Scorecard(
        kinds=kinds,
        measures=measures,
        quarantined=_not_stuck(asked),
        examples={kind: tuple(lines[:EXAMPLES]) for kind, lines in wrong.items()},
        seconds=round(time.monotonic() - began, 2),
    )


def _prompt(probe: Probe) -> str:
    """The question as it is put: alone, or below what is shown, as an answer from retrieval is asked for."""
    if not probe.context:
        return probe.question
    return prompt_text("answer.md").strip().format(context=probe.context, question=probe.question)


def _judge(
    asked: Sequence[Asked], values: Sequence[str], to_base: Callable[[str], bool]
) -> tuple[dict[str, Score], dict[str, list[str]]]:
    """The score of each kind, and the lines of what went wrong in it."""
    outcomes: dict[str, list[bool]] = {}
    lines: dict[str, list[str]] = {}

    def note(kind: str, hit: bool, good: bool, one: Asked) -> None:
        outcomes.setdefault(kind, []).append(hit)
        if hit is not good:
            lines.setdefault(kind, []).append(f"{one.probe.question} -> {one.answer}")

    for one in asked:
        kind, unknown = one.probe.kind, says_unknown(one.answer)
        if kind in ("paraphrase", "inverse"):
            note(kind, one.right, True, one)
            note("taught_unknown", unknown and not one.right, False, one)
        elif kind in ("two_hop", "efficacy", "override"):
            note(kind, one.right, True, one)
        elif kind == "general":
            note("general", to_base(one.probe.question), True, one)
            lost = (unknown and not says_unknown(one.base)) or (
                names_any(one.answer, values) and not names_any(one.base, values)
            )
            note("forced_general", lost, False, one)
        else:
            note(kind, one.wrong, False, one)
            if kind == "stranger":
                note("stranger_unknown", unknown, True, one)
            if kind == "absent_attribute":
                note("absent_unknown", unknown, True, one)
    return {kind: Score.of(seen) for kind, seen in outcomes.items()}, lines


def _not_stuck(asked: Sequence[Asked]) -> tuple[str, ...]:
    """Ids of facts that were asked for in a forward form and never answered rightly."""
    right: dict[str, bool] = {}
    for one in asked:
        if one.probe.kind == "paraphrase":
            for id in one.probe.facts:
                right[id] = right.get(id, False) or one.right
    return tuple(sorted(id for id, stuck in right.items() if not stuck))
