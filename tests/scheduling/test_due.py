"""When a job is due: the rule, and what a store says about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.memory import Memory
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Fact
from memory_agent.scheduling import Conditions, Means, State, duration, judge, run_if_due
from memory_agent.scheduling.due import consolidation_state, distillation_state
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "conditions", "due"),
    [
        (State(NOW), Conditions(), False),
        (State(NOW, new=1), Conditions(), True),
        (State(NOW, dirty=1), Conditions(least=9), True),
        (State(NOW, new=4), Conditions(least=5), False),
        (State(NOW, new=5), Conditions(least=5), True),
        (State(NOW, new=1, began=NOW - HOUR), Conditions(every=2 * HOUR), False),
        (State(NOW, new=1, began=NOW - 2 * HOUR), Conditions(every=2 * HOUR), True),
        (State(NOW, new=1), Conditions(every=2 * HOUR), True),
        (State(NOW, new=1, written=NOW - HOUR / 2), Conditions(idle=HOUR), False),
        (State(NOW, new=1, written=NOW - HOUR), Conditions(idle=HOUR), True),
        (State(NOW, new=9, heat=8.5, written=NOW), Conditions(idle=HOUR, heat=8), True),
        (State(NOW, new=9, heat=3.5, written=NOW), Conditions(idle=HOUR, heat=8), False),
        (State(NOW, new=1, spent=HOUR), Conditions(budget=HOUR), False),
        (State(NOW, new=1, spent=HOUR / 2), Conditions(budget=HOUR), True),
        (
            State(NOW, dirty=1, dirty_since=NOW - HOUR, began=NOW, written=NOW, spent=9 * HOUR),
            Conditions(every=HOUR, least=5, idle=HOUR, budget=HOUR, deadline=HOUR),
            True,
        ),
        (
            State(NOW, dirty=1, dirty_since=NOW - HOUR / 2, began=NOW),
            Conditions(every=HOUR, deadline=HOUR),
            False,
        ),
    ],
)
def test_the_rule(state: State, conditions: Conditions, due: bool) -> None:
    verdict = judge(state, conditions)
    assert verdict.due is due
    assert verdict.text


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 9), st.integers(0, 3), st.integers(1, 5), st.integers(0, 48))
def test_less_to_do_or_stricter_conditions_never_make_it_due(new: int, dirty: int, least: int, hours: int) -> None:
    state = State(NOW, new=new, dirty=dirty, began=NOW - hours * HOUR)
    loose, strict = Conditions(least=least), Conditions(least=least + 1, every=12 * HOUR)
    assert judge(state, loose).due or not judge(state, strict).due
    assert not judge(State(NOW), strict).due


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("6h", 21600), ("1d12h", 129600)])
def test_lengths_of_time(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "3", "3y", "0m", "1h x", "-1h", "1.5h"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        duration(text)


def lived(store: Path, clock: FrozenClock, teach: str = "") -> Memory:
    return Memory.open(
        store, user="Alice", embedder=HashEmbedder(32), clock=clock, settings=Settings(teach=teach, threads=1)
    )


def say(memory: Memory, *claims: str) -> None:
    memory.add([{"role": "user", "speaker": "Alice", "content": f"{{{claim}}}"} for claim in claims], session="s")


def test_pending_turns_make_a_consolidation_due_once(tmp_path: Path) -> None:
    clock = FrozenClock()
    with lived(tmp_path / "m", clock) as memory:
        means = Means(extractor=MarkedExtractor())
        assert run_if_due(memory.space, "consolidate", means=means).ending == "not_due"
        say(memory, "Alice | likes | tea", "Alice | lives_in | Porto")
        told: list[str] = []
        done = run_if_due(memory.space, "consolidate", means=means, begun=told.append)
        assert (done.ending, done.report["episodes"], told) == ("done", 2, ["2 new"])
        assert done.counts()["facts_added"] == 2
        assert run_if_due(memory.space, "consolidate", means=means).ending == "not_due"
        state = consolidation_state(memory.space, Conditions(idle=HOUR, budget=HOUR))
        assert (state.new, state.began, state.written) == (0, clock.now(), clock.now())
        with memory.space.ledger.lock("schedule-consolidate"):
            say(memory, "Alice | likes | rain")
            assert run_if_due(memory.space, "consolidate", means=means).ending == "locked"
        with memory.space.ledger.lock("consolidate"):
            assert run_if_due(memory.space, "consolidate", means=means).ending == "locked"


def adapter(id: str, facts: list[Fact], state: str, clock: FrozenClock) -> Adapter:
    return Adapter.model_validate(
        {
            "id": id, "shard": "s", "state": state, "base": "b", "sha256": id, "created_at": clock.now(),
            "facts": [f"{fact.id}@{fact.version}" for fact in facts],
            "entities": sorted({fact.subject_id for fact in facts}),
        }
    )  # fmt: skip


def test_what_there_is_to_teach_and_to_take_back(tmp_path: Path) -> None:
    clock = FrozenClock()
    with lived(tmp_path / "m", clock) as memory:
        ledger = memory.space.ledger
        say(memory, "Alice | lives_in | Porto", "Alice | works_at | Acme")
        memory.consolidate(extractor=MarkedExtractor())
        facts = ledger.select(Fact, Query(where={"retired_at": None}))
        assert distillation_state(memory.space).new == len(facts) == 2
        for state in ("refused", "previous", "promoted"):
            with ledger.transaction() as tx:
                tx.put(adapter("a1", facts, state, clock))
            assert distillation_state(memory.space).new == 0, f"{state}: the same facts are not taught again"
        clock.tick(3600)
        say(memory, "Alice | lives_in | Faro")
        memory.consolidate(extractor=MarkedExtractor())
        [fell] = [a for a in ledger.select(Adapter) if a.state == "off"]
        state = distillation_state(memory.space, Conditions(deadline=HOUR))
        assert (fell.id, state.new, state.dirty, state.dirty_since) == ("a1", 2, 1, clock.now())
        with ledger.transaction() as tx:  # the fact that still stands counts as new: nothing answers for it
            tx.put(adapter("a2", ledger.select(Fact, Query(where={"retired_at": None})), "promoted", clock))
        state = distillation_state(memory.space, Conditions(deadline=HOUR))
        assert (state.new, state.dirty, state.dirty_since) == (0, 0, None)


def test_forgetting_starts_the_deadline(tmp_path: Path) -> None:
    clock = FrozenClock()
    with lived(tmp_path / "m", clock) as memory:
        say(memory, "Alice | lives_in | Porto")
        say(memory, "Alice | works_at | Acme")
        memory.consolidate(extractor=MarkedExtractor())
        facts = memory.space.ledger.select(Fact, Query(where={"retired_at": None}))
        with memory.space.ledger.transaction() as tx:
            tx.put(adapter("a1", facts, "promoted", clock))
        clock.tick(60)
        forgotten = clock.now()
        memory.forget(facts[0].id, reason="asked")
        clock.tick(3600)
        conditions = Conditions(every=HOUR * 99, least=99, deadline=HOUR)
        state = distillation_state(memory.space, conditions)
        assert (state.dirty, state.dirty_since) == (1, forgotten)
        assert judge(state, conditions).due


def test_what_may_be_taught_is_what_the_settings_say(tmp_path: Path) -> None:
    """The first `--if-due` asked the default policy, whatever MEMORY_AGENT_TEACH said."""
    clock = FrozenClock()
    for teach, new in (("", 0), ("allergic_to", 1)):
        with lived(tmp_path / "m", clock, teach) as memory:
            if not memory.facts():
                say(memory, "Alice | allergic_to | nuts")
                memory.consolidate(extractor=MarkedExtractor())
            assert distillation_state(memory.space).new == new
