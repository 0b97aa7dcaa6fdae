"""Adapters by the hash of their content: whole on disk, promoted in one step, never while a fact has fallen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory_agent.distillation import registry
from memory_agent.errors import NotFound, TrainerFailed
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Fact
from memory_agent.space import Space


def built(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(weights)
    (folder / "adapter_config.json").write_text('{"r": 4, "peft_type": "LORA"}')
    return folder


def put_fact(space: Space, id: str, object: str = "Bergen", version: int = 1) -> Fact:
    fact = Fact(
        id=id,
        version=version,
        subject="Ana",
        subject_id="ana",
        predicate="lives_in",
        object=object,
        text=f"Ana lives in {object}.",
        recorded_at=space.clock.now(),
    )
    with space.ledger.transaction() as tx:
        old = tx.select(Fact, Query(ids=[id], where={"retired_at": None}))
        tx.put(*(f.model_copy(update={"retired_at": space.clock.now()}) for f in old), fact)
    return fact


def kept(
    space: Space, tmp_path: Path, name: str, facts: tuple[str, ...] = (), entities: tuple[str, ...] = ()
) -> Adapter:
    sha, _ = registry.keep(space, built(tmp_path / name, name.encode()), {"name": name})
    return Adapter(
        id=sha,
        shard="s",
        state="candidate",
        base="b",
        facts=facts,
        entities=entities,
        sha256=sha,
        created_at=space.clock.now(),
    )


def promote(space: Space, *adapters: Adapter, taught: tuple[str, ...] = ("ana",)) -> None:
    with space.ledger.transaction() as tx:
        registry.promote(tx, adapters, taught)


def states(space: Space) -> dict[str, str]:
    return {adapter.id: adapter.state for adapter in space.ledger.select(Adapter)}


def test_the_same_content_has_the_same_name(space: Space, tmp_path: Path) -> None:
    sha, folder = registry.keep(space, built(tmp_path / "one"), {"seed": 0})
    again, _ = registry.keep(space, built(tmp_path / "two"), {"seed": 0})
    assert sha == again == registry.hash_adapter(folder)
    assert json.loads((folder / "manifest.json").read_text()) == {"seed": 0}
    other, _ = registry.keep(space, built(tmp_path / "three", b"other"), {})
    assert other != sha
    assert not list(registry.adapters_folder(space).glob(".new-*"))


def test_pickles_and_empty_folders_are_not_taken_in(space: Space, tmp_path: Path) -> None:
    folder = built(tmp_path / "one")
    (folder / "optimizer.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(TrainerFailed, match=r"optimizer\.pt"):
        registry.keep(space, folder, {})
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainerFailed, match=r"adapter_model\.safetensors"):
        registry.keep(space, tmp_path / "empty", {})
    assert not registry.adapters_folder(space).exists()


def test_damage_is_noticed(space: Space, tmp_path: Path) -> None:
    adapter = kept(space, tmp_path, "one")
    assert registry.verify(space, adapter)
    (registry.folder_of(space, adapter) / "adapter_model.safetensors").write_bytes(b"bent")
    assert not registry.verify(space, adapter)


def test_the_successor_sets_back_only_what_it_covers(space: Space, tmp_path: Path) -> None:
    whole = kept(space, tmp_path, "whole", entities=("ana", "rolf"))
    half = kept(space, tmp_path, "half", entities=("ana",))
    rest = kept(space, tmp_path, "rest", entities=("rolf",))
    promote(space, whole, taught=("ana", "rolf"))
    promote(space, half, taught=("ana", "rolf"))
    assert states(space) == {whole.id: "promoted", half.id: "promoted"}
    promote(space, half, rest, taught=("ana", "rolf"))
    assert states(space) == {whole.id: "previous", half.id: "promoted", rest.id: "promoted"}


def test_an_adapter_of_nobody_still_taught_is_set_back(space: Space, tmp_path: Path) -> None:
    gone = kept(space, tmp_path, "gone", entities=("zoe",))
    promote(space, gone, taught=("zoe",))
    promote(space, taught=("ana",))
    assert states(space) == {gone.id: "previous"}


def test_rollback_and_back_again(space: Space, tmp_path: Path) -> None:
    fact = put_fact(space, "f1")
    first = kept(space, tmp_path, "first", (f"{fact.id}@1",), ("ana",))
    second = kept(space, tmp_path, "second", (f"{fact.id}@1",), ("ana",))
    promote(space, first)
    promote(space, second)
    assert [a.id for a in registry.rollback(space)] == [first.id]
    assert states(space) == {first.id: "promoted", second.id: "previous"}
    assert [a.id for a in registry.rollback(space)] == [second.id]


def test_no_rollback_to_a_fact_that_has_fallen(space: Space, tmp_path: Path) -> None:
    put_fact(space, "f1")
    first = kept(space, tmp_path, "first", ("f1@1",), ("ana",))
    put_fact(space, "f1", "Oslo", version=2)
    second = kept(space, tmp_path, "second", ("f1@2",), ("ana",))
    promote(space, first)
    promote(space, second)
    assert registry.fallen(space.ledger, first) == ["f1"]
    assert registry.fallen(space.ledger, second) == []
    with pytest.raises(NotFound):
        registry.rollback(space)


def test_a_new_version_that_says_the_same_is_no_fall(space: Space, tmp_path: Path) -> None:
    put_fact(space, "f1")
    adapter = kept(space, tmp_path, "first", ("f1@1",), ("ana",))
    put_fact(space, "f1", version=2)
    assert registry.fallen(space.ledger, adapter) == []


def test_a_sweep_leaves_no_weights_of_what_was_forgotten(space: Space, tmp_path: Path) -> None:
    put_fact(space, "f1")
    put_fact(space, "f2", "Oslo")
    off, stands = (
        kept(space, tmp_path, "off", ("f1@1",), ("ana",)),
        kept(space, tmp_path, "stands", ("f2@1",), ("rolf",)),
    )
    previous = kept(space, tmp_path, "previous", ("f1@1",), ("ana",))
    orphan, _ = registry.keep(space, built(tmp_path / "orphan", b"orphan"), {})
    job = registry.jobs_folder(space) / "j1"
    job.mkdir(parents=True)
    promote(space, stands, taught=("ana", "rolf"))
    with space.ledger.transaction() as tx:
        tx.delete(Fact, ["f1"])
        tx.put(off.model_copy(update={"state": "off"}), previous.model_copy(update={"state": "previous"}))
    registry.sweep(space)
    assert [f.name for f in registry.adapters_folder(space).iterdir()] == [stands.sha256]
    assert orphan != stands.sha256
    assert not job.exists()


def test_a_sweep_waits_for_no_distillation(space: Space, tmp_path: Path) -> None:
    orphan, folder = registry.keep(space, built(tmp_path / "orphan"), {})
    with space.ledger.lock(registry.LOCK):
        registry.sweep(space)
        assert folder.exists(), orphan


def test_prune_keeps_the_promoted_and_the_newest_previous(space: Space, tmp_path: Path) -> None:
    adapters = []
    for n in range(4):
        put_fact(space, f"f{n}")
        adapters.append(kept(space, tmp_path, f"a{n}", (f"f{n}@1",), ("ana",)))
        promote(space, adapters[-1])
    assert registry.prune(space) == [adapters[0].id, adapters[1].id]
    assert states(space) == {adapters[2].id: "previous", adapters[3].id: "promoted"}
    assert len(list(registry.adapters_folder(space).iterdir())) == 2


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("[]", "JSON object"),
        ("{", "JSON object"),
        ('{"peft_type": "ADALORA"}', "peft_type"),
        ('{"peft_type": "LORA", "init_lora_weights": "pissa"}', "init_lora_weights"),
        ('{"peft_type": "LORA", "bias": "all"}', "bias"),
        ('{"peft_type": "LORA", "modules_to_save": ["lm_head"]}', "modules_to_save"),
    ],
)
def test_what_would_touch_the_models_own_weights_is_not_taken_in(
    space: Space, tmp_path: Path, config: str, named: str
) -> None:
    folder = built(tmp_path / "strange", b"weights")
    (folder / "adapter_config.json").write_text(config)
    with pytest.raises(TrainerFailed, match=named):
        registry.keep(space, folder, {})
    assert not registry.adapters_folder(space).exists()
