"""The fence around recalled text: put on when a context is assembled, looked for when a turn comes in.

Working memory writes the fence and the episodic door strips it; neither imports the other. Recalled
text that comes back in a turn is therefore never taken in as new evidence.
"""

from __future__ import annotations

import re

TAG = "memory-context"

_ANY_TAG = re.compile(rf"<\s*(/?)\s*{TAG}\b([^<>]*)>", re.IGNORECASE)
_TAG_SAFE = re.compile(r"[^A-Za-z0-9:._@/-]+")


def fence(text: str, id: str = "") -> str:
    """`text` between `<memory-context id="...">` and `</memory-context>`, each on a line of its own.

    Fence tags inside `text` are defused, so remembered text cannot close its own fence.
    """
    safe = _ANY_TAG.sub(lambda found: f"[{found[1]}{TAG}]", text)
    return f'<{TAG} id="{_TAG_SAFE.sub("-", id)}">\n{safe}\n</{TAG}>'


def strip_fenced(text: str) -> tuple[str, bool]:
    """`text` without fenced blocks, and whether there were any.

    A block that is never closed (a cut-off echo) ends with the text when its tag carries an id; any
    other stray tag is left as the writer's own words.
    """
    tags = list(_ANY_TAG.finditer(text))
    last_close = max((tag.start() for tag in tags if tag[1]), default=-1)
    kept: list[str] = []
    start, depth, found = 0, 0, False
    for tag in tags:
        closing, attributes = bool(tag[1]), tag[2]
        if not closing and depth == 0 and tag.start() > last_close and "id=" not in attributes:
            continue
        if not closing:
            if depth == 0:
                kept.append(text[start : tag.start()])
            depth, found = depth + 1, True
        elif depth:
            depth -= 1
            start = tag.end()
    if depth == 0:
        kept.append(text[start:])
    if not found:
        return text, False
    return re.sub(r"\n{3,}", "\n\n", "".join(kept)).strip(), True
