"""What a forgetting that was cut short left in files is cleared by whoever opens the memory next."""

from __future__ import annotations

from pathlib import Path

import pytest
from lives import lived, memory_of

from memory_agent import upkeep
from memory_agent.consolidation.forgetting import verify_forgotten
from memory_agent.distillation import registry
from memory_agent.errors import StoreBusy
from memory_agent.memory import Memory
from memory_agent.records import Episode


def busy() -> None:
    raise StoreBusy("it is being read")


def test_a_forgetting_that_ended_before_the_files_were_cleared_is_finished_on_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    with lived(store) as memory:
        monkeypatch.setattr(memory.backend.ledger, "compact", busy)
        with pytest.raises(StoreBusy):
            memory.forget("t3", reason="asked for")
        assert "t3" not in {turn.id for turn in memory.space.ledger.select(Episode)}
        assert verify_forgotten(store, ["Ana Field"]), "or there is nothing to clear"
    with memory_of(store):
        assert verify_forgotten(store, ["Ana Field"]) == {}


def test_training_rows_of_a_run_that_was_killed_go_with_what_was_forgotten_during_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with lived(store) as memory:
        rows = registry.jobs_folder(memory.space) / "a" / "job" / "chat.jsonl"
        rows.parent.mkdir(parents=True)
        rows.write_text("Where does Ana Field work?", "utf-8")
        with memory.space.ledger.lock(registry.LOCK):
            memory.forget("t3", reason="asked for")
        assert rows.exists(), "whoever trains needs them until it ends"
    with memory_of(store):
        assert not rows.exists()


def test_jobs_stay_for_being_gone_on_with_where_nothing_was_forgotten(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with lived(store) as memory:
        memory.forget("t3", reason="asked for")
        left = registry.jobs_folder(memory.space) / "a"
        left.mkdir(parents=True)
    with memory_of(store):
        assert left.exists()


def test_opening_does_not_clear_again_what_is_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    with lived(store) as memory:
        memory.forget("t3", reason="asked for")
        (memory.space.folder / upkeep.CLEARED).with_name("unrelated").write_text("x", "utf-8")
    cleared: list[Memory] = []
    monkeypatch.setattr(upkeep, "clear_files", lambda *args: cleared.append(args))
    with memory_of(store) as memory:
        folder = memory.space.folder
    (folder / upkeep.CLEARED).unlink()  # as an earlier release left it
    memory_of(store).close()
    assert cleared == []
    (folder / upkeep.CLEARED).write_text("damaged", "utf-8")
    memory_of(store).close()
    assert len(cleared) == 1
