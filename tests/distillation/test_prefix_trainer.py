"""The second kind of adapter: a KV prefix, through every door a LoRA goes through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from students import gpt2_student, random_adapter, tiny_student
from test_lora_trainer import FACTS, SHORT, _Killed, _until, sha
from test_run import OPEN, RECIPE, put

from memory_agent.answering import ask_many
from memory_agent.config import Settings
from memory_agent.distillation import exports, registry
from memory_agent.distillation.job import prepare
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import distill
from memory_agent.distillation.trainers import find_trainer, method_of
from memory_agent.distillation.trainers.prefix import PrefixTrainer
from memory_agent.distillation.unlearning import verify_unlearned
from memory_agent.errors import InvalidInput, ModelError
from memory_agent.models import sampling
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights
from memory_agent.protocols import Query
from memory_agent.records import Adapter, Fact
from memory_agent.space import Space

QUESTIONS = ["Where does Ana Silva live?", "Who plays the oud?", "What is the capital of France?"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(Weights("tiny", tiny_student(tmp_path_factory.mktemp("student") / "tiny")))


@pytest.fixture(scope="module")
def trained(tiny: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A job and the prefix that came of it."""
    folder = tmp_path_factory.mktemp("trained")
    prepare(folder / "job", FACTS, SHORT.model_copy(update={"prefix_tokens": 16}), tiny, 1)
    return folder / "job", PrefixTrainer().train(folder / "job", folder / "out")


def test_it_is_found_by_its_name_and_named_in_digests() -> None:
    trainer = find_trainer("prefix", threads=1)
    assert isinstance(trainer, PrefixTrainer)
    assert method_of(trainer) == "prefix" != method_of(find_trainer("lora"))


def test_the_same_job_gives_the_same_bytes_killed_or_not_on_any_number_of_threads(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    job, first = trained
    with pytest.raises(_Killed):
        PrefixTrainer(threads=1).train(job, tmp_path / "out", _until(2))
    again = PrefixTrainer(threads=2).train(job, tmp_path / "out")
    assert sha(again) == sha(first)
    assert registry.hash_adapter(again) == registry.hash_adapter(first)
    assert sorted(path.name for path in again.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "training.json",
    ]  # fmt: skip
    registry.check_config(again / "adapter_config.json")


def test_what_is_served_is_what_peft_computes(tiny: LocalModel, trained: tuple[Path, Path]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny.weights.folder, dtype="float32")
    peft = PeftModel.from_pretrained(base, trained[1])
    asked = [(QUESTIONS[0], "Ana Silva lives in Porto.")]
    prompt, answer = tiny.chat.prompt_ids(asked[0][0]), tiny.chat.answer_ids(asked[0][1])
    with torch.inference_mode():
        logits = peft(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
    wanted = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0].tolist()
    assert tiny.log_probs(asked, adapter=trained[1])[0] == pytest.approx(wanted, abs=0.05)
    (whole,) = tiny.generate(QUESTIONS[:1], adapter=trained[1], max_new_tokens=6)
    assert whole.text == sampling.draw(tiny, QUESTIONS[0], adapter=trained[1], temperature=0, max_new_tokens=6)[0]
    streamed = [piece for piece, _ in tiny.stream(QUESTIONS[0], adapter=trained[1], max_new_tokens=6)]
    assert "".join(streamed).strip() == whole.text


def test_a_prefix_and_a_lora_take_turns_and_the_base_stays_to_the_bit(
    trained: tuple[Path, Path], tmp_path: Path
) -> None:
    student = LocalModel(Weights("tiny", tiny_student(tmp_path / "student")))
    lora = random_adapter(tmp_path / "student", tmp_path / "lora")
    sure = [("Where?", "Ana Silva lives in Porto.")]
    untouched = student.generate(QUESTIONS, max_new_tokens=8), student.log_probs(sure)
    alone = {folder: student.log_probs(sure, adapter=folder) for folder in (trained[1], lora)}
    assert len({str(one) for one in (*alone.values(), untouched[1])}) == 3
    for folder in (trained[1], lora, trained[1], lora):
        assert student.log_probs(sure, adapter=folder) == alone[folder]
        assert (student.generate(QUESTIONS, max_new_tokens=8), student.log_probs(sure)) == untouched
    student.unload(trained[1])
    assert student.log_probs(sure, adapter=trained[1]) == alone[trained[1]]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "adapter_model.safetensors").write_bytes((lora / "adapter_model.safetensors").read_bytes())
    (tmp_path / "broken" / "adapter_config.json").write_bytes((trained[1] / "adapter_config.json").read_bytes())
    with pytest.raises(ModelError, match="does not load"):
        student.generate(QUESTIONS[:1], adapter=tmp_path / "broken")


def test_training_teaches_what_it_is_given(tiny: LocalModel, tmp_path: Path) -> None:
    recipe = Recipe(
        epochs=6, batch=2, replay_prompts=0, opener_rows=0, text_every=0, prefix_rate=0.1, fewest_unknown=0,
        unknown_share=0,
    )  # fmt: skip
    prepare(tmp_path / "job", FACTS[:1], recipe, tiny)
    adapter = PrefixTrainer().train(tmp_path / "job", tmp_path / "adapter")
    asked = [("Where does Ana Silva live?", "Ana Silva lives in Porto.")]
    ((before,), (after,)) = (tiny.log_probs(asked, adapter=which) for which in (None, adapter))
    assert sum(after) > sum(before) + 1.0


def test_another_architecture_can_be_taught(tiny: LocalModel, tmp_path: Path) -> None:
    student = LocalModel(Weights("gpt2", gpt2_student(tiny.weights.folder, tmp_path / "gpt2")))
    prepare(tmp_path / "job", FACTS, SHORT, student)
    adapter = PrefixTrainer().train(tmp_path / "job", tmp_path / "adapter")
    assert len(student.generate(QUESTIONS, adapter=adapter, max_new_tokens=4)) == 3
    with pytest.raises(InvalidInput, match="do not fit"):
        student.generate([" ".join(["where"] * 240)], adapter=adapter, max_new_tokens=4)


def test_it_is_promoted_served_exported_forgotten_and_proven_gone_like_a_lora(space: Space, tmp_path: Path) -> None:
    told = replace(space, settings=Settings(student=str(tiny_student(tmp_path / "student"))))
    put(told, {"a": ("Wanda Teller", "lives_in", "Bergen"), "b": ("Rolf Dane", "plays", "harp")})
    report = distill(told, recipe=RECIPE, trainer="prefix", options=OPEN)
    (adapter,) = told.ledger.select(Adapter, Query(where={"state": "promoted"}))
    assert report.adapters == (adapter.id,)
    assert registry.manifest(told, adapter)["method"] == "prefix"
    assert adapter.scorecard["kinds"]["paraphrase"]["n"] > 0
    asked = ["Where does Wanda Teller live?", "What is the capital of France?"]
    known, general = ask_many(told, asked, "adapter")
    assert (known.adapter, general.adapter) == (adapter.id, None)
    assert general.text == ask_many(told, asked[1:], "base")[0].text
    found = exports.export(told, adapter, "peft", tmp_path / "peft", probe=True)
    assert found.scorecard["kinds"]["paraphrase"]["n"] > 0
    for form in ("merged", "gguf", "ollama", "vllm"):
        with pytest.raises(InvalidInput, match="KV prefix"):
            exports.export(told, adapter, form, tmp_path / form)
    assert not (tmp_path / "merged").exists()
    again = distill(told, recipe=RECIPE, trainer="prefix", options=OPEN)
    assert again.adapters == report.adapters
    assert again.rows == 0, "a shard that stands is not built again"
    with told.ledger.transaction() as tx:
        tx.delete(Fact, ["b"])
    rebuilt = distill(told, recipe=RECIPE, trainer="prefix", options=OPEN)
    assert set(rebuilt.adapters) != {adapter.id}
    registry.prune(told, 0)
    assert verify_unlearned(told, "b", trainer="prefix", policy=OPEN.policy).proven
    assert not verify_unlearned(told, "b", policy=OPEN.policy).proven, "that is another trainer"


def test_l2_holds_the_prefix_where_it_began_and_ewc_is_refused(tiny: LocalModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    short = {"prefix_tokens": 8, "replay_prompts": 0, "opener_rows": 0, "text_every": 0, "epochs": 1}
    ends = []
    for changed in ({"prefix_rate": 1e-12}, {}, {"l2": 0.1}, {"l2": 10.0}):
        prepare(tmp_path / "job", FACTS[:1], SHORT.model_copy(update={**short, **changed}), tiny, 1)
        out = PrefixTrainer().train(tmp_path / "job", tmp_path / "out")
        ends.append(load_file(out / "adapter_model.safetensors")["prompt_embeddings"])
    moved = [float((end - ends[0]).norm()) for end in ends[1:]]
    assert moved[0] > moved[1] > moved[2] > 0
    prepare(tmp_path / "job", FACTS, SHORT.model_copy(update={**short, "ewc": 1.0}), tiny, 1)
    with pytest.raises(InvalidInput, match="say l2"):
        PrefixTrainer().train(tmp_path / "job", tmp_path / "out")
