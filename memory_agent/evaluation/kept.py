"""A folder that a long measurement is kept in: it goes on only as what it was begun as."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from memory_agent.errors import InvalidInput
from memory_agent.folders import whole_file

_NOTE = "run.json"


def claim(folder: Path, **called: Any) -> None:
    """Note in the folder, made if need be, what it is used for; `called` must go into JSON.

    Raises InvalidInput, naming what differs, when another run has noted itself there.
    """
    digests = {
        name: hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
        for name, given in sorted(called.items())
    }
    note = folder / _NOTE
    before: Mapping[str, str] = json.loads(note.read_text("utf-8")) if note.exists() else digests
    if differing := sorted(name for name in before.keys() | digests if before.get(name) != digests.get(name)):
        raise InvalidInput(
            f"{folder} holds a run that differs in {', '.join(differing)}; name another folder, or call it as it was"
        )
    whole_file(note, json.dumps(digests))
