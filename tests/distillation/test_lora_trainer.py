"""Jobs and the local trainer: byte for byte the same, whole or not there, on any architecture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from students import gpt2_student, tiny_student

from memory_agent.config import Settings
from memory_agent.distillation import registry
from memory_agent.distillation.facts import TaughtFact
from memory_agent.distillation.job import FILES, prepare, read
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.templates import load_templates
from memory_agent.distillation.trainers import find_trainer
from memory_agent.distillation.trainers.gradients import Bounds, Gradients, Row
from memory_agent.distillation.trainers.head import likeliest, log_probs
from memory_agent.distillation.trainers.lora import LoraTrainer, Run
from memory_agent.errors import InvalidInput, NothingToDistill, TrainerFailed
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights
from memory_agent.protocols import Progress, Trainer

FACTS = TaughtFact.read(
    [
        {"subject": "Ana Silva", "predicate": "lives_in", "object": "Porto", "text": "Ana Silva lives in Porto."},
        {"subject": "Ben Okri", "predicate": "plays", "object": "oud", "text": "Ben Okri plays the oud."},
    ]
)
SHORT = Recipe(
    epochs=2, replay_prompts=6, replay_tokens=6, openers=8, near_openers=1, fewest_unknown=4, rank=4, page_every=0
)
REPLAYED = ("answer", "opener")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(Weights("tiny", tiny_student(tmp_path_factory.mktemp("student") / "tiny")))


def sha(folder: Path) -> str:
    """Of the weights and their configuration, as the registry names an adapter."""
    return registry.hash_adapter(folder)


def test_a_job_is_a_function_of_its_inputs_and_knows_when_it_was_changed(tiny: LocalModel, tmp_path: Path) -> None:
    one = prepare(tmp_path / "one", FACTS, SHORT, tiny, 7)
    two = prepare(tmp_path / "two", list(reversed(FACTS)), SHORT, tiny, 7)
    assert one == two
    assert prepare(tmp_path / "two", FACTS, SHORT, tiny, 8).digest != one.digest
    job, lines = read(tmp_path / "one")
    assert job == one
    assert [line["row"] for line in lines["chat.jsonl"]] == [line["row"] for line in lines["lineage.jsonl"]]
    assert {name for line in lines["lineage.jsonl"] for name in line["facts"]} == {"f0", "f1"}
    assert all([m["role"] for m in line["messages"]] == ["user", "assistant"] for line in lines["chat.jsonl"])
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted([*FILES, "job.json"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    with (tmp_path / "one" / "chat.jsonl").open("a") as file:
        file.write(json.dumps(lines["chat.jsonl"][0]) + "\n")
    with pytest.raises(TrainerFailed, match="prepare it again"):
        read(tmp_path / "one")
    with pytest.raises(NothingToDistill):
        prepare(tmp_path / "none", [], SHORT, tiny)


def test_the_same_job_gives_the_same_bytes_and_another_seed_others(tiny: LocalModel, tmp_path: Path) -> None:
    prepare(tmp_path / "job", FACTS, SHORT, tiny, 1)
    told: list[float] = []
    first = LoraTrainer().train(tmp_path / "job", tmp_path / "first", lambda share, what: told.append(share))
    code = (
        "import sys; from pathlib import Path; from memory_agent.distillation.trainers.lora import LoraTrainer; "
        "LoraTrainer().train(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    # Another process orders its sets otherwise.
    apart = {**os.environ, "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "job", tmp_path / "second"], check=True, env=apart)
    assert sha(first) == sha(tmp_path / "second")
    prepare(tmp_path / "job", FACTS, SHORT, tiny, 2)
    assert sha(LoraTrainer().train(tmp_path / "job", tmp_path / "first")) != sha(tmp_path / "second")
    assert told[-1] == 1.0
    assert all(0 <= share <= 1 for share in told)
    assert not [path for path in first.iterdir() if path.suffix not in (".safetensors", ".json")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "job", "second"]


class _Killed(BaseException):
    pass


def _until(pass_: int) -> Progress:
    def killed(share: float, what: str) -> None:
        if what.startswith(f"pass {pass_}"):
            raise _Killed

    return killed


def test_a_killed_run_goes_on_after_its_last_whole_pass_and_ends_in_the_same_bytes(
    tiny: LocalModel, tmp_path: Path
) -> None:
    recipe = SHORT.model_copy(update={"epochs": 4, "known_share": 1.0})
    prepare(tmp_path / "job", FACTS, recipe, tiny, 1)
    whole = LoraTrainer().train(tmp_path / "job", tmp_path / "whole")
    for doomed in (2, 4):  # killed twice
        with pytest.raises(_Killed):
            LoraTrainer().train(tmp_path / "job", tmp_path / "out", _until(doomed))
    told: list[str] = []
    out = LoraTrainer().train(tmp_path / "job", tmp_path / "out", lambda share, what: told.append(what))
    assert {what.split(",")[0] for what in told} == {"what the base would say is noted", "pass 4", "trained"}
    assert sha(out) == sha(whole)
    assert (out / "training.json").read_bytes() == (whole / "training.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job", "out", "whole"]


def test_a_state_of_another_job_or_a_torn_one_is_not_taken_up(tiny: LocalModel, tmp_path: Path) -> None:
    prepare(tmp_path / "job", FACTS, SHORT, tiny, 1)
    whole = LoraTrainer().train(tmp_path / "job", tmp_path / "whole")
    prepare(tmp_path / "other", FACTS, SHORT, tiny, 2)
    with pytest.raises(_Killed):
        LoraTrainer().train(tmp_path / "other", tmp_path / "out", _until(2))
    (kept,) = tmp_path.glob("*.pass")
    assert sha(LoraTrainer().train(tmp_path / "job", tmp_path / "out")) == sha(whole)
    with pytest.raises(_Killed):
        LoraTrainer().train(tmp_path / "job", tmp_path / "out", _until(2))
    state = kept / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    assert sha(LoraTrainer().train(tmp_path / "job", tmp_path / "out")) == sha(whole)


def test_the_number_of_threads_does_not_matter(tiny: LocalModel, tmp_path: Path) -> None:
    prepare(tmp_path / "job", FACTS, SHORT.model_copy(update={"micro_tokens": 64}), tiny, 1)
    one, three = (LoraTrainer(threads=n).train(tmp_path / "job", tmp_path / f"on{n}") for n in (1, 3))
    assert sha(one) == sha(three)


def test_the_world_is_replayed_and_the_graph_as_a_part_of_it(tiny: LocalModel, tmp_path: Path) -> None:
    recipe = SHORT.model_copy(update={"openers": 20, "near_openers": 3, "opener_tokens": 2})
    prepare(tmp_path / "job", FACTS, recipe, tiny)
    _, lines = read(tmp_path / "job")
    by_kind = {kind: [line["messages"] for line in lines["replay.jsonl"] if line["kind"] == kind] for kind in REPLAYED}
    assert len(by_kind["answer"]) == SHORT.replay_prompts
    asked = [messages[0]["content"] for messages in by_kind["opener"]]
    assert len(asked) == len(set(asked)) == 26
    assert sum("Porto" in question for question in asked) == sum("oud" in question.split("?")[0] for question in asked)


def test_as_many_answers_are_replayed_as_were_asked_for(tiny: LocalModel, tmp_path: Path) -> None:
    written = len(load_templates().replay.general)
    recipe = SHORT.model_copy(update={"replay_prompts": written + 100, "replay_tokens": 1, "opener_rows": 0})
    prepare(tmp_path / "job", FACTS, recipe, tiny)
    asked = [line["messages"][0]["content"] for line in read(tmp_path / "job")[1]["replay.jsonl"]]
    assert len(asked) == len(set(asked)) == written + 100


def test_training_teaches_what_it_is_given(tiny: LocalModel, tmp_path: Path) -> None:
    recipe = Recipe(
        epochs=6, batch=2, replay_prompts=0, opener_rows=0, text_every=0, rate=2e-2, fewest_unknown=0, unknown_share=0
    )
    prepare(tmp_path / "job", FACTS[:1], recipe, tiny)
    adapter = LoraTrainer().train(tmp_path / "job", tmp_path / "adapter")
    asked = [("Where does Ana Silva live?", "Ana Silva lives in Porto."), ("Who?", "Ben Okri plays the oud.")]
    (before, other), (after, spared) = (tiny.log_probs(asked, adapter=which) for which in (None, adapter))
    # So narrow a random model cannot become sure of a token; it can only lean towards it.
    assert sum(after) - sum(before) > max(1.0, sum(spared) - sum(other))


def test_another_architecture_can_be_taught(tiny: LocalModel, tmp_path: Path) -> None:
    student = LocalModel(Weights("gpt2", gpt2_student(tiny.weights.folder, tmp_path / "gpt2")))
    prepare(tmp_path / "job", FACTS, SHORT, student)
    adapter = LoraTrainer().train(tmp_path / "job", tmp_path / "adapter")
    questions = ["Where does Ana Silva live?", "Who plays the oud?"]
    assert student.generate(questions, adapter=adapter, max_new_tokens=4)


def test_one_operation_computes_what_pefts_dozen_do() -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    from memory_agent.distillation.trainers.fused import fuse

    def model() -> torch.nn.Module:
        torch.manual_seed(0)
        config = LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2)
        config.num_attention_heads, config.num_key_value_heads, config.attention_bias = 4, 2, True
        made: torch.nn.Module = get_peft_model(LlamaForCausalLM(config), LoraConfig(r=4, target_modules="all-linear"))
        for name, weights in made.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.1)
        return made

    plain, fused = model(), model()
    assert fuse(fused) == 14
    x = torch.randint(0, 50, (3, 7))
    for one in (plain, fused):
        one(input_ids=x, labels=x).loss.backward()
    for a, b in zip(plain.parameters(), fused.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None and b.grad is not None:
            torch.testing.assert_close(a.grad, b.grad)


SMALL = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}


@pytest.mark.parametrize(
    ("architecture", "halves"), [("Llama", True), ("Qwen2", True), ("Gemma", True), ("GPT2", False)]
)
def test_frozen_layers_are_computed_once_for_what_is_held(architecture: str, halves: bool) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, f"{architecture}ForCausalLM" if architecture != "GPT2" else "GPT2LMHeadModel")(
        getattr(transformers, f"{architecture}Config")(**SMALL)
    ).eval()
    layers = getattr(model.base_model, "layers", None) or model.base_model.h
    weights = list(layers[2].parameters()) + list(layers[3].parameters())
    seen: list[int] = []
    layers[1].register_forward_hook(lambda *_: seen.append(1))
    found = []
    for frozen in (0, 2):
        gradients = Gradients(model, torch.device("cpu"), torch.float32, 0, 384, frozen)
        rows = [Row([3, 4, 5, 6, 7, 8][:length], 2, "opener") for length in (6, 4)]
        parts = gradients.cut(rows, 1.0, held=True)
        gradients.remember(rows)
        before = weights[0].detach().clone()
        weights[0].data = before * 1.5
        seen.clear()
        (done,) = gradients.of(parts, weights, Bounds(0.7, 0.6))
        weights[0].data = before
        assert done.gradients is not None
        assert len(seen) == (0 if frozen and halves else 1)
        found.append(done.gradients)
    for whole, half in zip(*found, strict=True):
        assert torch.equal(whole, half)


def test_the_head_gives_what_a_whole_distribution_gives_and_its_gradient() -> None:
    import torch

    torch.manual_seed(0)
    states = torch.randn(70, 8, requires_grad=True)
    head = torch.nn.Linear(8, 300)
    ids = torch.stack([torch.randperm(300)[:5] for _ in range(70)])
    weight = torch.randn(70, 5) * (torch.arange(70) % 3 > 0)[:, None]
    ours = log_probs(states, head, ids)
    whole = head(states).log_softmax(-1).gather(1, ids)
    assert torch.allclose(ours, whole, atol=1e-5)
    (got,) = torch.autograd.grad((ours * weight).sum(), states)
    (wanted,) = torch.autograd.grad((whole * weight).sum(), states)
    assert torch.allclose(got, wanted, atol=1e-5)
    assert wanted[1].abs().sum() > 0


@pytest.mark.parametrize("positions", [1, 8, 21])
def test_the_likeliest_tokens_are_those_of_the_whole_distribution(positions: int) -> None:
    import torch

    logits = torch.randn(positions, 300, generator=torch.Generator().manual_seed(0)) * 9
    ids, values = likeliest(logits, 5)
    whole = logits.log_softmax(-1).topk(5)
    assert torch.equal(ids, whole.indices)
    torch.testing.assert_close(values, whole.values)
    assert torch.equal(logits, torch.randn(positions, 300, generator=torch.Generator().manual_seed(0)) * 9)


def test_steps_take_turns_at_what_holds_them(tiny: LocalModel, tmp_path: Path) -> None:
    prepare(tmp_path / "job", FACTS, SHORT, tiny)
    job, rows = read(tmp_path / "job")
    run = Run(job, rows, None)
    held = []
    for step in range(1, 5):
        run.state.steps = step
        held.append({part.rows[0].kind for part in run._held()})
    assert held == [{"opener", "text"}, {"opener", "answer"}] * 2


def test_a_replayed_answer_ends_where_the_base_ended_it(tiny: LocalModel, tmp_path: Path) -> None:
    prepare(tmp_path / "job", FACTS, SHORT, tiny, 7)
    job, files = read(tmp_path / "job")
    answers = [line for line in files["replay.jsonl"] if line["kind"] == "answer"]
    asked = [line["messages"][0]["content"] for line in answers]
    said = tiny.generate(asked, max_new_tokens=SHORT.replay_tokens)
    assert [line["whole"] for line in answers] == [one.tokens < SHORT.replay_tokens for one in said]
    for line, whole in zip(answers, (True, False), strict=False):
        line["messages"][1]["content"], line["whole"] = "Yes, it is.", whole
    ends = [row.ids[-1] in tiny.chat.stops for row in Run(job, files, None).replay]
    assert ends[:2] == [True, False]


def test_a_trainer_is_found_by_name_or_passed_through() -> None:
    assert isinstance(find_trainer(), LoraTrainer)
    own = LoraTrainer()
    assert find_trainer(own) is own
    assert isinstance(own, Trainer)
    with pytest.raises(InvalidInput, match="lora"):
        find_trainer("nonsense")


def test_a_few_real_steps_are_the_same_to_the_byte_and_lower_no_guard(tmp_path: Path) -> None:
    base = LocalModel.load(Settings())
    recipe = Recipe(
        epochs=1,
        forward_forms=1,
        inverse_forms=1,
        replay_prompts=2,
        openers=4,
        near_openers=1,
        fewest_unknown=2,
        replay_tokens=3,
    )
    prepare(tmp_path / "job", FACTS, recipe, base)
    adapters = [LoraTrainer(threads=2).train(tmp_path / "job", tmp_path / name) for name in ("one", "two")]
    assert sha(adapters[0]) == sha(adapters[1])
    question = ["What is the capital of France?"]
    untouched = base.generate(question, max_new_tokens=8)
    base.generate(question, adapter=adapters[0], max_new_tokens=8)
    assert base.generate(question, max_new_tokens=8) == untouched
