"""A folder is there whole or as it was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.folders import whole
from memory_agent.testing import HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor


def test_it_replaces_what_was_there_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    for text in ("one", "two"):
        with whole(folder) as partial:
            (partial / text).write_text(text)
            assert not (folder / text).exists()
    assert [path.name for path in folder.iterdir()] == ["two"]
    assert list(folder.parent.iterdir()) == [folder]


def test_after_an_error_it_is_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with whole(folder) as partial:
        (partial / "a").write_text("a")

    def fails() -> None:
        with whole(folder) as partial:
            (partial / "b").write_text("b")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_killed_process_left_goes_and_another_folders_stays(tmp_path: Path) -> None:
    for name in (".out-dead", ".out.pass-alive"):
        (tmp_path / name).mkdir()
    with whole(tmp_path / "out"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.pass-alive", "out"]


def test_a_name_too_long_for_a_file_has_a_folder_of_its_own_all_the_same(tmp_path: Path) -> None:
    users = ["名" * 200, "名" * 199 + "字", "名" * 20]
    for user in users:
        with Memory.open(tmp_path / "store", user=user, embedder=HashEmbedder(8)) as memory:
            memory.add([{"role": "user", "content": f"I live in Porto, says {user[-1]}{len(user)}.", "id": "one"}])
            memory.consolidate(extractor=MarkedExtractor())
            memory.forget("one", reason="asked for")
    folders = {path.name for path in (tmp_path / "store" / "spaces").iterdir()}
    assert len(folders) == 3
    assert max(map(len, folders)) <= 255
