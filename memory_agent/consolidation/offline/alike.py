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
    for family in _families():
        rank = {name: number for number, name in enumerate(family)}
        drafts = [(key, draft) for key, (draft, _, _) in kept.items() if draft.predicate in rank]
        drafts.sort(key=lambda each: (rank[each[1].predicate], each[1].rule == "surface", -len(each[1].object)))
        stay: list[Draft] = []
        for key, draft in drafts:
            if any(_same(draft, other) for other in stay):
                del kept[key]
            else:
                stay.append(draft)


def _same(a: Draft, b: Draft) -> bool:
    if a.subject != b.subject or a.polarity != b.polarity or a.modality != b.modality:
        return False
    x, y = _content(a.object), _content(b.object)
    return bool(x and y) and (x <= y or y <= x)
