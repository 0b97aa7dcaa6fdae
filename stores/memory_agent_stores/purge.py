"""Takes out of Chroma's database what it leaves of deleted collections, and shrinks it. A program of its own:

    python -I -S purge.py <chroma.sqlite3>      prints the ids of the living graph folders, one a line

Chroma brings its own copy of SQLite. Two copies in one process undo each other's locks on a file (POSIX locks are a
process's, and go when any of its handles is closed), which ruins a database that another handle has open.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing


def purge(path: str) -> set[str]:
    """Clear and shrink the database; the ids of its living segments."""
    with closing(sqlite3.connect(path, timeout=60)) as db:
        living = {id for (id,) in db.execute("SELECT id FROM collections")}
        for (topic,) in db.execute("SELECT DISTINCT topic FROM embeddings_queue").fetchall():
            if str(topic).rsplit("/", 1)[-1] not in living:
                db.execute("DELETE FROM embeddings_queue WHERE topic = ?", (topic,))
        db.commit()
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {str(id) for (id,) in db.execute("SELECT id FROM segments")}


if __name__ == "__main__":
    sys.stdout.write("\n".join(purge(sys.argv[1])))
