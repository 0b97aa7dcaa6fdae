"""Each invariant is broken once; the doctor finds it, names it, and mends what is derived and nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from lives import lived, memory_of, said

from memory_agent import Memory
from memory_agent.doctor import INVARIANTS, Problem, examine
from memory_agent.errors import StoreCorrupt
from memory_agent.protocols import IndexState, Query, Transaction
from memory_agent.records import Adapter, Claim, Entity, Episode, Fact, Summary
from memory_agent.testing.extractor import MarkedExtractor


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with lived(tmp_path / "store") as memory:
        yield memory


def found(memory: Memory, *, repair: bool = False) -> tuple[Problem, ...]:
    return examine(memory.backend, [memory.space], repair=repair).problems


def test_a_memory_that_lived_is_whole(memory: Memory) -> None:
    assert found(memory) == ()
    memory.update("t3", content="No: {Ana Field | works_at | Umbrella}")
    memory.consolidate(extractor=MarkedExtractor())
    memory.summaries()
    memory.forget("t1", reason="asked for")
    assert found(memory) == ()


def edited(memory: Memory, statement: str, *values: object) -> None:
    """Alter the ledger's file as no part of the library would."""
    with closing(sqlite3.connect(memory.backend.folder / "ledger.sqlite")) as db, db:
        assert db.execute(statement, values).rowcount > 0


def rewritten(memory: Memory, kind: str, id: str, change: Callable[[dict[str, object]], object]) -> None:
    """Alter the JSON of one row."""
    with closing(sqlite3.connect(memory.backend.folder / "ledger.sqlite")) as db:
        (body,) = db.execute(f"SELECT body FROM {kind} WHERE id = ?", (id,)).fetchone()
    told = json.loads(body)
    change(told)
    edited(memory, f"UPDATE {kind} SET body = ? WHERE id = ?", json.dumps(told), id)


def put(memory: Memory, write: Callable[[Transaction], object]) -> None:
    with memory.space.ledger.transaction() as tx:
        write(tx)


def porto(memory: Memory) -> Fact:
    (fact,) = [f for f in memory.facts("Alice", predicate="lives_in") if f.object == "Porto"]
    return fact


def _altered_turn(memory: Memory) -> None:
    rewritten(memory, "episode", "t3", lambda told: told.update(content="My sister: " + "x" * 31))


def _broken_audit(memory: Memory) -> None:
    memory.forget("t3", reason="asked for")
    edited(memory, "UPDATE audit SET action = 'something else' WHERE n = 1")


def _loose_claim(memory: Memory) -> None:
    put(memory, lambda tx: tx.delete(Episode, ["t3"]))


def _gone_entity(memory: Memory) -> None:
    put(memory, lambda tx: tx.delete(Entity, [porto(memory).subject_id]))


def _echo(memory: Memory) -> None:
    from memory_agent.episodic.taking import digest
    from memory_agent.fence import fence

    turn = memory.get("t1")
    assert isinstance(turn, Episode)
    content = turn.content + fence("Alice lives in Porto", "x")
    mark = digest(turn.session, turn.speaker, turn.at, content)
    put(memory, lambda tx: tx.put(turn.model_copy(update={"content": content, "digest": mark})))


def _instruction(memory: Memory) -> None:
    turn = memory.get("t1")
    put(memory, lambda tx: tx.put(turn.model_copy(update={"flags": ("instruction",)})))


def _negative_time(memory: Memory) -> None:
    fact = porto(memory)
    before = fact.recorded_at.replace(year=2020)
    put(memory, lambda tx: tx.put(fact.model_copy(update={"version": 0, "retired_at": before})))


@pytest.mark.parametrize(
    ("invariant", "damage"),
    [
        ("durable", _altered_turn),
        ("durable", _broken_audit),
        ("lineage", _loose_claim),
        ("lineage", _gone_entity),
        ("recalled", _echo),
        ("instructions", _instruction),
        ("time", _negative_time),
    ],
)
def test_what_only_a_backup_mends_is_found_and_left_alone(
    memory: Memory, invariant: str, damage: Callable[[Memory], None]
) -> None:
    damage(memory)
    problems = found(memory)
    assert invariant in {problem.invariant for problem in problems}
    assert set(INVARIANTS) >= {problem.invariant for problem in problems}
    assert not any(problem.repaired for problem in problems)


def _missing_fact(memory: Memory) -> None:
    put(memory, lambda tx: tx.delete(Fact, [porto(memory).id]))


def _altered_fact(memory: Memory) -> None:
    put(memory, lambda tx: tx.put(porto(memory).model_copy(update={"text": "Alice lives in Rome."})))


def _strange_fact(memory: Memory) -> None:
    put(memory, lambda tx: tx.put(porto(memory).model_copy(update={"id": "f_strange", "object": "Mars"})))


def _misquoting_fact(memory: Memory) -> None:
    fact = porto(memory)
    wrong = tuple(s.model_copy(update={"quote": "Alice moved to Mars"}) for s in fact.sources)
    put(memory, lambda tx: tx.put(fact.model_copy(update={"sources": wrong})))


def _loose_summary(memory: Memory) -> None:
    (summary, *_) = memory.space.ledger.select(Summary)
    put(memory, lambda tx: tx.put(summary.model_copy(update={"of": (*summary.of, "f_nothing")})))


def _lost_adapter(memory: Memory) -> None:
    adapter = Adapter(
        id="a1", shard="s", state="promoted", base="b", facts=(f"{porto(memory).id}@1",), sha256="0" * 64,
        created_at=memory.space.clock.now(),
    )  # fmt: skip
    put(memory, lambda tx: tx.put(adapter))


def _fallen_adapter(memory: Memory) -> None:
    _lost_adapter(memory)
    with memory.space.ledger.transaction() as tx:
        (adapter,) = tx.select(Adapter)
        tx.put(adapter.model_copy(update={"facts": ("f_nothing@1",)}))


def _words_gone(memory: Memory) -> None:
    with closing(sqlite3.connect(memory.backend.folder / "ledger.sqlite")) as db, db:
        db.execute("DROP TABLE words_1_episode")


def _vector_gone(memory: Memory) -> None:
    index = memory.space.index
    state = index.state("fact")
    assert state is not None
    index.apply("fact", [], np.zeros((0, state.dimension), dtype=np.float32), [porto(memory).id], state=state)


def _vector_too_many(memory: Memory) -> None:
    index = memory.space.index
    state = index.state("episode")
    assert state is not None
    index.apply("episode", ["ghost"], np.ones((1, state.dimension), dtype=np.float32), [], state=state)


def _index_ahead(memory: Memory) -> None:
    state = memory.space.index.state("episode")
    assert state is not None
    later = IndexState(state.model, state.dimension, state.position + 5, state.metric)
    memory.space.index.apply("episode", [], np.zeros((0, state.dimension), dtype=np.float32), [], state=later)


@pytest.mark.parametrize(
    ("invariant", "damage"),
    [
        ("derived", _missing_fact),
        ("derived", _altered_fact),
        ("derived", _strange_fact),
        ("lineage", _misquoting_fact),
        ("derived", _loose_summary),
        ("weights", _lost_adapter),
        ("weights", _fallen_adapter),
        ("durable", _words_gone),
        ("derived", _vector_gone),
        ("derived", _vector_too_many),
        ("derived", _index_ahead),
    ],
)
def test_what_is_derived_is_found_and_made_anew(
    memory: Memory, invariant: str, damage: Callable[[Memory], None]
) -> None:
    facts = {f.id: f.text for f in memory.facts("Alice")}
    damage(memory)
    problems = found(memory)
    assert invariant in {problem.invariant for problem in problems}
    mended = found(memory, repair=True)
    assert mended
    assert all(problem.repaired for problem in mended), mended
    assert found(memory) == ()
    assert {f.id: f.text for f in memory.facts("Alice")} == facts
    assert {hit.record.id for hit in memory.search("fado").hits} & {"t2", *facts}
    assert memory.space.ledger.match(["Again"], limit=3)[0][0] == "t2"


def test_an_index_that_lags_is_no_fault(tmp_path: Path) -> None:
    from memory_agent import episodic

    with lived(tmp_path / "store") as memory:
        episodic.take_in(memory.space, [said("t8", "not embedded yet")])
        diagnosis = examine(memory.backend, [memory.space])
        assert diagnosis.whole
        assert diagnosis.indexed_to["episode"] < diagnosis.position
    with memory_of(tmp_path / "store") as memory:
        assert examine(memory.backend, [memory.space]).indexed_to["episode"] == diagnosis.position


def test_a_row_that_is_no_record_is_refused_with_the_way_out(memory: Memory) -> None:
    edited(memory, "UPDATE claim SET body = replace(body, '\"quote\"', '\"qu0te\"')")
    with pytest.raises(StoreCorrupt, match="memory-agent restore"):
        memory.space.ledger.select(Claim)
    assert {problem.invariant for problem in found(memory)} == {"durable"}
    edited(memory, "UPDATE claim SET body = CAST(X'7bff7d' AS TEXT)")
    with pytest.raises(StoreCorrupt, match="memory-agent restore"):
        memory.space.ledger.select(Claim, Query(limit=1))


def test_postgres_is_examined_as_well(postgres_url: str) -> None:
    with lived(postgres_url) as memory:
        assert found(memory) == ()
        _missing_fact(memory)
        assert {problem.invariant for problem in found(memory)} == {"derived"}
        assert all(problem.repaired for problem in found(memory, repair=True))
        assert found(memory) == ()
    with lived("memory://") as memory:
        assert found(memory) == ()


@pytest.mark.parametrize("content", ["Nothing here.", "No: {Bo | works_at | Umbrella}"])
@pytest.mark.parametrize("read_again", [False, True])
def test_forgetting_a_turn_that_was_corrected_leaves_nothing_of_what_it_said_first(
    memory: Memory, content: str, read_again: bool
) -> None:
    memory.update("t3", content=content)
    if read_again:
        memory.consolidate(extractor=MarkedExtractor())
    memory.forget("t3", reason="asked for")
    assert memory.verify("t3", words=["Acme", "Umbrella"]).clean
    assert found(memory) == ()
