"""Verbs of trust, each through the whole command."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memory_agent import Memory
from memory_agent.cli import exits
from memory_agent.testing.extractor import MarkedExtractor

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(tmp_path: Path, command: Run) -> Run:
    """The command on a small store in which Mallory speaks, too; (exit code, what it wrote as JSON)."""
    with Memory.open(tmp_path / "a", user="bo") as memory:
        said = {"bo": "{Ana Abel | lives_in | Rome}", "Mallory": "{Ana Abel | likes | chess} {Ana Abel | likes | tea}"}
        memory.add([{"role": "user", "speaker": by, "content": text} for by, text in said.items()], session="s")
        memory.consolidate(extractor=MarkedExtractor())

    return partial(command, tmp_path / "a")


def test_what_waits_is_listed_approved_and_rejected(run: Run) -> None:
    _, found = run("review", "list", "--source", "mallory")
    assert sorted(each["fact"]["object"] for each in found) == ["chess", "tea"]
    assert {(each["reason"], *each["sources"]) for each in found} == {("untrusted", "mallory")}
    chess, tea = sorted(found, key=lambda each: each["fact"]["object"])
    assert run("review", "approve", chess["fact"]["id"])[0] == exits.DONE
    assert [each["fact"]["object"] for each in run("review", "list")[1]] == ["tea"]
    assert run("review", "reject", "--source", "Mallory")[0] == exits.DONE
    assert run("review", "list") == (exits.DONE, [])
    assert run("review", "reject", tea["fact"]["id"])[0] == exits.NOT_FOUND
    assert run("review", "approve")[0] == exits.USAGE


def test_the_audit_chain_is_verified_and_the_first_broken_link_named(run: Run, tmp_path: Path) -> None:
    _, listed = run("audit", "list")
    code, found = run("audit", "verify")
    assert (code, found["whole"], found["entries"]) == (exits.DONE, True, len(listed))
    assert run("audit", "verify", "--head", found["head"])[0] == exits.DONE
    assert run("audit", "verify", "--head", "0" * 64)[0] == exits.FAILED
    with sqlite3.connect(tmp_path / "a" / "ledger.sqlite") as db:
        db.execute("UPDATE audit SET ids = '[]' WHERE n = 2")
    code, broken = run("audit", "verify")
    assert (code, broken["broken"]) == (exits.FAILED, 2)
    with sqlite3.connect(tmp_path / "a" / "ledger.sqlite") as db:
        db.execute("DELETE FROM audit WHERE n >= 2")
    code, cut = run("audit", "verify")
    assert (code, cut["whole"], cut["broken"]) == (exits.FAILED, False, 2)
