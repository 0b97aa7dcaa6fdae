"""The tables in PostgreSQL as numbered steps, each applied once and recorded by name.

A step, once released, is never edited: stores exist that went through it. It therefore spells out
its tables and does not look at today's records.

Every table names the tenant of each row, and row-level security shows a connection the rows of one:

    a role named "tenant:<tenant>"    that tenant's rows, whatever it sets or asks; for raw access
    any other role                    the rows of the setting memory_agent.tenant; none while it is unset,
                                      all at '*', which only work over the whole store uses

Superusers and roles with BYPASSRLS pass by it, table owners do not (FORCE).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

from memory_agent.errors import StoreTooNew

if TYPE_CHECKING:
    from memory_agent_stores.postgres_database import Link

_FIRST: dict[str, tuple[str, ...]] = {
    "episode": ("session", "role", "speaker", "at", "run", "digest"),
    "claim": ("episode_id", "subject_id", "predicate", "object_id"),
    "rejection": ("episode_id", "reason", "run"),
    "entity": ("name", "merged_into"),
    "fact": ("subject_id", "predicate", "object_id", "status", "recorded_at", "retired_at"),
    "block": ("label", "agent"),
    "summary": ("about",),
    "run": ("job", "state", "started_at"),
    "adapter": ("shard", "state", "run"),
    "tombstone": ("of_kind", "of_id"),
}
_FIRST_INDEXES: dict[str, tuple[str, ...]] = {
    "episode": ("seq", "texted", "session, at", "digest", "at"),
    "claim": ("seq", "episode_id", "subject_id", "object_id"),
    "rejection": ("seq", "episode_id"),
    "entity": ("seq", "name"),
    "fact": ("seq", "texted", "subject_id", "object_id"),
    "tombstone": ("seq", "of_id"),
}
"""What is looked for in spaces that grow; the other kinds have few rows, and each index costs every write."""
_PENDING: dict[str, tuple[str, ...]] = {"episode": ("run IS NULL",), "fact": ("retired_at IS NULL",)}
_CONTENT = ("body", "words", "name", "speaker", "object_id", "subject_id")
"""Columns of which the planner keeps no samples: what is forgotten must not live on in its statistics."""


def _0001_tables(db: Link) -> None:
    """A table per kind of record: its columns, and the whole record as JSON text.

    `seq` is the ledger position shifted left by 24 bits plus the place within the transaction;
    `texted` the position at which the searched text last changed; `words` and `length` what the word
    search needs (`postgres_words`).
    """
    _run(db, "CREATE SEQUENCE ledger_position")
    _run(
        db,
        "CREATE FUNCTION tenant_seen() RETURNS text LANGUAGE sql STABLE AS $$"
        " SELECT CASE WHEN current_user LIKE 'tenant:%' THEN substr(current_user, 8)"
        " ELSE current_setting('memory_agent.tenant', true) END $$",
    )
    _run(
        db,
        "CREATE TABLE space (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL,"
        " key text NOT NULL UNIQUE, position bigint NOT NULL DEFAULT 0, audited int NOT NULL DEFAULT 0,"
        " head text NOT NULL DEFAULT '')",
    )
    _run(
        db,
        "CREATE TABLE audit (tenant text NOT NULL, space int NOT NULL REFERENCES space (id), n int NOT NULL,"
        " position bigint NOT NULL, at text NOT NULL, actor text NOT NULL, action text NOT NULL, ids text NOT NULL,"
        " detail text NOT NULL, previous text NOT NULL, digest text NOT NULL, PRIMARY KEY (space, n))",
    )
    _run(
        db,
        "CREATE TABLE word_count (tenant text NOT NULL, space int NOT NULL REFERENCES space (id), kind text NOT NULL,"
        " texts bigint NOT NULL, words bigint NOT NULL, PRIMARY KEY (space, kind))",
    )
    for table, columns in _FIRST.items():
        _record_table(db, table, columns)
    _run(
        db,
        "CREATE TABLE vector_state (tenant text NOT NULL, space int NOT NULL REFERENCES space (id), kind text NOT NULL,"
        " model text NOT NULL, dimension int NOT NULL, position bigint NOT NULL, metric text NOT NULL,"
        " PRIMARY KEY (space, kind))",
    )
    _run(
        db,
        "CREATE TABLE embedding (tenant text NOT NULL, space int NOT NULL REFERENCES space (id),"
        ' kind text NOT NULL, id text COLLATE "C" NOT NULL, vector vector NOT NULL, PRIMARY KEY (space, kind, id))',
    )
    _run(db, "ALTER TABLE embedding ALTER COLUMN vector SET STATISTICS 0")
    for table in ("space", "audit", "word_count", "vector_state", "embedding", *_FIRST):
        _guard(db, table)


def _0002_block_versions(db: Link) -> None:
    """What blocks held before."""
    _record_table(db, "block_version", ("block_id",))
    _guard(db, "block_version")


def _0003_items(db: Link) -> None:
    """What applications keep: values under a namespace and a key."""
    _record_table(db, "item", ("collection", "first", "second", "expiring int"))
    _run(db, "CREATE INDEX item_place ON item (space, collection, first, second, seq)")
    _guard(db, "item")


def _0004_queue(db: Link) -> None:
    """Work for many hosts: who holds a job, until when, and how often it was tried."""
    _run(
        db,
        "CREATE TABLE job (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL,"
        " space text NOT NULL, kind text NOT NULL, state text NOT NULL DEFAULT 'ready',"
        " attempts int NOT NULL DEFAULT 0, not_before timestamptz NOT NULL DEFAULT now(),"
        " worker text, lease_until timestamptz, error text, report text,"
        " added_at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz)",
    )
    _run(db, "CREATE UNIQUE INDEX job_once ON job (space, kind) WHERE state IN ('ready', 'running')")
    _run(db, "CREATE INDEX job_next ON job (not_before, id) WHERE state IN ('ready', 'running')")
    _guard(db, "job")


MIGRATIONS: tuple[Callable[[Link], None], ...] = (_0001_tables, _0002_block_versions, _0003_items, _0004_queue)
"""In the order they are applied; a step's name is its function's."""


def migrate(db: Link, schema: str, where: str) -> list[str]:
    """Apply what is missing, all or nothing, one process at a time; return the names applied.

    The first process makes the schema and asks for pgvector, which needs the right to create both.
    Raises StoreTooNew when the store at `where` went through a step that this release does not know.
    """
    names = [step.__name__.lstrip("_") for step in MIGRATIONS]
    if names == _applied(db, schema):
        return []
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended('memory_agent migrations', 0))")
        db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        db.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        db.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, at timestamptz DEFAULT now())")
        done = set(_applied(db, schema))
        unknown = sorted(done - set(names))
        if unknown:
            raise StoreTooNew(
                f"{where} was written by a newer release (it knows {', '.join(unknown)}):"
                " pip install --upgrade slowwave"
            )
        missing = [(name, step) for name, step in zip(names, MIGRATIONS, strict=True) if name not in done]
        for name, step in missing:
            step(db)
            db.execute("INSERT INTO migration (name) VALUES (%s)", (name,))
    return [name for name, _ in missing]


def _applied(db: Link, schema: str) -> list[str]:
    """The steps a schema went through, in their order; none when it has no tables yet."""
    found = db.execute("SELECT to_regclass(%s)", (f"{schema}.migration",)).fetchone()
    if found is None or found[0] is None:
        return []
    return [name for (name,) in db.execute("SELECT name FROM migration ORDER BY name")]


def _record_table(db: Link, table: str, columns: tuple[str, ...]) -> None:
    """One kind of record, with its indexes; a column is text unless it names its type."""
    version = "version int NOT NULL, " if table == "fact" else ""
    key = "space, id, version" if table == "fact" else "space, id"
    searched = table in ("episode", "fact")
    words = "texted bigint NOT NULL, length int, words tsvector, " if searched else ""
    held = "".join(f"{column}, " if " " in column else f'{column} text COLLATE "C", ' for column in columns)
    _run(
        db,
        f"CREATE TABLE {table} (tenant text NOT NULL, space int NOT NULL REFERENCES space (id),"
        f' id text COLLATE "C" NOT NULL, {version}seq bigint NOT NULL, {words}{held}'
        f"body text NOT NULL, PRIMARY KEY ({key}))",
    )
    for n, indexed in enumerate(_FIRST_INDEXES.get(table, ("seq",))):
        _run(db, f"CREATE INDEX {table}_{n} ON {table} (space, {indexed})")
    for condition in _PENDING.get(table, ()):
        _run(db, f"CREATE INDEX {table}_open ON {table} (space, seq) WHERE {condition}")
    if searched:
        # No pending list: a search would read it whole. Each lexeme names its space, so no other space is touched.
        _run(db, f"CREATE INDEX {table}_words ON {table} USING gin (words) WITH (fastupdate = off)")
    for column in ("body", *(["words"] if searched else []), *(c for c in columns if c in _CONTENT)):
        _run(db, f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")


def _guard(db: Link, table: str) -> None:
    """Row-level security for a table that has a column `tenant`, its owner included."""
    _run(db, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    _run(db, f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    _run(
        db,
        f"CREATE POLICY one_tenant ON {table} USING (tenant = (SELECT tenant_seen()) OR (SELECT tenant_seen()) = '*')",
    )


def _run(db: Link, statement: LiteralString) -> None:
    db.execute(statement)
