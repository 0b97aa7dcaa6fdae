"""What is said for the other's sake and tells nothing lasting of the speaker: praise of what is at hand, gifts."""

from __future__ import annotations

from .classes import fits
from .frames import Frame


def for_you(frame: Frame) -> bool:
    """ "I got this pup for you"."""
    return any(word == "for" and token.text.lower() == "you" for word, token in frame.preps)


def at_hand(frame: Frame) -> bool:
    """ "I love the dark sky" praises what is before one's eyes; "I love the beach" is a taste."""
    held = frame.object
    if held is None or frame.lemma not in ("love", "like", "enjoy", "adore", "dig"):
        return False
    if any(c.dep_ == "poss" and c.text.lower() in ("his", "her", "its", "their") for c in held.children):
        return True  # "I love his tech": whose, the object would not tell
    if not any(c.dep_ in ("det", "predet") and c.text.lower() in ("the", "all", "this", "that") for c in held.children):
        return False
    told = any(c.dep_ in ("prep", "relcl", "acl") for c in held.children)
    return not told and not fits(held, "place|instrument|proper|title|activity|outdoors", frame.sentence)
