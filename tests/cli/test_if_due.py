"""`--if-due`: how a look ended is the exit code and stands in the JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memory_agent import scheduling
from memory_agent.cli import exits
from memory_agent.memory import Memory
from memory_agent.scheduling import Outcome
from memory_agent.testing import HashEmbedder

Command = Callable[..., tuple[int, Any]]
ENDINGS = {
    "done": exits.DONE,
    "not_due": exits.NOT_DUE,
    "refused": exits.REFUSED,
    "locked": exits.LOCKED,
    "failed": exits.FAILED,
    "stopped": exits.FAILED,
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with Memory.open(tmp_path / "m", user="bo", embedder=HashEmbedder(8)) as memory:
        memory.add([{"role": "user", "speaker": "Bo", "content": "Hello there."}])
    return tmp_path / "m"


@pytest.mark.parametrize("job", ["consolidate", "distill"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_each_ending_has_its_exit_code(
    command: Command, store: Path, monkeypatch: pytest.MonkeyPatch, job: str, ending: Any
) -> None:
    monkeypatch.setattr(scheduling, "run_if_due", lambda space, job, *_, **__: Outcome(job, ending, "why"))
    code, said = command(store, job, "--if-due")
    assert code == ENDINGS[ending]
    assert (said["job"], said["ending"], said["reason"]) == (job, ending, "why")
    assert said["due"] is (ending not in ("not_due", "locked"))


def test_of_many_users_the_gravest_is_the_code(command: Command, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for user in ("cy", "di"):
        with Memory.open(store, user=user, embedder=HashEmbedder(8)) as memory:
            memory.add([{"role": "user", "content": "Hello there."}])

    def codes(*endings: Any) -> tuple[int, int]:
        left: Iterator[Any] = iter(endings)
        monkeypatch.setattr(scheduling, "run_if_due", lambda space, job, *_, **__: Outcome(job, next(left)))
        code, said = command(store, "consolidate", "--if-due", "--all-users")
        return code, len(said)

    assert codes("not_due", "done", "locked") == (exits.DONE, 3)
    assert codes("done", "refused", "not_due") == (exits.REFUSED, 3)
    assert codes("done", "failed", "refused") == (exits.FAILED, 3)
    assert codes("not_due", "locked", "not_due") == (exits.LOCKED, 3)


def test_a_runner_that_is_at_it_locks_the_look(command: Command, store: Path) -> None:
    with Memory.open(store, user="bo", embedder=HashEmbedder(8)) as memory:
        with memory.space.ledger.lock("schedule-consolidate"):
            code, said = command(store, "consolidate", "--if-due")
        assert (code, said["ending"], said["due"]) == (exits.LOCKED, "locked", False)
        code, said = command(store, "consolidate", "--if-due", "--min-new", "2")
        assert (code, said["reason"]) == (exits.NOT_DUE, "1 new, fewer than 2")
