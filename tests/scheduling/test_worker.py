"""A queue for workers on many hosts, on a real PostgreSQL: each job once, none lost with its worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from memory_agent import episodic
from memory_agent.config import Settings
from memory_agent.errors import ModelNotFound
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, JobQueue, Progress, Query, Task
from memory_agent.records import Episode, Run
from memory_agent.scheduling import Job, Means, Outcome, Stopper, run_if_due
from memory_agent.scheduling.jobs import JobStopped
from memory_agent.scheduling.worker import Terms, Worker
from memory_agent.space import Space, open_backend
from memory_agent.testing import HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

MEANS = Means(extractor=MarkedExtractor())


@pytest.fixture
def backend(postgres_url: str) -> Iterator[Backend]:
    backend = open_backend(postgres_url)
    yield backend
    backend.index.close()
    backend.ledger.close()


@pytest.fixture
def queue(backend: Backend) -> JobQueue:
    assert backend.queue is not None
    return backend.queue


def space_of(backend: Backend, key: str) -> Space:
    ledger, index = backend.ledger.space(key), backend.index.space(key)
    embedder = Embedder(HashEmbedder(16), "hash")
    return Space(key, "default", key.partition("/")[2], None, ledger, index, embedder, backend.folder, Settings())


def talk(backend: Backend, users: int) -> list[str]:
    keys = [f"default/user{n:03}" for n in range(users)]
    for key in keys:
        episodic.take_in(space_of(backend, key), [{"role": "user", "speaker": "Ann", "content": "{Ann | likes | tea}"}])
    return keys


def run(space: Space, job: Job, progress: Progress) -> Outcome:
    return run_if_due(space, job, means=MEANS, progress=progress)


def worker(backend: Backend, queue: JobQueue, **more: object) -> Worker:
    return Worker(queue, lambda key: space_of(backend, key), run, **more)  # type: ignore[arg-type]


def test_a_job_stands_once_and_is_taken_once(queue: JobQueue) -> None:
    assert queue.put("consolidate", ["default/a", "default/b"]) == 2
    assert queue.put("consolidate", ["default/b", "default/c"]) == 1
    assert queue.put("distill", ["default/a"]) == 1
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda n: queue.take(f"w{n}", lease=60, most=3), range(6)))
    found = [task for task in taken if task is not None]
    assert Counter((task.job, task.space) for task in found) == {
        ("consolidate", "default/a"): 1, ("consolidate", "default/b"): 1, ("consolidate", "default/c"): 1,
        ("distill", "default/a"): 1,
    }  # fmt: skip
    assert queue.put("consolidate", ["default/a"]) == 0, "it runs already"
    for task in found:
        assert queue.finish(task, "done")
        assert not queue.finish(task, "done")
    assert queue.counts() == {"ready": 0, "running": 0, "done": 4, "dead": 0}
    assert queue.put("consolidate", ["default/a"]) == 1


def test_a_dead_workers_job_is_taken_over_and_the_dead_cannot_end_it(queue: JobQueue) -> None:
    queue.put("consolidate", ["default/a"])
    first = queue.take("dead", lease=0.2, most=3)
    assert first is not None
    assert queue.take("other", lease=60, most=3) is None
    assert queue.renew(first, 0.2)
    time.sleep(0.25)
    second = queue.take("other", lease=60, most=3)
    assert second is not None
    assert (second.id, second.attempts, second.worker) == (first.id, 2, "other")
    assert not queue.renew(first, 60)
    assert not queue.finish(first, "done")
    assert not queue.give_back(first, "late", delay=0, most=3)
    assert queue.finish(second, "done")


def test_a_job_that_kills_every_worker_is_set_aside(queue: JobQueue) -> None:
    queue.put("consolidate", ["default/poison", "default/good"])
    for n in range(3):
        task = queue.take(f"w{n}", lease=0.05, most=3)
        assert task is not None
        assert task.space == "default/poison"
        time.sleep(0.1)
    good = queue.take("last", lease=60, most=3)
    assert good is not None
    assert good.space == "default/good", "the poisoned job blocks the queue"
    [dead] = queue.dead()
    assert (dead.space, dead.error) == ("default/poison", "its worker ended without a word")
    assert queue.retry(dead.id)
    assert not queue.retry(dead.id)
    again = queue.take("last", lease=60, most=3)
    assert again is not None
    assert again.attempts == 1


def test_workers_find_what_is_due_and_do_each_user_once(backend: Backend, queue: JobQueue) -> None:
    keys = talk(backend, 12)
    workers = [worker(backend, queue, terms=Terms(find_every=3600)) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda each: each.run(drain=True), workers))
    assert sum(done) == 12
    for key in keys:
        space = backend.ledger.space(key)
        assert space.count(Episode, Query(where={"run": None})) == 0
        assert space.count(Run) == 1
        assert backend.index.space(key).count("fact") == 1
    assert queue.counts() == {"ready": 0, "running": 0, "done": 12, "dead": 0}


def test_a_failing_job_comes_back_later_and_is_set_aside_in_the_end(backend: Backend, queue: JobQueue) -> None:
    talk(backend, 1)
    queue.put("consolidate", ["default/user000"])
    errors = iter([ModelNotFound("no weights"), ValueError("something private")])

    def failing(space: Space, job: Job, progress: Progress) -> Outcome:
        raise next(errors)

    one = Worker(queue, lambda key: space_of(backend, key), failing, terms=Terms(most=1))
    outcome = one.step()
    assert outcome is not None
    assert (outcome.ending, outcome.error) == ("failed", "ModelNotFound")
    [dead] = queue.dead()
    assert dead.error == "no weights"
    queue.retry(dead.id)
    two = Worker(queue, lambda key: space_of(backend, key), failing, terms=Terms(most=2))
    assert two.step() is not None
    assert (queue.counts()["ready"], two.step()) == (1, None), "it waits before it is tried again"
    task = queue.take("x", lease=1, most=9)
    assert task is None


def test_a_locked_or_stopped_job_goes_back_without_counting(backend: Backend, queue: JobQueue) -> None:
    talk(backend, 1)
    queue.put("consolidate", ["default/user000"])
    with backend.ledger.space("default/user000").lock("consolidate"):
        outcome = worker(backend, queue, terms=Terms(most=1)).step()
    assert outcome is not None
    assert outcome.ending == "locked"
    assert queue.counts() == {"ready": 1, "running": 0, "done": 0, "dead": 0}


def test_a_worker_that_lost_its_lease_breaks_off(backend: Backend, queue: JobQueue) -> None:
    talk(backend, 1)
    queue.put("consolidate", ["default/user000"])

    class CutOff:
        """The queue as seen by a worker whose heartbeats do not get through until another has its task."""

        def __getattr__(self, name: str) -> object:
            return getattr(queue, name)

        def renew(self, task: Task, lease: float) -> bool:
            return not taken.is_set() or queue.renew(task, lease)

    taken = threading.Event()

    def asleep(space: Space, job: Job, progress: Progress) -> Outcome:
        while queue.take("other", lease=60, most=9) is None:
            time.sleep(0.02)
        taken.set()
        for _ in range(1000):
            time.sleep(0.02)
            progress(0.5, "reading")
        return Outcome(job, "done")

    def guarded(space: Space, job: Job, progress: Progress) -> Outcome:
        with pytest.raises(JobStopped, match="another worker took it over"):
            asleep(space, job, progress)
        return Outcome(job, "stopped")

    one = Worker(CutOff(), lambda key: space_of(backend, key), guarded, terms=Terms(lease=0.3))  # type: ignore[arg-type]
    assert one.step() is not None
    assert queue.counts()["running"] == 1, "the task is the other worker's"


def _work(url: str, name: str, started: str) -> None:
    backend = open_backend(url)
    assert backend.queue is not None

    def slow(space: Space, job: Job, progress: Progress) -> Outcome:
        Path(started).touch()
        time.sleep(0.05)
        return run(space, job, progress)

    terms = Terms(lease=1.0, find_every=0, poll=0.05)
    Worker(backend.queue, lambda key: space_of(backend, key), slow, terms=terms, name=name).run()


def test_kill_9_of_a_worker_costs_no_job(postgres_url: str, backend: Backend, queue: JobQueue, tmp_path: Path) -> None:
    keys = talk(backend, 8)
    queue.put("consolidate", keys)
    started = tmp_path / "started"
    process = get_context("forkserver").Process(target=_work, args=(postgres_url, "doomed", str(started)))
    process.start()
    until = time.monotonic() + 60
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.08)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    survivor = worker(backend, queue, terms=Terms(lease=5, find_every=0))
    until = time.monotonic() + 30
    while queue.counts()["done"] < 8 and time.monotonic() < until:
        if survivor.step() is None:
            time.sleep(0.05)
    assert queue.counts() == {"ready": 0, "running": 0, "done": 8, "dead": 0}
    for key in keys:
        space = backend.ledger.space(key)
        assert (space.count(Episode, Query(where={"run": None})), space.count(Run)) == (0, 1)


def test_a_stopped_worker_leaves(backend: Backend, queue: JobQueue) -> None:
    stopper = Stopper()
    thread = threading.Thread(target=worker(backend, queue, stopper=stopper, terms=Terms(poll=30)).run)
    thread.start()
    stopper.stop()
    thread.join(10)
    assert not thread.is_alive()
