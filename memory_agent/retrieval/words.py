"""How text is cut into the terms of the word arm. Unicode-aware; knows nothing of what is stored.

English words are stemmed (Snowball), irregular forms brought to their base, and function and question
words left out; words of other alphabets are case-folded and kept whole; Latin letters lose their accents, as people
leave them out; text without spaces between words (Han, kana, Thai, Khmer, Lao, Burmese), and Korean, whose particles
are written onto the words, is cut into overlapping pairs of characters.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib.resources import files
from typing import Any

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
)
_WORD = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])[^\W_])+(?:['’](?:(?![{_UNSPACED}])[^\W_])+)?")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]")
_LONGEST = 40
_ACCENTED = re.compile("([a-z])[\u0300-\u036f]+")


@functools.cache
def _stemmer() -> Any:
    import snowballstemmer

    return snowballstemmer.stemmer("english")


@functools.cache
def stop_words() -> frozenset[str]:
    """English function and question words, case-folded, from stopwords.txt."""
    text = files(__package__).joinpath("stopwords.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


@functools.cache
def irregular() -> dict[str, str]:
    """English forms that stemming does not bring together, each with its base, from irregular.txt."""
    lines = files(__package__).joinpath("irregular.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return {form: row[0] for row in rows for form in row[1:]}


@functools.lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The term of one case-folded word; empty for a stop word."""
    word = word.replace("’", "'")
    word = word.removesuffix("'s")
    if word in stop_words():
        return ""
    word = word.replace("'", "")
    forms = irregular()
    word = forms.get(word) or forms.get(word.removesuffix("s")) or word
    return str(_stemmer().stemWord(word)) if word.isascii() else word


def _plain(text: str) -> str:
    """`text` case-folded, its compatibility forms and the accents of Latin letters gone."""
    if text.isascii():
        return text.casefold()
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", _ACCENTED.sub(r"\1", folded))


def terms(text: str) -> list[str]:
    """The terms of a text, in order, repeats kept."""
    found: list[str] = []
    for match in _WORD.finditer(_plain(text)):
        word = match[0]
        if _UNSPACED_RUN.match(word):
            found.extend([word] if len(word) == 1 else [word[i : i + 2] for i in range(len(word) - 1)])
        elif len(word) <= _LONGEST and (term := stem(word)):
            found.append(term)
    return found
