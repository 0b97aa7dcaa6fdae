"""Chat text made regular enough to parse, with every character traced back to where it was written.

Spells out what the parser trips over ("couldnt", "theres", "w/", "gonna"), drops emoji and laughter,
and stands a single name in for each quoted title. Data: `data/spelling.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .lexicon import data, pattern, table, words

_QUOTED = r"[\"“„«](?P<quote>[^\"“”„«»\n]{1,400})[\"”“»]"
_EMOJI = (
    r"(?P<emoji>[\U0001F000-\U0001FAFF\u2600-\u27BF\u2190-\u21FF\uFE0F\u200D\u2B50\u2764]+|<3|:\)|:\(|;\)|:D|:P|xD)"
)
_CAPTION = r"(?P<caption>\[(?i:image|images|photo|picture|video|audio|gif|sticker|file|attachment)\b[^\]\n]{0,400}\])"
"""What somebody else, or a machine, says of something sent along."""
_ABBREVIATION = re.compile(
    r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Jr|vs|etc|approx|dept|no|tel|e\.g|i\.e|a\.m|p\.m)|\b[A-Z]|\w\.\w|str)\.$"
)
_BREAK = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|\n+|\s+[-–—]+\s+|…|;\s|—|\.\.+|(?:^|:?\s)\(?\d\)\s")
_TOLD = pattern("told_as_question", re.I)
_TURNED = pattern("tacked_question", re.I)


@dataclass(frozen=True)
class Segment:
    """Characters [start, end) of the regular text: one sentence, or a part set off by a dash."""

    start: int
    end: int
    question: bool
    joined: bool
    """Set off from the segment before by a dash, so it may lean on it."""


@dataclass(frozen=True)
class Text:
    """A turn's text: as written, regular, and for each regular character the [start, end) it came from."""

    written: str
    regular: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    titles: frozenset[int]
    """Where, in the regular text, a name stands for a quoted title."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where regular characters [start, end) stand in the text as written."""
        while end - 1 > start and self.regular[end - 1].isspace():
            end -= 1
        if end <= start:
            return self.starts[start], self.ends[start]
        return self.starts[start], self.ends[end - 1]

    def original(self, start: int, end: int) -> str:
        """What was written where regular characters [start, end) stand."""
        a, b = self.span(start, end)
        return self.written[a:b].strip()


@lru_cache(maxsize=1)
def _spelling() -> tuple[re.Pattern[str], dict[str, str]]:
    """What to look for in a text, and how each informal word is spelt out."""
    spelt: dict[str, str] = data("spelling")["replace"]
    informal = _any(spelt)
    kin = _any(table("kin"))
    names = _any(n.capitalize() for n in words("male_names") | words("female_names"))
    after_is = data("patterns")["is_before"]
    found = re.compile(
        rf"{_QUOTED}|{_EMOJI}|{_CAPTION}"
        rf"|(?<![\w'-])(?P<word>(?i:{informal}))(?![\w@'-]|\.\w)"
        rf"|(?P<is>(?<=[a-z])(?<!master)(?<!bachelor)'s(?= (?:{after_is})\b)|(?<=name)'s(?= ))"
        r"|(?P<drop>(?<=\bbeen )busy (?=\w+ing\b))"
        rf"|(?<![\w'-])(?P<kin>(?i:{kin}),? (?:called |named )?)"
        r"(?P<called>(?!(?:I|Mr|Mrs|Ms|Dr|Miss|Prof|Frau|Herr)\b)[A-Z][\w-]+)(?![\w-])"
        rf"|(?<![\w'-])(?P<name>{names})(?![\w-])"
    )
    return found, spelt


def _any(options: Iterable[str]) -> str:
    return "|".join(sorted((re.escape(w) for w in options), key=len, reverse=True))


def _stand_in(name: str) -> str:
    """A common name that the parser is sure of, of the same gender."""
    low = name.lower()
    return "Anna" if low in words("female_names") else "Tom" if low in words("male_names") else "Alex"


def _is_title(quote: str) -> bool:
    words = re.findall(r"[^\W\d_]+", quote)
    return 0 < len(words) <= 9 and words[0][0].isupper() and words[-1][0].isupper() and not re.search(r"[.?;]\s", quote)


def _replacement(m: re.Match[str], spelt: dict[str, str], text: str) -> tuple[str, int, int]:
    """What stands for a match, and the written characters it stands for."""
    if (quote := m["quote"]) is not None:
        a, b = m.span("quote")
        if _is_title(quote):
            return "Titleword", a, b - len(re.search(r"[.,!]*$", quote)[0])  # type: ignore[index]
        return (quote, a, b) if len(quote.split()) <= 3 else ("something", a, b)
    if m["emoji"] is not None:
        after = text[m.end() :].lstrip()
        before = text[: m.start()].rstrip()
        stop = before and before[-1].isalnum() and (not after or after[0].isupper())
        return ("." if stop else ""), m.start(), m.end()
    if m["caption"] is not None:
        return ".", m.start(), m.end()
    if m["is"] is not None:
        return (" has" if text[m.end() :].startswith(" been ") else " is"), m.start(), m.end()
    if m["drop"] is not None:
        return "", m.start(), m.end()
    if m["name"] is not None:
        return _stand_in(m["name"]), m.start(), m.end()
    word = spelt.get(m["word"].lower(), m["word"])  # "İ" is matched as an "i", but has no such lower case
    return (word[0].upper() + word[1:] if m["word"][0].isupper() and word else word), m.start(), m.end()


def regularise(written: str) -> Text:
    """The text made regular; nothing in it is lost track of."""
    sought, spelt = _spelling()
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    titles: set[int] = set()

    def keep(a: int, b: int) -> None:
        for i in range(a, b):
            out.append({"’": "'", "‘": "'", "\u00a0": " "}.get(written[i], written[i]))
            starts.append(i)
            ends.append(i + 1)

    position = 0
    folded = written.replace("’", "'").replace("‘", "'")
    for m in sought.finditer(folded):
        keep(position, m.start())
        position = m.end()
        if m["kin"] is not None:
            keep(*m.span("kin"))
            new, (a, b) = _stand_in(m["called"]), m.span("called")
            if m["called"].lower() in table("kin") or m["called"].lower() in words("generic"):
                keep(a, b)
                continue
        else:
            new, a, b = _replacement(m, spelt, folded)
        if new == m["quote"]:
            keep(a, b)
        else:
            if new == "Titleword":
                titles.add(len(out))
            out += new
            starts += [a] * len(new)
            ends += [b] * len(new)
    keep(position, len(written))
    return Text(written, "".join(out), tuple(starts), tuple(ends), frozenset(titles))


def segments(text: Text) -> list[Segment]:
    """The sentences of a turn; a question tacked on, and a clause joined on with its own subject, is one too."""
    regular, found, start, joined = text.regular, list[Segment](), 0, False
    stops = [(m.start(), m.end()) for m in _BREAK.finditer(regular)]
    cuts = sorted([*stops, *((m.start(), m.end()) for m in _TURNED.finditer(regular)), *_joints(regular, stops)])
    for a, b in [*cuts, (len(regular), len(regular))]:
        if a < start:
            continue
        mark = regular[a:b]
        if (
            mark.startswith(".")
            and len(mark) == 1
            and b < len(regular)
            and _ABBREVIATION.search(regular[max(0, a - 6) : b])
        ):
            continue
        if (
            mark.startswith(".")
            and len(mark) == 1
            and regular[b:].lstrip()[:1].islower()
            and regular[a - 1 : a].isdigit()
        ):
            continue
        end = b if mark.strip() and mark.strip()[0] in ".!?" else a
        if re.search(r"\w", regular[start:end]):
            lead = len(regular[start:end]) - len(regular[start:end].lstrip())
            asked = "?" in mark and not _TOLD.search(regular[start + lead : a])
            found.append(Segment(start + lead, end, asked, joined))
        joined = bool(re.search(r"[-–—…]", mark))
        start = b
    return found


def _joints(regular: str, stops: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Where a clause with its own subject is joined on ("..., and my wife teaches"), which the parser often misreads.

    Not in questions, nor where what comes before may govern what comes after ("if", "she said that").
    """
    joint, governed, clause = pattern("joint"), pattern("governs", re.I), pattern("clause", re.I)
    begin = 0
    for a, b in [*stops, (len(regular), len(regular))]:
        if "?" not in regular[a:b]:
            for m in joint.finditer(regular, begin, a):
                if clause.search(regular, begin, m.start()) and not governed.search(regular, begin, m.start()):
                    yield m.start(), m.end()
        begin = b


@lru_cache(maxsize=1)
def _openings() -> tuple[tuple[re.Pattern[str], str], ...]:
    opener, adverbs = data("patterns")["opener"], data("patterns")["adverbs"]
    return tuple(
        (
            re.compile(
                rf"^{opener}{adverbs}{p}",
                re.I,
            ),
            lead,
        )
        for p, lead in data("spelling")["left_out"]
    )


def left_out(sentence: str) -> str:
    """The subject (and verb) that chat leaves out at the head of a sentence: "Moved to Porto", "Been busy"."""
    return next((lead for opening, lead in _openings() if opening.search(sentence)), "")
