"""No pickle is ever loaded: one that would leave a mark is planted wherever weights and files come in."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from students import random_adapter, tiny_student

from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.errors import ModelError, NotFound, TrainerFailed
from memory_agent.models.embedders import LocalEmbeddings, find_embedder
from memory_agent.models.local import LocalModel
from memory_agent.models.reranker import CrossEncoderReranker
from memory_agent.records import Adapter


class _Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it-went-off"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


def plant(file: Path, mark: Path) -> None:
    file.write_bytes(pickle.dumps(_Bomb(mark)))


def test_the_bomb_goes_off_when_it_is_loaded(tmp_path: Path, mark: Path) -> None:
    plant(tmp_path / "x", mark)
    pickle.loads((tmp_path / "x").read_bytes())
    assert mark.is_dir()


@pytest.mark.parametrize("beside", [True, False])
def test_a_student_is_never_read_from_a_pickle(tmp_path: Path, student: Path, mark: Path, beside: bool) -> None:
    folder = tmp_path / "student"
    shutil.copytree(student, folder)
    plant(folder / "pytorch_model.bin", mark)
    if beside:
        LocalModel.load(Settings(student=str(folder))).generate(["Hello"], max_new_tokens=1)
    else:
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelError, match="safetensors"):
            LocalModel.load(Settings(student=str(folder))).generate(["Hello"], max_new_tokens=1)
    assert not mark.exists()


@pytest.mark.parametrize("beside", [True, False])
def test_an_adapter_is_never_read_from_a_pickle(tmp_path: Path, student: Path, mark: Path, beside: bool) -> None:
    folder = random_adapter(student, tmp_path / "adapter")
    plant(folder / "adapter_model.bin", mark)
    model = LocalModel.load(Settings(student=str(student)))
    if beside:
        model.generate(["Hello"], adapter=folder, max_new_tokens=1)
    else:
        (folder / "adapter_model.safetensors").unlink()
        with pytest.raises(ModelError, match="safetensors"):
            model.generate(["Hello"], adapter=folder, max_new_tokens=1)
    assert not mark.exists()


def test_a_trainer_that_leaves_a_pickle_gives_no_adapter(tmp_path: Path, space: Any, student: Path, mark: Path) -> None:
    built = random_adapter(student, tmp_path / "adapter")
    plant(built / "optimizer.pt", mark)
    with pytest.raises(TrainerFailed, match=r"optimizer\.pt"):
        registry.keep(space, built, {})
    assert not mark.exists()


def test_an_embedder_of_pickles_is_refused(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "embedder"
    shutil.copytree(find_embedder(Settings()), folder)
    (folder / "model.safetensors").unlink()
    plant(folder / "pytorch_model.bin", mark)
    with pytest.raises(ModelError, match="pickle"):
        LocalEmbeddings(Settings(embedder=str(folder))).embed_query("Hello")
    with pytest.raises(ModelError, match="pickle"):
        CrossEncoderReranker(str(folder)).prepare()
    assert not mark.exists()


def test_an_embedder_that_brings_code_is_refused(tmp_path: Path, mark: Path) -> None:
    folder = tmp_path / "embedder"
    shutil.copytree(find_embedder(Settings()), folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "own.Module"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(mark)!r})\nclass Module: pass\n")
    with pytest.raises(ModelError, match=r"own\.Module"):
        LocalEmbeddings(Settings(embedder=str(folder))).embed_query("Hello")
    assert not mark.exists()


@pytest.mark.parametrize("sha", ["../../../../etc", "/etc", "", "a" * 63, "A" * 64, "..", "x/../" + "a" * 60])
def test_an_adapters_row_leads_to_no_file_elsewhere(space: Any, sha: str) -> None:
    now = space.clock.now()
    forged = Adapter(id="x", shard="s", state="promoted", base="b", facts=(), sha256=sha, created_at=now)
    assert not registry.is_whole(space, forged)
    with pytest.raises(NotFound):
        registry.folder_of(space, forged)


def test_weights_that_were_tampered_with_do_not_answer(tmp_path: Path, space: Any, student: Path) -> None:
    sha, folder = registry.keep(space, random_adapter(student, tmp_path / "adapter"), {})
    adapter = Adapter(id=sha, shard="s", state="promoted", base="b", facts=(), sha256=sha, created_at=space.clock.now())
    assert registry.is_whole(space, adapter)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert not registry.is_whole(space, adapter)
