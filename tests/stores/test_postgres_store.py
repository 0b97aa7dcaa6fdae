"""What only the PostgreSQL store promises: row-level security, one transaction, SQLite's scores, plain errors."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput, StoreBusy, StoreError, StoreTooNew
from memory_agent.memory import Memory
from memory_agent.protocols import Backend, IndexState, SpaceLedger
from memory_agent.records import Episode, Fact
from memory_agent.space import open_backend
from memory_agent.testing import HashEmbedder
from memory_agent.testing.conformance import a_fact, an_episode, one_of_each
from memory_agent_stores.postgres import PostgresLedger
from memory_agent_stores.postgres_database import Address, Link
from memory_agent_stores.sqlite import SqliteLedger

STATE = IndexState("m", 3, 1)


@contextmanager
def opened(url: str) -> Iterator[Backend]:
    backend = open_backend(url)
    try:
        yield backend
    finally:
        backend.index.close()
        backend.ledger.close()


@contextmanager
def raw(url: str, **more: str) -> Iterator[psycopg.Connection]:
    """A plain connection to the store's schema."""
    address = Address.parse(url)
    with psycopg.connect(address.conninfo, autocommit=True, **more) as db:
        db.execute(f"SET search_path TO {address.schema}, public")
        yield db


@contextmanager
def a_role(url: str, name: str) -> Iterator[str]:
    """A role that may do everything with the store's rows but pass by row-level security, and its URL."""
    schema = Address.parse(url).schema
    with raw(url) as db:
        db.execute(f'CREATE ROLE "{name}" LOGIN')
        db.execute(f'GRANT USAGE ON SCHEMA {schema} TO "{name}"')
        db.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO "{name}"')
        db.execute(f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO "{name}"')
        yield url.replace("//postgres:@", f"//{name.replace(':', '%3A')}@")
        db.execute(f'DROP OWNED BY "{name}"')
        db.execute(f'DROP ROLE "{name}"')


def two_tenants(url: str) -> None:
    with opened(url) as backend:
        for key, said in (("acme/ann", "acme's secret plan"), ("zeta/zoe", "zeta's own garden")):
            with backend.ledger.space(key).transaction() as transaction:
                transaction.put(an_episode("e1", said), *one_of_each()[1:])
                transaction.audit("add", ["e1"])
            backend.index.space(key).apply("episode", ["e1"], np.eye(1, 3, dtype=np.float32), [], state=STATE)


def test_raw_sql_of_one_tenant_reads_and_writes_nothing_of_another(postgres_url: str) -> None:
    two_tenants(postgres_url)
    with a_role(postgres_url, "app") as url, raw(url) as db:
        tables = [t for (t,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]
        kept = [table for table in tables if table not in ("migration", "job", "word_count")]
        assert len(kept) == 16

        def seen(table: str) -> set[str]:
            return {tenant for (tenant,) in db.execute(f"SELECT tenant FROM {table}")}

        assert {table for table in kept if seen(table)} == set(), "without a tenant nothing is seen"
        db.execute("SET memory_agent.tenant = 'acme'")
        assert {table: seen(table) for table in kept} == {table: {"acme"} for table in kept}
        [(zeta,)] = psycopg.connect(Address.parse(postgres_url).conninfo).execute(
            f"SELECT id FROM {Address.parse(url).schema}.space WHERE tenant = 'zeta'"
        )
        assert db.execute("SELECT body FROM episode WHERE space = %s", (zeta,)).fetchall() == []
        assert db.execute("UPDATE episode SET body = 'x' WHERE space = %s", (zeta,)).rowcount == 0
        assert db.execute("DELETE FROM embedding WHERE space = %s", (zeta,)).rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            db.execute("INSERT INTO word_count VALUES ('zeta', %s, 'episode', 1, 1)", (zeta,))


def test_the_role_of_a_tenant_is_held_to_it_whatever_it_sets(postgres_url: str) -> None:
    two_tenants(postgres_url)
    with a_role(postgres_url, "tenant:acme") as url:
        with raw(url) as db:
            for tenant in ("zeta", "*"):
                db.execute(f"SET memory_agent.tenant = '{tenant}'")
                assert db.execute("SELECT DISTINCT tenant FROM episode").fetchall() == [("acme",)]
        with opened(url) as backend:
            assert backend.ledger.spaces() == ["acme/ann"]
            assert backend.ledger.space("acme/ann").match(["plan"], limit=5)
            other = backend.ledger.space("zeta/zoe")
            assert (other.select(Episode), other.match(["garden"], limit=5), other.audit_chain()) == ([], [], [])
            with pytest.raises(StoreError), other.transaction() as transaction:
                transaction.put(an_episode("e2"))
    with opened(postgres_url) as backend:
        assert backend.ledger.space("zeta/zoe").count(Episode) == 1


def test_the_library_sees_one_tenant_at_a_time_as_an_ordinary_role(postgres_url: str) -> None:
    two_tenants(postgres_url)
    with a_role(postgres_url, "app") as url, opened(url) as backend:
        assert backend.ledger.spaces() == ["acme/ann", "zeta/zoe"]
        for key, word in (("acme/ann", "plan"), ("zeta/zoe", "garden"), ("acme/ann", "plan")):
            space = backend.ledger.space(key)
            found = space.match([word], limit=5, kinds=("episode",))
            assert {id for id, _ in found} == {episode.id for episode in space.select(Episode)}
            with space.transaction() as transaction:
                transaction.put(an_episode("e2", f"another {word}"))
        assert backend.ledger.check() == []


def words_of(chance: random.Random) -> str:
    vocabulary = [
        "garden",
        "Running",
        "run",
        "ran",
        "the",
        "of",
        "Porto",
        "pôrto",
        "don't",
        "東京",
        "東東",
        "x1",
        "émigré",
        "—",
        "3.14",
    ]
    return " ".join(chance.choices(vocabulary, weights=range(len(vocabulary), 0, -1), k=chance.randint(1, 40)))


def test_scores_are_those_of_the_default_ledger(postgres_url: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    turns = [an_episode(f"e{n}", words_of(chance), speaker=chance.choice(["Ann", "Bea"])) for n in range(120)]
    facts = [a_fact(f"f{n}", words_of(chance)) for n in range(30)]
    sqlite = SqliteLedger(tmp_path)
    with opened(postgres_url) as backend:
        spaces: list[SpaceLedger] = [each.space("default/alice") for each in (sqlite, backend.ledger)]
        for space in spaces:
            with space.transaction() as transaction:
                transaction.put(*turns, *facts)
            with space.transaction() as transaction:  # changed, replaced, deleted: the counts must follow
                transaction.put(turns[0].model_copy(update={"content": "only the garden"}), turns[1])
                transaction.delete(Episode, ["e2", "e3"])
                transaction.put(facts[0].model_copy(update={"retired_at": turns[0].at}))
        for words in (["garden"], ["running", "run", "porto"], ["東京", "don't"], ["東"], ["ann", "3.14", "march"]):
            default, ours = (space.match(words, limit=200) for space in spaces)
            assert [id for id, _ in ours] == [id for id, _ in default]
            assert [score for _, score in ours] == pytest.approx([score for _, score in default], rel=1e-9)
    sqlite.close()


def test_a_giant_turn_and_a_giant_word_are_taken_and_found(postgres_url: str) -> None:
    many = " ".join(f"word{n}" for n in range(130_000))
    with opened(postgres_url) as backend:
        space = backend.ledger.space("default/alice")
        with space.transaction() as transaction:
            transaction.put(an_episode("many", f"zebra {many} last"), an_episode("long", "x" * 9000 + " ocelot"))
        assert [id for id, _ in space.match(["zebra"], limit=5)] == ["many"]
        assert [id for id, _ in space.match(["x" * 9000], limit=5)] == ["long"]
        assert [id for id, _ in space.match(["word20000"], limit=5)] == ["many"]
        assert backend.ledger.check() == []


def test_rows_and_vectors_are_one_transaction(postgres_url: str) -> None:
    with opened(postgres_url) as backend:
        ledger, index = backend.ledger.space("default/alice"), backend.index.space("default/alice")

        def write(id: str) -> None:
            index.apply("episode", [id], np.eye(1, 3, dtype=np.float32), [], state=STATE)

        def broken_off() -> None:
            with ledger.transaction() as transaction:
                transaction.put(an_episode("lost"))
                write("lost")
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            broken_off()
        assert (ledger.count(Episode), index.count("episode"), index.state("episode")) == (0, 0, None)
        with ledger.transaction() as transaction:
            transaction.put(an_episode("kept"))
            write("kept")
        assert (ledger.count(Episode), index.ids("episode")) == (1, {"kept"})
        with ledger.transaction() as transaction:
            transaction.delete(Episode, ["kept"])
        assert index.ids("episode") == set(), "a deleted turn left its vector"


def test_vectors_come_back_bit_for_bit(postgres_url: str) -> None:
    vectors = np.random.default_rng(3).normal(size=(20, 5)).astype(np.float32)
    with opened(postgres_url) as backend:
        index = backend.index.space("default/alice")
        ids = [f"v{n}" for n in range(20)]
        index.apply("fact", ids, vectors, [], state=IndexState("m", 5, 1))
        held = index.vectors("fact", ids)
        assert np.array_equal(np.stack([held[id] for id in ids]), vectors)


def test_a_memory_works_the_same(postgres_url: str, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "speaker": "Alice", "content": said, "id": f"t{n}", "at": f"2024-03-1{n}T08:00:00+00:00"}
        for n, said in enumerate(
            [
                "I moved from Lisbon to Porto.",
                "My sister Ana lives in Faro.",
                "I work at Acme as a baker.",
                "Rain today.",
            ]
        )
    ]
    found = []
    for store in (str(tmp_path / "sqlite"), postgres_url):
        with Memory.open(store, user="Alice", embedder=HashEmbedder(64), settings=Settings()) as memory:
            memory.add(turns, session="s1")
            memory.consolidate()
            hits = memory.search("Where does Alice live and work?", limit=8).hits
            facts = {(fact.id, fact.text, fact.version) for fact in memory.facts()}
            found.append(([(hit.record.id, round(hit.score, 6)) for hit in hits], facts))
            memory.forget("t1", reason="asked")
            assert memory.check() == []
    assert found[0] == found[1]


def test_no_byte_of_what_was_deleted_stays_in_the_database_files(postgres_url: str) -> None:
    secrets = ["zanzibarquartz", "xylophonist"]
    with opened(postgres_url) as backend, raw(postgres_url) as db:
        space = backend.ledger.space("default/alice")
        with space.transaction() as transaction:
            transaction.put(*(an_episode(f"k{n}", f"talk of the weather {n}") for n in range(50)))
            transaction.put(an_episode("e1", f"my {secrets[0]} is here", speaker=secrets[1]))
            transaction.put(a_fact("f1", f"Alice has a {secrets[0]}."))
        db.execute("ANALYZE")

        def held() -> set[str]:
            db.execute("CHECKPOINT")
            [(folder,)] = db.execute("SHOW data_directory").fetchall()
            files = [path.read_bytes().lower() for path in (Path(folder) / "base").rglob("*") if path.is_file()]
            return {secret for secret in secrets if any(secret.encode() in content for content in files)}

        assert held() == set(secrets)
        with space.transaction() as transaction:
            transaction.delete(Episode, ["e1"])
            transaction.delete(Fact, ["f1"])
        backend.ledger.compact()
        assert held() == set()
        assert (space.count(Episode), backend.ledger.check()) == (50, [])


def test_what_the_server_cannot_hold_is_refused(postgres_url: str) -> None:
    with opened(postgres_url) as backend:
        space = backend.ledger.space("default/alice")
        with pytest.raises(InvalidInput, match="NUL"), space.transaction() as transaction:
            transaction.put(an_episode("good"), an_episode("bad", speaker="a\x00b"))
        assert space.count(Episode) == 0
        with space.transaction() as transaction:
            transaction.put(an_episode("e1", "a NUL \x00 within what was said"))
        assert space.select(Episode)[0].content == "a NUL \x00 within what was said"


def test_errors_name_the_store_without_its_password(tmp_path: Path) -> None:
    for url in (f"postgresql://ann:hushhush@/db?host={tmp_path}", "postgresql://ann:hushhush@127.0.0.1:1/db"):
        with pytest.raises(StoreError, match=r"postgresql://.*/db \(schema memory_agent\)") as caught:
            open_backend(url)
        assert "hushhush" not in str(caught.value)
    for url in ("postgresql://h/db?schema=Drop%20Table", "postgresql://h/db?nonsense=1"):
        with pytest.raises(InvalidInput):
            open_backend(url)


def test_a_store_of_a_newer_release_is_left_alone(postgres_url: str) -> None:
    with opened(postgres_url):
        pass
    with raw(postgres_url) as db:
        db.execute("INSERT INTO migration (name) VALUES ('0099_from_the_future')")
    with pytest.raises(StoreTooNew, match=r"0099_from_the_future.*upgrade"):
        open_backend(postgres_url)


def test_tampering_is_found_by_check(postgres_url: str) -> None:
    two_tenants(postgres_url)
    for tamper, found in (
        ("UPDATE audit SET action = 'nothing' WHERE tenant = 'acme'", "space acme/ann: audit entry 1"),
        ("DELETE FROM episode WHERE tenant = 'zeta'", "space zeta/zoe: the word index of episodes counts"),
        ("UPDATE fact SET words = NULL", "1 facts are missing from the word index"),
    ):
        with raw(postgres_url) as db:
            db.execute(tamper)
        with opened(postgres_url) as backend:
            assert any(found in problem for problem in backend.ledger.check())


def test_handles_share_one_pool_and_the_last_one_closes_it(postgres_url: str) -> None:
    with opened(postgres_url) as first:
        with opened(postgres_url) as second:
            second.ledger.spaces()
        assert first.ledger.spaces() == []
    with pytest.raises(StoreError, match="closed"):
        first.ledger.spaces()


def test_a_threads_job_locks_share_a_connection_and_are_freed_one_by_one(postgres_url: str) -> None:
    with opened(postgres_url) as backend, ThreadPoolExecutor(1) as other, raw(postgres_url) as db:
        space = backend.ledger.space("default/a")

        def takes(name: str) -> bool:
            try:
                with space.lock(name):
                    return True
            except StoreBusy:
                return False

        with space.lock("outer"):
            with space.lock("inner"):
                held = "SELECT count(*), count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory'"
                assert db.execute(held).fetchone() == (2, 1)
                assert [other.submit(takes, name).result() for name in ("outer", "inner")] == [False, False]
            assert [other.submit(takes, name).result() for name in ("outer", "inner")] == [False, True]
            assert not takes("outer"), "the server would give one session the same lock twice"
        assert other.submit(takes, "outer").result()


def test_of_two_vectors_with_one_id_the_last_stands(postgres_url: str) -> None:
    with opened(postgres_url) as backend:
        index = backend.index.space("default/alice")
        index.apply("fact", ["f1", "f1"], np.eye(2, 3, dtype=np.float32), [], state=IndexState("m", 3, 1))
        assert index.vectors("fact", ["f1"])["f1"].tolist() == [0, 1, 0]


def test_only_what_is_derived_commits_without_waiting_for_the_disk(postgres_url: str) -> None:
    with opened(postgres_url) as backend:
        assert isinstance(backend.ledger, PostgresLedger)
        database, queue, seen = backend.ledger.database, backend.queue, []
        assert queue is not None

        def note(db: Link) -> str:
            row = db.execute("SHOW synchronous_commit").fetchone()
            return str(row and row[0])

        for _ in range(2):
            with backend.ledger.space("default/a").transaction():
                joined = database.joined()
                assert joined is not None
                seen.append(note(joined))
            with database.writing("default", 1.0, durable=False) as db:
                seen.append(note(db))
            assert queue.take("w", lease=1, most=1) is None
        assert seen == ["on", "off"] * 2
        with database.lend("*", durable=False) as db:
            assert note(db) == "off"
        assert queue.put("consolidate", ["default/a"]) == 1
        with database.lend("*") as db:
            assert note(db) == "on", "what was handed in has to be there after a crash"
