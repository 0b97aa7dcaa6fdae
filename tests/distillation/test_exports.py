"""Adapters in other forms say what the adapter says: through transformers, PEFT and llama.cpp itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from students import random_adapter, tiny_student
from test_run import OPEN, RECIPE, put

from memory_agent.config import Settings
from memory_agent.distillation import exports, registry
from memory_agent.distillation.exports import answering, gguf
from memory_agent.distillation.run import distill
from memory_agent.errors import DistillationError, InvalidInput, ModelError
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights
from memory_agent.protocols import Query
from memory_agent.records import Adapter
from memory_agent.space import Space

QUESTIONS = [f"Where does {name} live?" for name in ("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalModel, Path]:
    """A student and a LoRA for it, strong enough that its answers are its own."""
    folder = tmp_path_factory.mktemp("made")
    student = tiny_student(folder / "student")
    # Logits far apart: rounding, which differs between the three, then decides nothing.
    weights = load_file(student / "model.safetensors")
    weights["model.embed_tokens.weight"] *= 60
    save_file(weights, student / "model.safetensors", metadata={"format": "pt"})
    return LocalModel(Weights("tiny", student)), random_adapter(student, folder / "adapter", strength=1.0)


@pytest.fixture
def space_with_adapter(space: Space, made: tuple[LocalModel, Path]) -> tuple[Space, Adapter]:
    """A space whose promoted adapter is that LoRA."""
    told = replace(space, settings=Settings(student=str(made[0].weights.folder)))
    put(told, {"a": ("Wanda Teller", "lives_in", "Bergen"), "c": ("Rolf Dane", "has_pet", "Tango")})

    def train(job: Path, out: Path, progress: object = None) -> Path:
        return made[1]

    distill(told, recipe=RECIPE, trainer=train, options=OPEN)
    (adapter,) = told.ledger.select(Adapter, Query(where={"state": "promoted"}))
    return told, adapter


def firsts(model: object, adapter: Path | None) -> list[tuple[str, float]]:
    said = model.generate(QUESTIONS, adapter=adapter, max_new_tokens=1)  # type: ignore[attr-defined]
    return [(one.text, one.min_probability) for one in said]


def alike(left: list[tuple[str, float]], right: list[tuple[str, float]], within: float) -> None:
    assert [text for text, _ in left] == [text for text, _ in right]
    assert [sure for _, sure in left] == pytest.approx([sure for _, sure in right], abs=within)


def test_llama_cpp_says_what_the_student_says(made: tuple[LocalModel, Path], tmp_path: Path) -> None:
    student, adapter = made
    gguf.write_model(student.weights.folder, tmp_path / "base.gguf", "f32")
    gguf.write_adapter(adapter, student.weights.folder, tmp_path / "lora.gguf")
    with answering.running(student, tmp_path / "base.gguf") as base:
        alike(firsts(base, tmp_path), firsts(student, None), 0.2)
    with answering.running(student, tmp_path / "base.gguf", tmp_path / "lora.gguf") as tuned:
        alike(firsts(tuned, tmp_path), firsts(student, adapter), 0.2)
        assert firsts(tuned, tmp_path) != firsts(student, None)
        drawn = tuned.sample(QUESTIONS[0], count=4, temperature=1.5, seed=3, max_new_tokens=6)
    assert len(set(drawn)) > 1
    with pytest.raises(ModelError, match="does not load"), answering.running(student, adapter / "adapter_config.json"):
        pass


def test_every_form_is_written_and_probed(
    space_with_adapter: tuple[Space, Adapter], made: tuple[LocalModel, Path], tmp_path: Path
) -> None:
    space, adapter = space_with_adapter
    student, source = made
    wanted = {
        "peft": {"adapter_config.json", "adapter_model.safetensors"},
        "merged": {"config.json", "model.safetensors", "tokenizer.json"},
        "gguf": {"model.gguf", "adapter.gguf"},
        "ollama": {"model.gguf", "Modelfile"},
        "vllm": {"memory-s/adapter_config.json", "memory-s/adapter_model.safetensors", "README.md"},
    }
    assert set(wanted) == set(exports.FORMS)
    for form, files in wanted.items():
        out, probe = tmp_path / form, form in ("merged", "gguf", "vllm")
        found = exports.export(space, adapter, form, out, quantization="f32", base_name="org/base", probe=probe)
        assert files <= set(found.files)
        if probe:
            assert found.scorecard["kinds"]["paraphrase"]["n"] > 0
            assert any("paraphrase" in reason for reason in found.objections), "random weights pass no gate"
            assert ("perplexity_ratio" in found.scorecard["measures"]) is (form != "gguf")
    alike(firsts(LocalModel(Weights("merged", tmp_path / "merged")), None), firsts(student, source), 0.2)
    with answering.running(student, tmp_path / "ollama" / "model.gguf") as model:
        alike(firsts(model, tmp_path), firsts(student, source), 0.2)
    assert "<|im_start|>user\n{{ .Prompt }}<|im_end|>" in (tmp_path / "ollama" / "Modelfile").read_text()
    config = json.loads((tmp_path / "vllm" / "memory-s" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["peft_type"]) == ("org/base", "LORA")


def test_what_cannot_be_exported(space_with_adapter: tuple[Space, Adapter], tmp_path: Path) -> None:
    space, adapter = space_with_adapter
    with pytest.raises(InvalidInput, match="say one of"):
        exports.export(space, adapter, "onnx", tmp_path / "out")
    with pytest.raises(InvalidInput, match="quantization"):
        exports.export(space, adapter, "gguf", tmp_path / "out", quantization="q1")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    with pytest.raises(InvalidInput, match="empty"):
        exports.export(space, adapter, "peft", tmp_path / "full")
    with pytest.raises(DistillationError, match="previous"):
        exports.export(space, adapter.model_copy(update={"state": "previous"}), "peft", tmp_path / "out")
    assert registry.verify(space, adapter)


@pytest.mark.parametrize("quantization", ["f16", "q8_0", "q4_0"])
def test_quantised_files_hold_what_they_say(made: tuple[LocalModel, Path], tmp_path: Path, quantization: str) -> None:
    import numpy as np
    from gguf import GGUFReader, dequantize
    from safetensors import safe_open

    student, _ = made
    gguf.write_model(student.weights.folder, tmp_path / "m.gguf", quantization)
    tensors = {tensor.name: tensor for tensor in GGUFReader(tmp_path / "m.gguf").tensors}
    read = dequantize(tensors["blk.0.ffn_up.weight"].data, tensors["blk.0.ffn_up.weight"].tensor_type)
    with safe_open(student.weights.folder / "model.safetensors", "np") as held:
        true = held.get_tensor("model.layers.0.mlp.up_proj.weight")
    loss = float(np.abs(read - true).max() / np.abs(true).max())
    assert loss <= {"f16": 1e-3, "q8_0": 1e-2, "q4_0": 0.12}[quantization]
    assert "output.weight" not in tensors, "the head is tied to the embeddings"
