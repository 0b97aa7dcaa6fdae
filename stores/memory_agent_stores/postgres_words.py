"""Word search in PostgreSQL with the words and scores of SQLite's FTS5.

PostgreSQL's own rankings are not BM25 and know nothing of how rare a word is. So FTS5 itself cuts the
texts into words, in a table in memory, and its BM25 (k1 1.2, b 0.75) is computed in SQL from what a row's
`tsvector` holds: the same words, the same scores, the same order as in the default ledger.

Each lexeme begins with its space's number. The index thus has an entry for each word of each space: a
search reads one space's rows, and neither a hit nor a score can tell anything of another's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memory_agent_stores.text import segment

if TYPE_CHECKING:
    from memory_agent_stores.postgres_database import Link

TOKENIZER = "porter unicode61 remove_diacritics 2"
_K1, _B = 1.2, 0.75
_LONGEST = 1000
"""Bytes of a word that count; PostgreSQL takes no lexeme over 2,046."""
_LAST_PLACE = 16382
"""The last place in a text that a tsvector can name; later ones are found, but not as parts of a phrase."""
_MOST_PLACES = 255
_ROOM = 1_000_000
"""Bytes of a tsvector; the words of a longer text that come too late are not found."""


@dataclass(frozen=True)
class Words:
    """What the word index holds of one text: the tsvector's text form, and the number of words in all."""

    vector: str
    length: int


class Cutter:
    """FTS5 as a tokenizer. Safe to share between threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute(f"CREATE VIRTUAL TABLE cut USING fts5(text, content='', tokenize='{TOKENIZER}')")
        self._db.execute("CREATE VIRTUAL TABLE words USING fts5vocab(cut, instance)")

    def cut(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of each text, stemmed, without case and diacritics, in their order."""
        found: list[list[str]] = [[] for _ in texts]
        with self._turn:
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO cut (rowid, text) VALUES (?, ?)", ((n, segment(text)) for n, text in enumerate(texts, 1))
            )
            rows = self._db.execute("SELECT doc, term FROM words ORDER BY doc, offset").fetchall()
            self._db.execute("ROLLBACK")
        for n, term in rows:
            found[n - 1].append(term.encode()[:_LONGEST].decode(errors="ignore"))
        return found

    def words(self, space: int, texts: Sequence[str]) -> list[Words]:
        """What the word index of a space holds of each text."""
        return [Words(_vector(space, cut), len(cut)) for cut in self.cut(texts)]


def _vector(space: int, words: Sequence[str]) -> str:
    """The text form of a tsvector: every word with its places."""
    places: dict[str, list[int]] = {}
    room = _ROOM
    for place, word in enumerate(words, 1):
        held = places.get(word)
        if held is None:
            room -= len(word.encode()) + 20
            if room < 0:
                continue
            held = places[word] = []
        if len(held) < _MOST_PLACES and (place <= _LAST_PLACE or not held):
            room -= 2
            held.append(min(place, _LAST_PLACE + 1))
    return " ".join(f"{lexeme(space, word)}:{','.join(map(str, held))}" for word, held in places.items())


def lexeme(space: int, word: str) -> str:
    """A word of a space as tsvector and tsquery write it."""
    quoted = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{space}:{quoted}'"


def count_steps() -> list[float]:
    """Bounds between which `ts_rank` of one word says how often it stands in a text.

    With all weights 1, ts_rank(words, word) is (1 + 1/4 + ... + 1/n²) / (pi²/6) for a word that stands n times
    (calc_rank_or in PostgreSQL's tsrank.c), and no other built-in function reads the number off so fast.
    """
    bounds, total = [], 0.0
    for n in range(1, _MOST_PLACES + 1):
        total += 1 / n**2
        bounds.append((total - 0.5 / n**2) / 1.64493406685)
    return bounds


_STEPS = count_steps()


def best_matches(
    db: Link, space: int, kind: str, phrases: Sequence[tuple[str, ...]], limit: int
) -> list[tuple[str, float]]:
    """Ids of the texts of a kind that hold any of the phrases (each of one or more words), best BM25 first."""
    counted = db.execute("SELECT texts, words FROM word_count WHERE space = %s AND kind = %s", (space, kind)).fetchone()
    if counted is None or not phrases or not counted[0]:
        return []
    texts, average = float(counted[0]), float(counted[1]) / float(counted[0])
    columns, values = [], []
    for n, phrase in enumerate(phrases):
        how, given = _times(space, phrase)
        columns.append(f"{how} AS t{n}")
        values += given
    wanted = " | ".join("(" + " <-> ".join(lexeme(space, word) for word in phrase) + ")" for phrase in phrases)
    numbers = range(len(phrases))
    holding = ", ".join(f"count(*) FILTER (WHERE t{n} > 0)::float8 AS d{n}" for n in numbers)
    score = " + ".join(
        f"greatest(ln(({texts} - d{n} + 0.5) / (d{n} + 0.5)), 1e-6) * t{n} * {_K1 + 1} / (t{n} + norm)" for n in numbers
    )
    statement = (
        f"WITH found AS MATERIALIZED (SELECT id, {_K1} * ({1 - _B} + {_B} * length / {average}::float8) AS norm,"
        f" {', '.join(columns)} FROM {kind} WHERE space = %s AND words @@ %s::tsquery),"
        f" held AS (SELECT {holding} FROM found)"
        f" SELECT id, {score} AS score FROM found, held ORDER BY score DESC, id LIMIT %s"
    )
    rows: list[Any] = db.execute(statement, [*values, space, wanted, limit]).fetchall()
    return [(id, float(score)) for id, score in rows if score > 0]


def _times(space: int, phrase: tuple[str, ...]) -> tuple[str, list[object]]:
    """SQL for how often a phrase stands in `words`, as a double, and its parameters."""
    if len(phrase) == 1:
        rank = "ts_rank('{1,1,1,1}', words, %s::tsquery, 0)::float8"
        return f"width_bucket({rank}, %s::float8[])::float8", [lexeme(space, phrase[0]), _STEPS]
    starts = (
        "SELECT p - place FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (lexeme, place)"
        " JOIN unnest(words) AS held ON held.lexeme = wanted.lexeme, unnest(held.positions) AS p"
        " GROUP BY p - place HAVING count(*) = %s"
    )
    return f"(SELECT count(*) FROM ({starts}) AS hits)::float8", [
        [f"{space}:{word}" for word in phrase],
        len(phrase),
    ]
