"""Claims that a turn carries in parts, as imports do, beside what an extractor reads in its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memory_agent.protocols import Extractor, Proposal
from memory_agent.records import Episode, PartialDate
from memory_agent.semantic.ontology import load


class Stated:
    """An extractor in front of another: a turn with `metadata["claim"]` proposes that, all others go on to `inner`.

    The claim holds `subject`, `predicate` and `object`, and maybe `valid_from` and `valid_to`. It is grounded like
    any proposal, so a sentence that does not name subject and object gives no fact.
    """

    def __init__(self, inner: Extractor) -> None:
        self.inner = inner
        self.name = inner.name

    @property
    def meets(self) -> bool:
        """Whether `inner` wants to know which entities the next turns may mean."""
        return hasattr(self.inner, "meet")

    def meet(self, known: Sequence[tuple[str, str]]) -> None:
        """Tell `inner` of entities, as (name, type), that the next turns may mean."""
        meet = getattr(self.inner, "meet", None)
        if meet is not None:
            meet(known)

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """Proposals for `turns`, in no particular order. Raises what `inner` raises."""
        stated = {turn.id: claim for turn in turns if isinstance(claim := turn.metadata.get("claim"), Mapping)}
        rest = [turn for turn in turns if turn.id not in stated]
        found = self.inner.extract(rest, context) if rest else []
        return [*found, *(_proposal(turn, stated[turn.id]) for turn in turns if turn.id in stated)]


def _proposal(turn: Episode, claim: Mapping[str, Any]) -> Proposal:
    predicate = str(claim.get("predicate", ""))
    known = load()[predicate]
    return Proposal(
        episode_id=turn.id,
        start=0,
        end=len(turn.content),
        subject=str(claim.get("subject", "")),
        predicate=predicate,
        object=str(claim.get("object", "")),
        valid_from=_date(claim.get("valid_from")),
        valid_to=_date(claim.get("valid_to")),
        subject_type=known.subject[0],
        object_type=None if known.object == "value" else known.object,
    )


def _date(value: object) -> PartialDate | None:
    try:
        return PartialDate(value) if isinstance(value, str) else None
    except ValueError:
        return None
