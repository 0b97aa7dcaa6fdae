"""The word indexes of a SQLite ledger: an FTS5 table without content for each space and kind that is searched."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from memory_agent.records import Fact, Stored
from memory_agent_stores.rows import parse
from memory_agent_stores.text import searched_text, segment

_TOKENIZER = "porter unicode61 remove_diacritics 2"


def words_table(db: sqlite3.Connection, space: int, kind: type[Stored]) -> str | None:
    """The name of the word index of `kind` in a space, or None when nothing was ever indexed there."""
    name = f"words_{space}_{kind.kind}"
    found = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)).fetchone()
    return name if found else None


def write_words(
    db: sqlite3.Connection,
    space: int,
    kind: type[Stored],
    gone: Sequence[tuple[int, str]],
    come: Sequence[tuple[int, str]],
) -> None:
    """Keep the word index level with what was written; rows as (row number, segmented text)."""
    if not gone and not come:
        return
    table = f"words_{space}_{kind.kind}"
    if not words_table(db, space, kind):
        db.execute(f"CREATE VIRTUAL TABLE {table} USING fts5(text, content='', tokenize='{_TOKENIZER}')")
    db.executemany(f"INSERT INTO {table} ({table}, rowid, text) VALUES ('delete', ?, ?)", gone)
    db.executemany(f"INSERT INTO {table} (rowid, text) VALUES (?, ?)", come)


def rewrite_words(db: sqlite3.Connection, space: int, kind: type[Stored]) -> None:
    """Make the word index of a space anew from its rows."""
    if table := words_table(db, space, kind):
        db.execute(f"DROP TABLE {table}")
    rows = db.execute(f"SELECT row, body FROM {kind.kind} WHERE space = ?", (space,)).fetchall()
    texts = [(row, searched_text(parse(kind, body))) for row, body in rows]
    write_words(db, space, kind, [], [(row, segment(text)) for row, text in texts if text is not None])


def optimize_words(db: sqlite3.Connection, space: int, kind: type[Stored]) -> None:
    """Merge the word index of a space into one piece, so that nothing of a deleted text is left in it."""
    if table := words_table(db, space, kind):
        db.execute(f"INSERT INTO {table} ({table}) VALUES ('optimize')")


def check_words(db: sqlite3.Connection, space: int, key: str, kind: type[Stored]) -> list[str]:
    """Whether a word index holds the rows that it should, and only those."""
    current = " AND retired_at IS NULL" if kind is Fact else ""
    due = {row for (row,) in db.execute(f"SELECT row FROM {kind.kind} WHERE space = ?{current}", (space,))}
    table = words_table(db, space, kind)
    held = {row for (row,) in db.execute(f"SELECT rowid FROM {table}")} if table else set()
    problems = []
    if due - held:
        problems.append(f"space {key}: {len(due - held)} {kind.kind}s are missing from the word index")
    if held - due:
        problems.append(f"space {key}: the word index holds {len(held - due)} {kind.kind}s that are gone")
    return problems
