"""What models are told, a file each."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def prompt_text(name: str) -> str:
    """The prompt in the file `name` of this folder, as it stands there."""
    return resources.files(__package__).joinpath(name).read_text("utf-8")
