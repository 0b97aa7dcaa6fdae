"""A queue of consolidations and distillations in PostgreSQL, for workers on many hosts.

Workers take rows with FOR UPDATE SKIP LOCKED, so they do not wait for each other, and hold them by a
lease that the server's clock measures. Every later change names the worker and the attempt: who lost a
task to another cannot end it. The pool is the ledger's, and so is closing it.

Only what somebody asked for waits for the disk. If the server crashes, a task that was taken or finished a
moment before may be back as it was: it is run again, and finds that nothing is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from memory_agent.protocols import Task
from memory_agent_stores.postgres_database import EVERYBODY, Database, Link, tenant_of

_KEPT = "7 days"
"""How long finished tasks stay, to be looked at."""
_NEXT = (
    "SELECT id FROM job WHERE (state = 'ready' AND not_before <= now()) OR (state = 'running' AND lease_until < now())"
    " ORDER BY not_before, id LIMIT 1 FOR UPDATE SKIP LOCKED"
)
_MINE = "id = %s AND worker = %s AND attempts = %s AND state = 'running'"


class PostgresQueue:
    """The queue of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def _lent(self, *, durable: bool = False) -> Iterator[Link]:
        with self._database.lend(EVERYBODY, durable=durable) as db:
            yield db

    def put(self, job: str, spaces: Sequence[str]) -> int:
        """Add the job for these spaces, where it does not stand or run already; how many were added."""
        with self._lent(durable=True) as db:
            db.execute(f"DELETE FROM job WHERE state = 'done' AND ended_at < now() - interval '{_KEPT}'")
            added = db.execute(
                "INSERT INTO job (tenant, space, kind) SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])"
                " ON CONFLICT (space, kind) WHERE state IN ('ready', 'running') DO NOTHING",
                ([tenant_of(space) for space in spaces], list(spaces), [job] * len(spaces)),
            )
            return added.rowcount

    def find(self) -> list[str]:
        """The spaces that hold turns which were not consolidated."""
        with self._lent() as db:
            rows = db.execute(
                "SELECT key FROM space s WHERE EXISTS (SELECT 1 FROM episode e WHERE e.space = s.id AND e.run IS NULL)"
            )
            return sorted(key for (key,) in rows)

    def take(self, worker: str, *, lease: float, most: int) -> Task | None:
        """The next task, held for `lease` seconds; one that was begun `most` times in vain is set aside instead."""
        with self._lent() as db:
            while True:
                row = db.execute(
                    f"WITH next AS ({_NEXT}) UPDATE job SET"
                    " state = CASE WHEN attempts >= %s THEN 'dead' ELSE 'running' END,"
                    " error = CASE WHEN attempts >= %s THEN"
                    " coalesce(error || '; ', '') || 'its worker ended without a word' ELSE error END,"
                    " ended_at = CASE WHEN attempts >= %s THEN now() END,"
                    " attempts = attempts + 1, worker = %s, lease_until = now() + make_interval(secs => %s)"
                    " FROM next WHERE job.id = next.id"
                    " RETURNING job.id, job.space, kind, attempts, worker, coalesce(error, ''), state",
                    (most, most, most, worker, lease),
                ).fetchone()
                if row is None:
                    return None
                if row[-1] == "running":
                    return Task(*row[:-1])

    def renew(self, task: Task, lease: float) -> bool:
        """Hold the task for `lease` seconds from now; False when it is no longer this worker's."""
        with self._lent() as db:
            held = db.execute(
                f"UPDATE job SET lease_until = now() + make_interval(secs => %s) WHERE {_MINE}", (lease, *_mine(task))
            )
            return held.rowcount == 1

    def finish(self, task: Task, ending: str) -> bool:
        """Note that the task is done, in a word; False when it is no longer this worker's."""
        with self._lent() as db:
            held = db.execute(
                f"UPDATE job SET state = 'done', report = %s, ended_at = now() WHERE {_MINE}", (ending, *_mine(task))
            )
            return held.rowcount == 1

    def give_back(self, task: Task, error: str, *, delay: float, most: int, counts: bool = True) -> bool:
        """Leave the task for another attempt after `delay` seconds, or set it aside after `most` of them."""
        over = counts and task.attempts >= most
        with self._lent() as db:
            held = db.execute(
                f"UPDATE job SET state = %s, error = %s, attempts = attempts - %s, lease_until = NULL,"
                " not_before = now() + make_interval(secs => %s), ended_at = CASE WHEN %s THEN now() END"
                f" WHERE {_MINE}",
                ("dead" if over else "ready", error[:1000], 0 if counts else 1, delay, over, *_mine(task)),
            )
            return held.rowcount == 1

    def counts(self) -> Mapping[str, int]:
        """How many tasks are "ready", "running", "done" and "dead" (set aside)."""
        with self._lent() as db:
            found = dict(db.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall())
            return {state: found.get(state, 0) for state in ("ready", "running", "done", "dead")}

    def dead(self) -> list[Task]:
        """The tasks that were set aside."""
        with self._lent() as db:
            rows = db.execute(
                "SELECT id, space, kind, attempts, coalesce(worker, ''), coalesce(error, '') FROM job"
                " WHERE state = 'dead' ORDER BY id"
            )
            return [Task(*row) for row in rows]

    def retry(self, id: int) -> bool:
        """Put a task that was set aside back into the queue; False when there is none of that id."""
        with self._lent(durable=True) as db:
            back = db.execute(
                "UPDATE job SET state = 'ready', attempts = 0, not_before = now(), ended_at = NULL"
                " WHERE id = %s AND state = 'dead' AND NOT EXISTS (SELECT 1 FROM job other"
                " WHERE other.space = job.space AND other.kind = job.kind AND other.state IN ('ready', 'running'))",
                (id,),
            )
            return back.rowcount == 1


def _mine(task: Task) -> tuple[int, str, int]:
    return task.id, task.worker, task.attempts
