"""Weights encrypted at rest: sealed in the registry, decrypted only into a folder in memory while they are used.

    <space folder>/adapters/<sha256>/    adapter_model.sealed in place of adapter_model.safetensors; no scorecard.json

With a key in the settings (`adapter_key`, `adapter_key_file`) weights are kept so; what was kept before stays as it is
until `rekey`. The manifest tells the SHA-256 of the sealed file, so without the key it can be told whether an adapter
is whole, switched off and deleted. Whoever answers from it, measures or exports it needs the key: a copy is made in a
file system that lies in memory, in a folder of this process alone, and goes with the process; the copies of processes
that were killed go when the next one makes its own.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_agent.config import Settings
from memory_agent.encryption import Key, Sealer, Unsealer
from memory_agent.errors import InvalidInput, SealBroken, StoreUnwritable
from memory_agent.folders import sync, whole_file

WEIGHTS, CONFIG, SEALED = "adapter_model.safetensors", "adapter_config.json", "adapter_model.sealed"
_PIECE = 1 << 20
_OF_A_PROCESS = re.compile(r"(\d+)-.+")

_guard = threading.Lock()
_homes: dict[int, Path] = {}
"""Process -> the folder of its decrypted copies; a forked child has none of its own yet."""
_copied: dict[Path, tuple[int, int, int]] = {}
"""Decrypted copy -> what its sealed file was when it was made."""


def key_of(settings: Settings, store: Path) -> Key | None:
    """The key that weights are sealed with; None when none is set.

    Raises InvalidInput when it cannot be read, would be too easily guessed, or lies in the `store` that it protects.
    """
    if settings.adapter_key_file:
        key = Key.from_file(Path(settings.adapter_key_file).expanduser())
        outside(key, store)
        return key
    secret = settings.adapter_key.get_secret_value()
    return Key.of(secret) if secret else None


def outside(key: Key, store: Path) -> None:
    """Raise InvalidInput when the key's file lies in the store that it protects."""
    if key.path is not None and key.path.resolve().is_relative_to(store.resolve()):
        raise InvalidInput(f"the key {key.path} lies in the store whose weights it encrypts: keep it elsewhere")


def is_sealed(folder: Path) -> bool:
    """Whether an adapter's weights are encrypted."""
    return (folder / SEALED).is_file()


def seal(weights: Path, target: Path, key: Key) -> str:
    """Write `weights` encrypted to `target`, on disk when it returns; the SHA-256 of what was written."""
    with weights.open("rb") as plain, target.open("wb") as file:
        with Sealer(file, key) as sealed:
            while piece := plain.read(_PIECE):
                sealed.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return _sha256(target)


def digest(folder: Path) -> str:
    """SHA-256 of an adapter's sealed weights."""
    return _sha256(folder / SEALED)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_as_sealed(folder: Path) -> bool:
    """Whether the sealed weights are those that the manifest tells of; needs no key."""
    try:
        told = json.loads((folder / "manifest.json").read_text("utf-8"))
        return digest(folder) in told["sealed"] and (folder / CONFIG).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def unseal(folder: Path, weights: Path, key: Key | None) -> None:
    """Decrypt an adapter's weights into the file `weights`. Raises InvalidInput without a key, SealBroken."""
    if key is None:
        raise _locked(folder)
    with (folder / SEALED).open("rb") as file, weights.open("wb") as plain:
        stream = Unsealer(file, key)
        while piece := stream.read(_PIECE):
            plain.write(piece)


def _locked(folder: Path) -> InvalidInput:
    return InvalidInput(
        f"the adapter in {folder} is encrypted: give its key (MEMORY_AGENT_ADAPTER_KEY_FILE, MEMORY_AGENT_ADAPTER_KEY)"
    )


def opened(folder: Path, settings: Settings, key: Key | None) -> Path:
    """A folder in memory with the adapter in plain, made once a process.

    Raises InvalidInput without a key, or where no folder lies in memory; SealBroken for another key or an altered file.
    """
    if key is None:
        raise _locked(folder)
    with _guard:
        target = _home(settings) / folder.name
        about = (folder / SEALED).stat()
        stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
        if target.is_dir() and _copied.get(target) == stamp:
            return target
        shutil.rmtree(target, ignore_errors=True)
        partial = target.with_name(f".{target.name}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        try:
            unseal(folder, partial / WEIGHTS, key)
            for name in (CONFIG, "manifest.json"):
                shutil.copyfile(folder / name, partial / name)
            partial.rename(target)
            _copied[target] = stamp
        except OSError as error:
            raise StoreUnwritable(f"{partial} cannot hold the decrypted adapter: {error.strerror or error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target


def close(sha: str, settings: Settings) -> None:
    """Remove the decrypted copies that any process of this user has of an adapter that is deleted."""
    root = _root(settings)
    if root is not None and root.is_dir():
        for copy in root.glob(f"*/{sha}"):
            shutil.rmtree(copy, ignore_errors=True)


def reseal(folder: Path, settings: Settings, old: Key | None, new: Key) -> None:
    """Seal the adapter in `folder` with `new` in place of `old`, or of lying in plain.

    At every instant the weights are there and are what the manifest tells. What a run that was killed has sealed with
    `new` already is taken as such, and what it had only begun is removed. Raises as `unseal`.
    """
    fresh = folder / f".{SEALED}"
    with tempfile.TemporaryDirectory(dir=_home(settings)) as there:
        plain = folder / WEIGHTS
        if is_sealed(folder):
            plain = Path(there) / WEIGHTS
            try:
                unseal(folder, plain, new)
            except SealBroken:
                unseal(folder, plain, old)
        sealed = seal(plain, fresh, new)
    told = json.loads((folder / "manifest.json").read_text("utf-8"))
    _tell(folder, {**told, "sealed": [*told.get("sealed", ()), sealed]})
    os.replace(fresh, folder / SEALED)
    sync(folder)
    for old_file in (folder / WEIGHTS, folder / "scorecard.json", *folder.glob(".*")):
        old_file.unlink(missing_ok=True)
    _tell(folder, {**told, "sealed": [sealed]})


def _tell(folder: Path, manifest: Mapping[str, Any]) -> None:
    whole_file(folder / "manifest.json", json.dumps(manifest, indent=2, sort_keys=True))


def _root(settings: Settings) -> Path | None:
    """Where all copies of this user's processes lie; None where no folder lies in memory."""
    base = settings.memory_folder()
    return None if base is None else base / f"memory-agent-{os.getuid() if hasattr(os, 'getuid') else 'user'}"


def _home(settings: Settings) -> Path:
    """The folder of this process, which nobody else may read; what killed processes left is removed."""
    root = _root(settings)
    if root is None:
        raise InvalidInput(
            "encrypted adapters are decrypted into memory only, and no file system here lies in it: name a folder on a "
            "RAM disk (MEMORY_AGENT_PRIVATE_FOLDER)"
        )
    known = _homes.get(os.getpid())
    if known is not None and known.parent == root and known.is_dir():
        return known
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        about = root.lstat()
        ours = not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not stat.S_IMODE(about.st_mode) & 0o077)
        if not stat.S_ISDIR(about.st_mode) or not ours:
            raise InvalidInput(f"{root} is not this user's alone; remove it")
        for left in root.iterdir():
            if (of := _OF_A_PROCESS.fullmatch(left.name)) and not _lives(int(of[1])):
                shutil.rmtree(left, ignore_errors=True)
        home = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    except OSError as error:
        raise StoreUnwritable(f"nothing can be decrypted into {root}: {error.strerror or error}") from error
    _homes[os.getpid()] = home
    atexit.register(_leave, home, os.getpid())
    return home


def _leave(home: Path, process: int) -> None:
    """Remove the folder as its process ends; a forked child leaves it to its parent."""
    if os.getpid() == process:
        shutil.rmtree(home, ignore_errors=True)


def _lives(process: int) -> bool:
    if os.name != "posix":  # elsewhere a signal of 0 is one
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
