"""An extractor of your own: reads what a help desk's customers write, by rules. `memory.consolidate(extractor=...)`.

It proposes; grounding, resolution and reconciliation are the library's, so a proposal that quotes nothing is refused.
"""

import re
from collections.abc import Sequence

from memory_agent.protocols import Proposal
from memory_agent.records import Episode

RUNS = re.compile(r"\b(?i:we|i) (?:run|use|are on) (?P<product>[A-Z][\w.]*(?: [\d.]+)?)")


class HelpDeskExtractor:
    """ "We run Atlas 4.2" -> (who writes, runs, Atlas 4.2)."""

    name = "help-desk/1"

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """A proposal for each product that a customer says they run."""
        return [
            Proposal(
                episode_id=turn.id,
                start=found.start(),
                end=found.end(),
                subject=turn.speaker,
                subject_type="person",
                predicate="runs",
                object=found["product"].rstrip("."),
            )
            for turn in turns
            if turn.role == "user"
            for found in RUNS.finditer(turn.content)
        ]
