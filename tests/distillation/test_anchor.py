"""Prices on leaving the base: their gradients are the formulas', and what costs more moves less."""

from __future__ import annotations

from pathlib import Path

import pytest
from students import tiny_student
from test_lora_trainer import FACTS, SHORT, sha

from memory_agent.distillation.job import prepare
from memory_agent.distillation.trainers.anchor import _Pair
from memory_agent.distillation.trainers.lora import LoraTrainer
from memory_agent.errors import TrainerFailed
from memory_agent.models.local import LocalModel
from memory_agent.models.weights import Weights


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(Weights("tiny", tiny_student(tmp_path_factory.mktemp("student") / "tiny")))


def norm(adapter: Path) -> float:
    """The norm of all that the adapter adds to the weights, up to its scale."""
    from safetensors.torch import load_file

    held = load_file(adapter / "adapter_model.safetensors")
    pairs = [(a, held[name.replace("lora_A", "lora_B")]) for name, a in held.items() if "lora_A" in name]
    return sum(float((b @ a).norm() ** 2) for a, b in pairs) ** 0.5


@pytest.mark.parametrize("weighed", [False, True])
def test_the_gradients_are_those_of_the_price(weighed: bool) -> None:
    import torch

    torch.manual_seed(0)
    a, b = torch.randn(3, 7, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    ins, outs = (torch.rand(7), torch.rand(5)) if weighed else (None, None)
    delta = 2.5 * (b @ a)
    cost = delta**2 if ins is None or outs is None else outs[:, None] * ins * delta**2
    wanted = torch.autograd.grad(0.3 * cost.sum(), (a, b))
    a.grad = torch.ones_like(a)  # what was there before stays
    _Pair(a, b, 2.5).add(0.3, ins, outs)
    assert a.grad is not None
    assert b.grad is not None
    torch.testing.assert_close(a.grad - 1, wanted[0])
    torch.testing.assert_close(b.grad, wanted[1])


@pytest.mark.parametrize(("kind", "replayed"), [("l2", 0), ("ewc", 3)])
def test_what_costs_more_moves_less_and_is_still_the_same_to_the_byte(
    tiny: LocalModel, tmp_path: Path, kind: str, replayed: int
) -> None:
    few = {"epochs": 1, "rate": 1e-2, "replay_prompts": replayed, "opener_rows": 0, "text_every": 0}
    norms, hashes = [], []
    for n, price in enumerate((0.0, 1e-2, 1.0, 1.0)):
        prepare(tmp_path / "job", FACTS[:1], SHORT.model_copy(update={**few, kind: price}), tiny, 1)
        out = LoraTrainer(threads=1 + n % 2).train(tmp_path / "job", tmp_path / "out")
        norms.append(norm(out))
        hashes.append(sha(out))
    assert norms[0] > norms[1] > norms[2] > 0
    assert len(set(hashes[:3])) == 3
    assert hashes[2] == hashes[3]


def test_ewc_weighs_by_what_is_replayed(tiny: LocalModel, tmp_path: Path) -> None:
    from memory_agent.distillation.job import read
    from memory_agent.distillation.trainers.anchor import _Weights, weights_anchor
    from memory_agent.distillation.trainers.lora import Run

    prepare(tmp_path / "job", FACTS, SHORT.model_copy(update={"ewc": 1.0}), tiny, 1)
    run = Run(*read(tmp_path / "job"), None)
    found = weights_anchor(run.peft, run.recipe, run.gradients, run.replay)
    assert isinstance(found, _Weights)
    masses, cells = 0.0, 0
    for pair in found.pairs:
        assert pair.ins is not None
        assert pair.outs is not None
        assert float(pair.ins.min()) >= 0
        assert float(pair.outs.max()) > 0
        masses += float(pair.ins.sum()) * float(pair.outs.sum())
        cells += pair.ins.numel() * pair.outs.numel()
    assert masses / cells == pytest.approx(1.0, rel=1e-3)
    prepare(tmp_path / "job", FACTS, SHORT.model_copy(update={"ewc": 1.0, "replay_prompts": 0}), tiny, 1)
    with pytest.raises(TrainerFailed, match="replay_prompts"):
        LoraTrainer().train(tmp_path / "job", tmp_path / "out")
