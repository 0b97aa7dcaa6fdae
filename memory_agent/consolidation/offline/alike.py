"""What a turn says twice in other words: "goal: open a bakery" and "plans: opening a bakery" are kept once.

Two drafts of one subject say the same when their predicates are of one family (`data/cues.json`), their signs
agree, and the content words of one object are among those of the other. The more telling predicate of the
family stays, then the wording that came of the parse, then the longer one.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from .lexicon import data, words

if TYPE_CHECKING:
    from .drafts import Draft

_VERB_AND_MORE = 2
"""Words that a deed may have beside those of another fact and still say no more than it does."""
Kept = dict[tuple[str, str, str], tuple["Draft", int, int]]


@cache
def _families() -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(family.split("|")) for family in data("cues")["families"])


def _content(text: str) -> frozenset[str]:
    """The object's words without articles, prepositions and endings."""
    found = [w for w in re.findall(r"[^\W_]+", text.casefold()) if w not in words("determiners") | words("small_words")]
    return frozenset(re.sub(r"(?:ing|ed|es|s|e)$", "", w) if len(w) > 4 else w for w in found)


def thin(kept: Kept) -> None:
    """Drop, in place, every draft that another one of the turn makes superfluous."""
    grouped = {name for family in _families() for name in family}
    alone = {draft.predicate for draft, _, _ in kept.values()} - grouped
    for family in (*_families(), *((name,) for name in sorted(alone))):
        rank = {name: number for number, name in enumerate(family)}
        drafts = [(key, draft) for key, (draft, _, _) in kept.items() if draft.predicate in rank]
        drafts.sort(key=lambda each: (rank[each[1].predicate], each[1].rule == "surface", -len(each[1].object)))
        stay: list[Draft] = []
        for key, draft in drafts:
            if any(_same(draft, other) for other in stay):
                del kept[key]
            else:
                stay.append(draft)


def once_disliked(kept: Kept) -> None:
    """What is disliked is not said again as not liked."""
    disliked = [d for d, _, _ in kept.values() if d.predicate == "dislikes" and d.polarity == "+"]
    for key, (draft, _, _) in list(kept.items()):
        if draft.predicate == "likes" and draft.polarity == "-":
            said = (d for d in disliked if d.subject == draft.subject)
            if any(_content(d.object) <= _content(draft.object) for d in said):
                del kept[key]


def on_the_way(kept: Kept) -> None:
    """A way to work ("I bike in") is not said again as a hobby."""
    ways = [d for d, _, _ in kept.values() if d.predicate == "commute"]
    for key, (draft, _, _) in list(kept.items()):
        if draft.predicate == "hobby" and any(_content(draft.object) <= _content(d.object) for d in ways):
            del kept[key]


def one_species(kept: Kept) -> None:
    """Of two species of one animal the telling one stays: "border collie", not "dog"."""
    told: dict[str, list[tuple[tuple[str, str, str], Draft]]] = {}
    for key, (draft, _, _) in kept.items():
        if draft.predicate == "species":
            told.setdefault(draft.subject, []).append((key, draft))
    for drafts in told.values():
        best = max(drafts, key=lambda each: (each[1].object.casefold() not in words("kinds"), len(each[1].object)))
        for key, _ in drafts:
            if key != best[0]:
                del kept[key]


def _same(a: Draft, b: Draft) -> bool:
    if a.subject != b.subject or a.polarity != b.polarity or a.modality != b.modality:
        return False
    x, y = _content(a.object), _content(b.object)
    if "did" in (a.predicate, b.predicate) and a.predicate != b.predicate:
        deed, other = (x, y) if a.predicate == "did" else (y, x)
        return bool(other) and other <= deed and len(deed - other) <= _VERB_AND_MORE
    return bool(x and y) and (x <= y or y <= x)
