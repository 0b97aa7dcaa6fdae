"""Trained adapters on disk and in the ledger: kept by the hash of their content, promoted in a transaction.

    <space folder>/adapters/<sha256>/    adapter_model.safetensors, adapter_config.json, manifest.json, scorecard.json

A folder is complete before its name appears, and the ledger's `Adapter` row alone decides whether it
answers: a folder without a row is swept away. Nothing that would be unpickled is ever taken in.

With a key, weights are kept encrypted (`sealing`). A model tuned elsewhere has `remote.json` in place of weights; it is
deleted at its provider with its folder.

States: a `promoted` adapter answers; `previous` may be rolled back to; `off` must not answer (a fact in
it fell); `refused` did not pass the gate.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from memory_agent.distillation import sealing
from memory_agent.distillation.sharding import content
from memory_agent.encryption import Key
from memory_agent.errors import DistillationError, NotFound, SealBroken, StoreBusy, TrainerFailed
from memory_agent.folders import sync, whole_file
from memory_agent.models.prefix import KIND as PREFIX
from memory_agent.models.remote import FILE as REMOTE
from memory_agent.models.remote import delete, is_remote
from memory_agent.protocols import Query, Reader, Transaction
from memory_agent.records import Adapter, Fact
from memory_agent.space import Space

LOCK = "distill"
"""The job lock that whoever changes adapters holds."""

WEIGHTS = (sealing.WEIGHTS, sealing.CONFIG)
"""What an adapter's hash covers, where it has weights of its own."""
_UNTOUCHED = {"peft_type": ("LORA", PREFIX), "bias": (None, "none"), "init_lora_weights": (None, True, False)}
"""Values of adapter_config.json with which loading an adapter leaves the model's own weights as they are."""
_EMPTY = ("modules_to_save", "trainable_token_indices", "auto_mapping", "layer_replication")
"""Entries of it that must say nothing, for the same reason."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TAKEN = (".safetensors", ".json", ".md", ".txt")


def adapters_folder(space: Space) -> Path:
    """Where this space's adapters lie."""
    return space.folder / "adapters"


def jobs_folder(space: Space) -> Path:
    """Where training jobs are prepared; they hold rows made from facts, so nothing stays here after a run."""
    return space.folder / "jobs"


def hash_adapter(folder: Path) -> str:
    """SHA-256 over the weights and the configuration, names and lengths included.

    Raises TrainerFailed when a file is missing.
    """
    whole = hashlib.sha256()
    for name in _parts(folder):
        file = folder / name
        if not file.is_file():
            raise TrainerFailed(f"{folder} holds no {name}: a trainer must write a PEFT adapter folder")
        data = file.read_bytes()
        whole.update(f"{name}\0{len(data)}\0".encode())
        whole.update(data)
    return whole.hexdigest()


def _parts(folder: Path) -> tuple[str, ...]:
    """The files that make an adapter what it is."""
    if sealing.is_sealed(folder):
        return (sealing.SEALED, sealing.CONFIG)
    return (REMOTE,) if is_remote(folder) else WEIGHTS


def key_of(space: Space) -> Key | None:
    """The key that the space's weights are sealed with; None without. Raises InvalidInput, as `sealing.key_of`."""
    return sealing.key_of(space.settings, space.folder.parent.parent)


def check_key(space: Space) -> None:
    """Raise InvalidInput or SealBroken when sealed weights are there that the settings' key does not open."""
    key = key_of(space)
    for folder in _kept_folders(space):
        if sealing.is_sealed(folder):
            sealing.opened(folder, space.settings, key)


def _kept_folders(space: Space) -> list[Path]:
    home = adapters_folder(space)
    return sorted(path for path in home.iterdir() if _SHA256.fullmatch(path.name)) if home.is_dir() else []


def check_config(file: Path) -> None:
    """Raise TrainerFailed when an adapter's configuration is no JSON object, or is not of a kind that is taken in."""
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise TrainerFailed(f"{file} is no JSON object")
    for name, allowed in _UNTOUCHED.items():
        if config.get(name) not in allowed:
            raise TrainerFailed(f"{file}: {name} is {config.get(name)!r}; taken in are {allowed}")
    for name in _EMPTY:
        if config.get(name):
            raise TrainerFailed(f"{file}: {name} is set; an adapter must leave the model's own weights as they are")


def keep(space: Space, built: Path, about: Mapping[str, Any]) -> tuple[str, Path]:
    """Copy a trained adapter into the registry, with `about` as its manifest; its hash and a folder to read it from.

    Durable and complete when it returns, sealed if there is a key; until a row names it, it is only a folder. Raises
    TrainerFailed when it is no adapter, would touch the model's own weights, or holds files that are neither
    safetensors nor text.
    """
    strange = sorted(str(f.relative_to(built)) for f in built.rglob("*") if f.is_file() and f.suffix not in _TAKEN)
    if strange:
        raise TrainerFailed(f"the trainer left files that are not taken in: {', '.join(strange)}")
    sha = hash_adapter(built)
    if not is_remote(built):
        check_config(built / "adapter_config.json")
    home = adapters_folder(space)
    target, key = home / sha, None if is_remote(built) else key_of(space)
    if _identity(target) == sha and sealing.is_sealed(target) == (key is not None):  # it may be answering: it stays
        told = {"sealed": [sealing.digest(target)]} if key else {}
        whole_file(target / "manifest.json", _as_text({**about, **told}))
        return sha, _readable(space, target)
    fresh = home / f".new-{sha}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    told = {"sealed": [sealing.seal(built / WEIGHTS[0], fresh / sealing.SEALED, key)]} if key else {}
    for name in WEIGHTS[1:] if key else _parts(built):
        shutil.copyfile(built / name, fresh / name)
    (fresh / "manifest.json").write_text(_as_text({**about, **told}), "utf-8")
    for file in fresh.iterdir():
        sync(file)
    sync(fresh)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(fresh, target)
    sync(home)
    return sha, _readable(space, target)


def _as_text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=2, sort_keys=True, default=str)


def rekey(space: Space, new: Key) -> list[str]:
    """Seal every adapter's weights with `new`, those in plain as well; the settings' key opens what is sealed now.

    The hashes of those sealed. A killed run is repeated and goes on. Raises InvalidInput and SealBroken as
    `sealing.unseal`, StoreBusy while a distillation runs.
    """
    sealing.outside(new, space.folder.parent.parent)
    done = []
    with space.ledger.lock(LOCK):
        old = key_of(space)
        for folder in _kept_folders(space):
            if not is_remote(folder):
                sealing.reseal(folder, space.settings, old, new)
                done.append(folder.name)
    return done


def folder_of(space: Space, adapter: Adapter) -> Path:
    """The folder to read an adapter from, decrypted in memory if it is sealed.

    Raises NotFound as `place_of`, InvalidInput without the key, SealBroken when it is another or a file was altered.
    """
    return _readable(space, place_of(space, adapter))


def _readable(space: Space, folder: Path) -> Path:
    if not sealing.is_sealed(folder):
        return folder
    plain = sealing.opened(folder, space.settings, key_of(space))
    if _stamped(plain) != folder.name:
        raise SealBroken(f"what is sealed in {folder} is not what its name says; run distill again")
    return plain


def place_of(space: Space, adapter: Adapter) -> Path:
    """Where an adapter lies. Raises NotFound when its files are gone, or its hash is none, as in a forged row."""
    if not _SHA256.fullmatch(adapter.sha256):
        raise NotFound(f"adapter {adapter.id} names no files: {adapter.sha256!r} is no SHA-256")
    folder = adapters_folder(space) / adapter.sha256
    if not all((folder / name).is_file() for name in _parts(folder)):
        raise NotFound(f"the files of adapter {adapter.id} are gone; run distill again")
    return folder


def is_whole(space: Space, adapter: Adapter) -> bool:
    """Whether the adapter's files are there and are what its id says. They are read again only when they changed."""
    if not _SHA256.fullmatch(adapter.sha256):
        return False
    return _stamped(adapters_folder(space) / adapter.sha256) == adapter.sha256


def _stamped(folder: Path) -> str:
    """`_identity`, read again only when a file changed."""
    try:
        found = [(folder / name).stat() for name in _parts(folder)]
    except OSError:
        return ""
    return _hash_of(folder, tuple((f.st_mtime_ns, f.st_size, f.st_ino) for f in found))


@lru_cache(maxsize=256)
def _hash_of(folder: Path, stamps: tuple[tuple[int, int, int], ...]) -> str:
    return _identity(folder)


def _identity(folder: Path) -> str:
    """`hash_adapter`, or of a sealed one its name while it is what was sealed under it; "" when it is no adapter."""
    if sealing.is_sealed(folder):
        return folder.name if sealing.is_as_sealed(folder) else ""
    try:
        return hash_adapter(folder)
    except TrainerFailed:
        return ""


def altered(folder: Path) -> bool:
    """Whether the adapter in a folder of the registry is not what the folder's name says; needs no key."""
    return _identity(folder) != folder.name


def manifest(space: Space, adapter: Adapter) -> dict[str, Any]:
    """What an adapter was made of and with. Raises NotFound when its files are gone."""
    made_with: dict[str, Any] = json.loads((place_of(space, adapter) / "manifest.json").read_text("utf-8"))
    return made_with


def verify(space: Space, adapter: Adapter) -> bool:
    """Whether the adapter's files are still what its id says."""
    return not altered(place_of(space, adapter))


def with_state(reader: Reader, *states: str) -> list[Adapter]:
    """The adapters in any of these states, oldest first."""
    return reader.select(Adapter, Query(where={"state": list(states)}))


def fallen(reader: Reader, adapter: Adapter) -> list[str]:
    """Ids of the facts it was taught that no longer stand as they were taught."""
    versions = {}
    for taught in adapter.facts:
        fact_id, _, version = taught.rpartition("@")
        versions[fact_id] = int(version)
    if not versions:
        return []
    rows = reader.select(Fact, Query(ids=sorted(versions)))
    taught_as = {fact.id: (fact.status, content(fact)) for fact in rows if fact.version == versions[fact.id]}
    standing = {fact.id: (fact.status, content(fact)) for fact in rows if fact.retired_at is None}
    return [id for id in versions if id not in standing or standing[id] != taught_as.get(id)]


def promote(tx: Transaction, serving: Sequence[Adapter], taught_now: Collection[str]) -> None:
    """Within a transaction: let `serving` answer, and set back the adapters they stand in for.

    Another promoted adapter is set back when each entity it knows is either known to one of
    `serving` or no longer to be taught (`taught_now`: entity ids of all shards); so one shard's
    failure never silences what an older adapter still answers rightly.
    """
    covered = {entity for adapter in serving for entity in adapter.entities}
    promoted = {adapter.id: adapter for adapter in with_state(tx, "promoted")}
    for old in promoted.values():
        if any(adapter.id == old.id for adapter in serving):
            continue
        if all(entity in covered or entity not in taught_now for entity in old.entities):
            tx.put(old.model_copy(update={"state": "previous"}))
    fresh = [a.model_copy(update={"state": "promoted", "reasons": ()}) for a in serving if a.id not in promoted]
    if fresh:
        tx.put(*fresh)
        tx.audit("promote", [adapter.id for adapter in fresh])


def rollback(space: Space) -> list[Adapter]:
    """Let the newest `previous` adapter of each shard answer again in place of the promoted one.

    Those whose facts have fallen are passed over. Raises NotFound when there is none to go back to,
    StoreBusy while a distillation runs.
    """
    with space.ledger.lock(LOCK), space.ledger.transaction() as tx:
        newest: dict[str, Adapter] = {}
        for adapter in with_state(tx, "previous"):
            if not fallen(tx, adapter):
                newest[adapter.shard] = adapter
        back = [adapter for adapter in newest.values() if (adapters_folder(space) / adapter.sha256).is_dir()]
        if not back:
            raise NotFound("no previous adapter whose facts all stand; nothing to roll back to")
        returning = {entity for adapter in back for entity in adapter.entities}
        for current in with_state(tx, "promoted"):
            if returning & set(current.entities):
                tx.put(current.model_copy(update={"state": "previous"}))
        restored = [adapter.model_copy(update={"state": "promoted"}) for adapter in back]
        tx.put(*restored)
        tx.audit("rollback", [adapter.id for adapter in restored])
    return restored


def prune(space: Space, keep_previous: int = 1) -> list[str]:
    """Delete adapters that can answer no more: refused, off, and all but the newest `keep_previous` of each shard.

    The ids that went. Raises StoreBusy while a distillation runs.
    """
    if keep_previous < 0:
        raise DistillationError("keep_previous cannot be negative")
    with space.ledger.lock(LOCK):
        gone = [adapter.id for adapter in with_state(space.ledger, "refused", "off", "candidate")]
        by_shard: dict[str, list[Adapter]] = {}
        for adapter in with_state(space.ledger, "previous"):
            by_shard.setdefault(adapter.shard, []).append(adapter)
        for adapters in by_shard.values():
            gone += [adapter.id for adapter in adapters[: len(adapters) - keep_previous]]
        if gone:
            with space.ledger.transaction() as tx:
                tx.delete(Adapter, gone)
                tx.audit("prune", gone)
        tidy(space)
    return gone


def sweep(space: Space) -> bool:
    """Delete the files of adapters that are off or unknown, and what killed runs left; whether that was done.

    To be called after a forgetting: weights and training rows hold what was forgotten. While a
    distillation runs it does nothing; that run finds its facts fallen and sweeps at its end.
    """
    try:
        with space.ledger.lock(LOCK):
            tidy(space)
            clear_jobs(space)
    except StoreBusy:
        return False
    return True


def clear_jobs(space: Space, but: Iterable[str] = ()) -> None:
    """Delete the job folders except the named ones. The caller holds the lock."""
    _clear(jobs_folder(space), set(but))


def tidy(space: Space) -> None:
    """Delete the adapter folders that no standing row names. The caller holds the lock."""
    kept = {
        adapter.sha256
        for adapter in with_state(space.ledger, "promoted", "previous", "refused")
        if adapter.state == "promoted" or not fallen(space.ledger, adapter)
    }
    for sha in _clear(adapters_folder(space), kept):
        sealing.close(sha, space.settings)


def _clear(folder: Path, kept: set[str]) -> list[str]:
    """Delete what is not kept; the names that went.

    A model elsewhere that cannot be deleted there now keeps its folder until it can.
    """
    gone = []
    for child in folder.iterdir() if folder.is_dir() else ():
        if child.name not in kept and (not is_remote(child) or delete(child)):
            shutil.rmtree(child)
            gone.append(child.name)
    return gone


def write_scorecard(folder: Path, card: Mapping[str, Any]) -> None:
    """Put scorecard.json into an adapter's folder."""
    (folder / "scorecard.json").write_text(json.dumps(card, indent=2, sort_keys=True), "utf-8")
