"""What is killed while it encrypts: changing the key of weights, a distillation with a key, a backup with one.

For `boundaries.py`: `ready(root)` makes the store that is crashed, `act` is killed, `whole` has to hold afterwards.
Weights that were encrypted, or are about to be, lie nowhere in plain but where docs/how-to/secure.md says so.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from harness import Ack, acknowledged
from kills import hook
from life import Life, check, notes_of, opened

from memory_agent import Memory, encryption
from memory_agent.backup import backup, restore, verify
from memory_agent.config import Settings
from memory_agent.distillation import registry, sealing
from memory_agent.encryption import Key
from memory_agent.errors import InvalidInput, SealBroken
from memory_agent.records import Adapter, Episode

OLD, NEW = "the key that was, 0123456789", "the key that comes, 0123456789"
WEIGHTS = [b"weights that know where Ana lives %d " % n * 2000 for n in range(2)]


def cheap_keys() -> None:
    """scrypt at its least: how dear guessing is makes no difference to what a crash leaves."""
    encryption._SCRYPT["n"] = 2


def two_adapters(root: Path) -> None:
    """The store's key is OLD; one adapter is encrypted with it, one still lies in plain as from before."""
    cheap_keys()
    (root / "key").write_text(OLD)
    memory = opened(root / "store")
    plain = replace(
        memory.space, settings=memory.space.settings.model_copy(update={"adapter_key": Settings().adapter_key})
    )
    for n, space in enumerate((memory.space, plain)):
        built = root / "built"
        built.mkdir()
        (built / sealing.WEIGHTS).write_bytes(WEIGHTS[n])
        (built / sealing.CONFIG).write_text('{"r": 4, "peft_type": "LORA"}')
        sha, _ = registry.keep(space, built, {"method": "lora"})
        shutil.rmtree(built)
        row = Adapter(
            id=sha, shard=f"sealed{n}", state="previous", base="b", facts=(), sha256=sha, created_at=space.clock.now()
        )
        with space.ledger.transaction() as tx:
            tx.put(row)
    memory.close()


def rekey(root: Path, ack: Ack) -> None:
    memory = opened(root / "store")
    registry.rekey(memory.space, Key.of(NEW))
    ack("rekeyed")
    memory.close()


def rekeyed(root: Path, lines: list[str]) -> None:
    """Both are whole and what they were, under the one key or the other; once more, and it is the new one."""
    memory = opened(root / "store")
    check(memory, [line for line in lines if line != "rekeyed"])
    _are_what_they_were(memory, NEW if "rekeyed" in lines else "")
    registry.rekey(memory.space, Key.of(NEW))
    _are_what_they_were(memory, NEW)
    memory.close()


def _are_what_they_were(memory: Memory, only: str) -> None:
    """With `only`, that key opens both, and neither they nor anything half-written lies about."""
    found = set()
    for adapter in memory.space.ledger.select(Adapter):
        if not adapter.shard.startswith("sealed"):
            continue
        assert registry.verify(memory.space, adapter), "an adapter is not what its manifest tells"
        folder = registry.place_of(memory.space, adapter)
        found.add(_weights(folder, [only] if only else [OLD, NEW]))
        if only:
            assert {file.name for file in folder.iterdir()} == {sealing.SEALED, sealing.CONFIG, "manifest.json"}
    assert found == set(WEIGHTS)


def _weights(folder: Path, keys: list[str]) -> bytes:
    if not sealing.is_sealed(folder):
        return (folder / sealing.WEIGHTS).read_bytes()
    with tempfile.TemporaryDirectory() as there:
        for key in keys:
            try:
                sealing.unseal(folder, Path(there) / "weights", Key.of(key))
            except SealBroken:
                continue
            return (Path(there) / "weights").read_bytes()
    raise AssertionError(f"no key opens {folder}")


def with_key(root: Path) -> None:
    """The store's key is OLD from now on."""
    cheap_keys()
    (root / "key").write_text(OLD)


def promote(root: Path, ack: Ack) -> None:
    memory = opened(root / "store")
    life = Life(memory, ack, acknowledged(notes_of(root / "store")))
    life.read()
    life.distil(hook(root / "adapter"), 64)
    memory.close()


def promoted(root: Path, lines: list[str]) -> None:
    """New weights lie encrypted in the registry and answer; in plain only those from before the key, and in a job."""
    memory = opened(root / "store")
    check(memory, lines)
    space = memory.space
    before = {
        id for line in lines[: lines.index("forgetting t4")] if line.startswith("promoted") for id in line.split()[1:]
    }
    home, jobs = registry.adapters_folder(space), registry.jobs_folder(space)
    for plain in (root / "store").rglob(sealing.WEIGHTS):
        assert plain.is_relative_to(jobs) or plain.parent.name in before, f"{plain} lies in plain"
    for adapter in registry.with_state(space.ledger, "promoted"):
        folder = registry.folder_of(space, adapter)
        assert adapter.id in before or folder.parent != home, "it is not decrypted elsewhere"
        assert registry.hash_adapter(folder) == adapter.sha256
    assert registry.sweep(space)
    assert {plain.parent.name for plain in (root / "store").rglob(sealing.WEIGHTS)} <= before
    memory.close()


def back_up(root: Path, ack: Ack) -> None:
    backup(str(root / "store"), root / "sealed.backup", key=Key.of(OLD))
    ack("backed up")


def backed_up(root: Path, lines: list[str]) -> None:
    """The file is there whole or not at all, and nothing that was written of it can be read without the key."""
    made, part = root / "sealed.backup", root / ".sealed.backup.part"
    assert made.exists() or "backed up" not in lines
    if part.exists():
        begun = part.read_bytes()[: len(encryption.MAGIC)]
        assert encryption.MAGIC.startswith(begun), "a part of the backup is in plain"
    if not made.exists():
        backup(str(root / "store"), made, key=Key.of(OLD))
    with pytest.raises(InvalidInput, match="is encrypted"):
        verify(made)
    verify(made, key=Key.of(OLD))
    restore(made, str(root / "target"), key=Key.of(OLD))
    here, there = opened(root / "store"), opened(root / "target")
    for kind in (Episode, Adapter):
        assert here.space.ledger.select(kind) == there.space.ledger.select(kind)
    here.close()
    there.close()
