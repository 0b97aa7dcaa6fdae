"""Names and values made comparable: case, accents, articles and possessives folded away.

Knows nothing of entities or of any language but the articles and possessives of English.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

_LEADING = re.compile(
    r"^(?:(?:a|an|the|my|his|her|its|our|their|your|some|this|that|these|those)\s+)+(?=\S)", re.IGNORECASE
)
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_SPACE = re.compile(r"\s+")
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\u02bc": "'"})


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """`text` in lower case without accents, with plain apostrophes and single spaces."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return _SPACE.sub(" ", bare.casefold()).strip()


@lru_cache(maxsize=65536)
def fold_value(text: str) -> str:
    """`fold` with leading articles and possessives and outer punctuation gone; never empty for non-empty input."""
    folded = fold(text)
    trimmed = _EDGES.sub("", folded)
    return _LEADING.sub("", trimmed) or folded


def key(*parts: str, length: int = 20) -> str:
    """A hexadecimal hash over `parts` in order, `length` digits of SHA-256; no two splits of a text share one."""
    joined = "\x1f".join(part.replace("\x1f", " ") for part in parts)
    return hashlib.sha256(joined.encode()).hexdigest()[:length]
