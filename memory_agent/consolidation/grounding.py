"""Grounding: a proposed claim is taken only if the words it quotes stand there and carry it.

`refusal` gives the reason not to take a proposal, one of `REASONS`, or None. The test is one of
words: subject and object must be named in the turn, in the turns before it, or be its speakers. It
does not judge whether the words mean what the extractor read. Turns before it that instruct the agent,
that a tool wrote, or that are of low trust lend no words: a model that such a turn talked round could
else put its words into the mouth of the next speaker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from memory_agent.protocols import Proposal
from memory_agent.records import Episode
from memory_agent.semantic.folding import fold, fold_value

REASONS: Mapping[str, str] = {
    "unknown_episode": "it names a turn that was not read",
    "empty": "it has no subject, predicate or object",
    "span": "the words it quotes do not stand in the turn",
    "instruction": "the turn tries to instruct the agent",
    "assistant": "what a model or a tool says is no evidence",
    "question": "it was asked, not said",
    "subject": "whom it is about is named nowhere",
    "object": "its value is named nowhere",
    "dates": "it ends before it begins",
}
"""Reason word -> what it means."""
_STEM = 4
"""Words that share so many letters at their start count as one ("divorced", "divorce")."""
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|\n+")
_ASKING = re.compile(
    r"^(?:(?:and|but|so|oh|hey|well|ok|okay)\W+)*(?:do|does|did|are|is|was|were|am|have|has|had|can|could|will|would|should|"
    r"shall|may|might|what|where|who|whom|whose|when|why|how|which)(?:n't)?\b(?! i (?:tell|told|mention|say))"
)
_SMALL = frozenset(fold_value(word) for word in re.findall(r"\w+", """
    a an the of in at on to for with by from and or my his her its our their your is are was were be been that this
"""))  # fmt: skip
_ABSTRACT = frozenset({"relationship_status", "pronouns", "habit", "goal", "prefers", "attribute", "feels_about"})
"""Predicates whose object an extractor words itself; one word of it in the text is enough."""


def refusal(proposal: Proposal, episode: Episode | None, context: Sequence[Episode] = ()) -> str | None:
    """Why `proposal` cannot be taken, or None. `context` holds the turns before its episode."""
    if episode is None:
        return "unknown_episode"
    if not (proposal.subject.strip() and proposal.predicate.strip() and proposal.object.strip()):
        return "empty"
    if not 0 <= proposal.start < proposal.end <= len(episode.content):
        return "span"
    if not episode.content[proposal.start : proposal.end].strip():
        return "span"
    if "instruction" in episode.flags:
        return "instruction"
    if episode.role != "user":
        return "assistant"
    if _is_question(sentence(episode.content, proposal.start, proposal.end)):
        return "question"
    said = _stems(episode.content) | {stem for turn in context if _lends(turn) for stem in _stems(turn.content)}
    speakers = {fold(episode.speaker), *(fold(turn.speaker) for turn in context)}
    if not _supported(proposal.subject, said, speakers):
        return "subject"
    share = 0.01 if proposal.predicate in _ABSTRACT else 0.5
    if not _supported(proposal.object, said, speakers, share):
        return "object"
    if proposal.valid_from and proposal.valid_to and proposal.valid_to.latest < proposal.valid_from.earliest:
        return "dates"
    return None


def _lends(turn: Episode) -> bool:
    """Whether what a turn names may be meant by the turns after it."""
    marked = "instruction" in turn.flags or turn.metadata.get("trust") == "low"
    return turn.role in ("user", "assistant") and not marked


def sentence(content: str, start: int, end: int) -> str:
    """The sentence or sentences of `content` that the span [start, end) lies in."""
    breaks = [0, *(m.end() for m in _SENTENCE_END.finditer(content)), len(content)]
    first = max(b for b in breaks if b <= start)
    last = min((b for b in breaks if b >= end), default=len(content))
    return content[first:last].strip()


def _is_question(text: str) -> bool:
    return text.rstrip("\"')] ").endswith("?") and _ASKING.match(fold(text)) is not None


def _supported(name: str, said: frozenset[str] | set[str], speakers: set[str], share: float = 0.5) -> bool:
    """Whether enough of the words of `name` were said, the owner of "Maya's sister" apart."""
    folded = fold(name)
    if folded in speakers or folded in {s.split(" ")[0] for s in speakers}:
        return True
    owner, possessive, thing = folded.partition("'s ")
    words = _words(thing if possessive else folded)
    if not words:
        return bool(owner)
    return sum(word[:_STEM] in said or _is_date(word) for word in words) >= share * len(words)


def _is_date(word: str) -> bool:
    """Numbers may have been worked out of words ("two", "last March")."""
    return word.isdigit()


def _words(text: str) -> list[str]:
    return [w for w in _WORD.findall(fold_value(text)) if w not in _SMALL]


@lru_cache(maxsize=4096)
def _stems(text: str) -> frozenset[str]:
    return frozenset(w[:_STEM] for w in _WORD.findall(fold(text)))
