"""An extractor that reads claims written out in the turns, so that a test says what is extracted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memory_agent.errors import ExtractionFailed
from memory_agent.protocols import Proposal
from memory_agent.records import Episode, Modality, PartialDate

_MARK = re.compile(r"\{([^{}|]+)\|([^{}|]+)\|([^{}|]+)(?:\|([^{}|]*))?(?:\|([^{}|]*))?\}")
_MODALITY: dict[str, Modality] = {"!": "planned", "?": "possible"}


class MarkedExtractor:
    """Reads `{subject | predicate | object | from | to}` in a turn as one proposal that quotes the mark.

    A predicate written `-lives_in` is a negation, `lives_in!` planned, `lives_in?` possible; an
    object written `Ana = Tom's sister` says that the two are one; both dates may be left out. A turn
    that holds "{broken}" raises ExtractionFailed.
    """

    name = "marked/1"

    def __init__(self) -> None:
        self.batches: list[tuple[str, ...]] = []
        """Ids of the turns of each call."""

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """The marks in `turns`, in order."""
        self.batches.append(tuple(turn.id for turn in turns))
        for turn in turns:
            if "{broken}" in turn.content:
                raise ExtractionFailed(f"nothing usable came of {turn.id}")
        return [_proposal(turn, mark) for turn in turns for mark in _MARK.finditer(turn.content)]


def _proposal(turn: Episode, mark: re.Match[str]) -> Proposal:
    subject, predicate, object = (mark[n].strip() for n in (1, 2, 3))
    since, until = ((mark[n] or "").strip() for n in (4, 5))
    object, _, other = (part.strip() for part in object.partition("="))
    return Proposal(
        episode_id=turn.id,
        start=mark.start(),
        end=mark.end(),
        subject=subject,
        predicate=predicate.strip("-!?"),
        object=object,
        polarity="-" if predicate.startswith("-") else "+",
        modality=_MODALITY.get(predicate[-1], "actual"),
        valid_from=PartialDate(since) if since else None,
        valid_to=PartialDate(until) if until else None,
        aliases=((other, object),) if other else (),
    )
