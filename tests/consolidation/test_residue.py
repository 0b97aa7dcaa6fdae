"""The search for residue finds any piece at any offset, in each way of writing it, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_agent.consolidation import residue
from memory_agent.consolidation.residue import pieces_of, search


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.text(min_size=12, max_size=24).filter(str.strip),
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.sampled_from(["utf-8", "json", "utf-16-le"]),
    st.sampled_from([16, 1 << 24]),
)
def test_a_piece_is_found_wherever_it_stands(
    tmp_path: Path, piece: str, before: bytes, after: bytes, form: str, window: int
) -> None:
    written = json.dumps(piece)[1:-1].encode() if form == "json" else piece.encode(form)
    (tmp_path / "file").write_bytes(before + written + after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residue, "_WINDOW", window)
        assert search(tmp_path, [piece]).hits == {piece: ("file",)}
        (tmp_path / "file").write_bytes(before.replace(written[:4], b"") + written[:-1])
        assert search(tmp_path, [piece + "\u1234!"]).hits == {}


def test_many_pieces_are_looked_for_at_once(tmp_path: Path) -> None:
    pieces = [f"this is the piece number {n:05d}" for n in range(3000)]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_text("x" * 100_003 + pieces[17] + "y" * 55 + pieces[2999])
    found = search(tmp_path, pieces)
    assert (found.files, set(found.hits), found.paths) == (1, {pieces[17], pieces[2999]}, ("deep/file",))


def test_what_is_kept_is_no_residue() -> None:
    assert pieces_of(["I like the red harbour best."], kept=["Bo said: I like the red harbour best."]) == []
    assert pieces_of(["too short"]) == []
    assert pieces_of(["a" * 24 + "b" * 24]) == ["a" * 24, "a" * 12 + "b" * 12, "b" * 24]
