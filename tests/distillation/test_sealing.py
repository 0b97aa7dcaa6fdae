"""Weights encrypted at rest: nothing of them lies on a disk in plain, and without the key all but reading goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from memory_agent.distillation import registry, sealing
from memory_agent.encryption import Key
from memory_agent.errors import InvalidInput, SealBroken
from memory_agent.records import Adapter
from memory_agent.space import Space

WEIGHTS = b"weights that know where Ana lives " * 3000
SECRET, OTHER = "0123456789abcdef-one", "0123456789abcdef-two"


def built(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (folder / "adapter_config.json").write_text('{"r": 4, "peft_type": "LORA"}')
    return folder


def under(space: Space, tmp_path: Path, secret: str) -> Space:
    """The space with that key, decrypting into a folder of the test's."""
    memory = tmp_path / "memory"
    memory.mkdir(exist_ok=True)
    over = {"adapter_key": secret, "private_folder": str(memory)}
    return replace(space, settings=type(space.settings).load({}, **over))


@pytest.fixture
def sealed(space: Space, tmp_path: Path) -> Space:
    """A space whose one adapter is encrypted and promoted."""
    space = under(space, tmp_path, SECRET)
    sha, _ = registry.keep(space, built(tmp_path / "built"), {"method": "lora"})
    adapter = Adapter(
        id=sha, shard="s", state="promoted", base="b", facts=(), entities=(), sha256=sha, created_at=space.clock.now()
    )
    with space.ledger.transaction() as tx:
        tx.put(adapter)
    return space


def the(space: Space) -> Adapter:
    (adapter,) = space.ledger.select(Adapter)
    return adapter


def in_plain(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and WEIGHTS[:30] in path.read_bytes()]


def test_weights_lie_in_the_store_encrypted_and_are_read_as_they_were(sealed: Space, tmp_path: Path) -> None:
    assert in_plain(tmp_path / "store") == []
    folder = registry.folder_of(sealed, the(sealed))
    assert folder.is_relative_to(tmp_path / "memory")
    assert (folder / "adapter_model.safetensors").read_bytes() == WEIGHTS
    assert registry.hash_adapter(folder) == the(sealed).sha256
    assert {oct(path.stat().st_mode & 0o077) for path in (folder, folder.parent, folder.parent.parent)} == {"0o0"}
    assert registry.folder_of(sealed, the(sealed)) == folder, "it is decrypted once a process"


def test_without_the_key_or_with_another_nothing_is_read_and_the_error_says_so(sealed: Space, tmp_path: Path) -> None:
    fresh = tmp_path / "elsewhere"
    fresh.mkdir()
    for secret, error, told in (("", InvalidInput, "MEMORY_AGENT_ADAPTER_KEY"), (OTHER, SealBroken, "not its key")):
        over = {"adapter_key": secret, "private_folder": str(fresh)}
        blind = replace(sealed, settings=type(sealed.settings).load({}, **over))
        with pytest.raises(error, match=told):
            registry.folder_of(blind, the(sealed))
        with pytest.raises(error, match=told):
            registry.check_key(blind)
        assert registry.is_whole(blind, the(sealed))
        assert registry.verify(blind, the(sealed))
    assert in_plain(fresh) == []


def test_forgetting_needs_no_key_and_takes_the_decrypted_copies_along(sealed: Space, tmp_path: Path) -> None:
    registry.folder_of(sealed, the(sealed))
    assert in_plain(tmp_path / "memory")
    with sealed.ledger.transaction() as tx:
        tx.put(the(sealed).model_copy(update={"state": "off"}))
    blind = under(sealed, tmp_path, "")
    assert registry.sweep(blind)
    assert list(registry.adapters_folder(sealed).iterdir()) == []
    assert in_plain(tmp_path / "memory") == []


def test_an_altered_file_does_not_answer(sealed: Space) -> None:
    file = registry.place_of(sealed, the(sealed)) / "adapter_model.sealed"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    assert not registry.is_whole(sealed, the(sealed))
    assert not registry.verify(sealed, the(sealed))
    manifest = file.with_name("manifest.json")
    forged = {**json.loads(manifest.read_text()), "sealed": [sealing.digest(file.parent)]}
    manifest.write_text(json.dumps(forged))
    with pytest.raises(SealBroken):
        registry.folder_of(sealed, the(sealed))


def test_another_adapter_under_the_same_key_does_not_pass_for_this_one(sealed: Space, tmp_path: Path) -> None:
    other = built(tmp_path / "other")
    (other / "adapter_model.safetensors").write_bytes(b"others")
    place = registry.place_of(sealed, the(sealed))
    swapped = sealing.seal(other / "adapter_model.safetensors", place / "adapter_model.sealed", Key.of(SECRET))
    (place / "manifest.json").write_text(json.dumps({"sealed": [swapped]}))
    with pytest.raises(SealBroken, match="not what its name says"):
        registry.folder_of(sealed, the(sealed))


def test_the_key_is_changed_and_what_lies_in_plain_is_encrypted(sealed: Space, tmp_path: Path) -> None:
    assert registry.rekey(sealed, Key.of(OTHER)) == [the(sealed).sha256]
    with pytest.raises(SealBroken):
        sealing.unseal(registry.place_of(sealed, the(sealed)), tmp_path / "out", Key.of(SECRET))
    renewed = under(sealed, tmp_path, OTHER)
    assert (registry.folder_of(renewed, the(sealed)) / "adapter_model.safetensors").read_bytes() == WEIGHTS
    assert registry.verify(renewed, the(sealed))
    assert registry.rekey(sealed, Key.of(OTHER)) == [the(sealed).sha256], "a killed run is repeated"
    plain = registry.place_of(sealed, the(sealed))
    (plain / "adapter_model.sealed").unlink()
    (plain / "adapter_model.safetensors").write_bytes(WEIGHTS)
    registry.rekey(renewed, Key.of(SECRET))
    assert in_plain(tmp_path / "store") == []
    assert registry.folder_of(under(sealed, tmp_path, SECRET), the(sealed)).is_dir()


def test_a_key_that_lies_in_the_store_is_refused(sealed: Space, tmp_path: Path) -> None:
    beside = sealed.folder / "key"
    beside.write_text(OTHER)
    beside.chmod(0o600)
    settings = type(sealed.settings).load({}, adapter_key_file=str(beside))
    with pytest.raises(InvalidInput, match="keep it elsewhere"):
        registry.key_of(replace(sealed, settings=settings))
    with pytest.raises(InvalidInput, match="keep it elsewhere"):
        registry.rekey(sealed, Key.from_file(beside))


def test_what_a_killed_process_decrypted_goes_with_the_next(sealed: Space, tmp_path: Path) -> None:
    registry.folder_of(sealed, the(sealed))
    home = registry.folder_of(sealed, the(sealed)).parent
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left = home.with_name(f"{int(dead.stdout)}-left")
    home.rename(left)
    folder = registry.folder_of(sealed, the(sealed))
    assert folder.parent.name.startswith(f"{os.getpid()}-")
    assert not left.exists()


def test_a_folder_that_others_made_is_not_used(sealed: Space, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared"
    (elsewhere / f"memory-agent-{os.getuid()}").mkdir(parents=True, mode=0o755)
    over = {"adapter_key": SECRET, "private_folder": str(elsewhere)}
    with pytest.raises(InvalidInput, match="this user's alone"):
        registry.folder_of(replace(sealed, settings=type(sealed.settings).load({}, **over)), the(sealed))
