"""The family `adapters` and the proof of unlearning, each through the whole command, on weights that were trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from students import tiny_student

from memory_agent import Memory
from memory_agent.cli import exits
from memory_agent.config import Settings
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.probes import Sample
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.testing.extractor import MarkedExtractor

Run = Callable[..., tuple[int, Any]]
RECIPE = Recipe(
    epochs=1, forward_forms=1, inverse_forms=1, fewest_unknown=2, replay_prompts=2, opener_rows=0, text_every=0, rank=2
)
OPEN = Options(gate=Gate(thresholds={}), sample=Sample(*[1] * 9))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store with two generations of weights, the later one of two facts, and the student they are for."""
    folder = tmp_path_factory.mktemp("place")
    student = tiny_student(folder / "student")
    with Memory.open(folder / "m", user="bo", settings=Settings(student=str(student))) as memory:
        for n, said in enumerate(["{Ana Abel | lives_in | Rome}", "{Ana Abel | works_at | Siemens}"]):
            memory.add([{"role": "user", "id": f"t{n}", "content": said}], session="s")
            memory.consolidate(extractor=MarkedExtractor())
            assert distill(memory.space, recipe=RECIPE, options=OPEN).promoted
    return folder / "m", student


@pytest.fixture
def run(place: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, command: Run) -> Run:
    """The command on that store: (exit code, what it wrote, as JSON where it was asked to)."""
    monkeypatch.setenv("MEMORY_AGENT_STUDENT", str(place[1]))

    return partial(command, place[0])


def test_listed_shown_compared_and_put_back(run: Run, tmp_path: Path) -> None:
    code, (new, old) = run("adapters", "list")
    assert (code, new["state"], old["state"]) == (0, "promoted", "previous")
    assert new["id"][:12] in run("adapters", "list", machine=False)[1]
    _, shown = run("adapters", "show", new["id"][:8])
    assert sorted(shown["facts"].values()) == ["Ana Abel lives in Rome.", "Ana Abel works at Siemens."]
    assert (shown["whole"], shown["fallen"], shown["manifest"]["seed"]) == (True, [], 0)
    assert "Ana Abel works at Siemens." in run("adapters", "show", new["id"], machine=False)[1]
    _, differs = run("adapters", "diff", old["id"], new["id"])
    assert (list(differs["added"].values()), differs["removed"]) == (["Ana Abel works at Siemens."], {})
    assert "recipe.rank" not in differs["made_with"]
    assert "+ " in run("adapters", "diff", old["id"], new["id"], machine=False)[1]
    code, refused = run("adapters", "promote", old["id"])
    assert (code, refused["adapter"]["state"]) == (exits.REFUSED, "previous")
    assert any("paraphrase" in reason for reason in refused["objections"])
    (tmp_path / "gate.json").write_text('{"perplexity_ratio": {"max": 100}}')
    code, promoted = run("adapters", "promote", old["id"], "--gate", tmp_path / "gate.json")
    assert (code, promoted["adapter"]["state"]) == (0, "promoted")
    assert [one["id"] for one in run("adapters", "rollback")[1]] == [new["id"]]
    assert {one["id"]: one["state"] for one in run("adapters", "list")[1]} == {
        new["id"]: "promoted",
        old["id"]: "previous",
    }


def test_what_names_no_adapter(run: Run) -> None:
    assert run("adapters", "show", "0123456789abcdef")[0] == exits.NOT_FOUND
    assert run("adapters", "diff", "zzzz", "zzzz")[0] == exits.NOT_FOUND
    assert run("adapters", "promote", "x")[0] == exits.NOT_FOUND


def test_the_weights_are_proven_not_to_depend_on_a_fact(run: Run) -> None:
    code, found = run("verify", "--unlearned", "fact_that_never_was")
    assert (code, found["proven"]) == (0, True)
    assert list(found["rebuilt"]) == list(found["rebuilt"].values())
    assert "Unlearned" in run("verify", "--unlearned", "fact_that_never_was", machine=False)[1]
    stands = run("facts")[1][0]["id"]
    code, found = run("verify", "--unlearned", stands)
    assert (code, found["proven"]) == (exits.FAILED, False)
    assert any("still stands" in problem for problem in found["problems"])
    assert run("verify")[0] == exits.USAGE
    assert run("verify", "--unlearned", stands, "--forgotten", stands)[0] == exits.USAGE


def test_what_answers_no_more_is_deleted(run: Run) -> None:
    (_, old) = run("adapters", "list")[1]
    assert run("adapters", "prune")[1] == {"deleted": []}
    assert run("adapters", "prune", "--keep", 0)[1] == {"deleted": [old["id"]]}
    assert len(run("adapters", "list")[1]) == 1
