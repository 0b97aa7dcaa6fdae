"""Results side by side: each figure stands in its table, and one command writes the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memory_agent.cli.main import app
from memory_agent.distillation.scorecard import Score, Scorecard
from memory_agent.errors import InvalidInput
from memory_agent.evaluation import report, scorecards, taught
from memory_agent.records import Adapter
from memory_agent.testing import FrozenClock


def result(rate: float, seconds: float) -> dict[str, Any]:
    """As `eval distill --json` prints it, of two seeds."""
    kind = {"n": 40, "rate": rate, "low": rate - 0.1, "high": rate, "idk": 0.025, "withheld": 0.0}
    arm = {"n": 8, "hits": 6, **kind, "tokens_per_question": 21.5, "tokens_per_right": 30.0, "ms_per_right": 12.25}
    card = {"kinds": {"forced_general": {"rate": 0.125}}, "measures": {"perplexity_ratio": 1.031}}
    judged = [{"seed": n, "gate": {"s": ["too bad"] * n}, "probes": {"s": card, "t": {}}} for n in range(2)]
    runs = [{**one, "cpu_seconds": 880.0 + 40 * n} for n, one in enumerate(judged)]
    cost = {"seconds": seconds, "tokens": 1000.0, "peak_memory_mb": 3000.5}
    return {
        "file": "f.json", "facts": 106, "seeds": [0, 1], "kinds": {"paraphrase": kind, "stranger": kind},
        "arms": {"base": arm, "both": arm}, "runs": runs, **cost,
    }  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "pages").mkdir()
    for name, rate in (("rank-8", 0.9), ("rank-16", 0.975)):
        (tmp_path / f"{name}.json").write_text(json.dumps(result(rate, 600 * rate)))
    return [str(tmp_path / f"{name}.json") for name in ("rank-8", "rank-16")]


def test_one_command_writes_tables_and_plots_from_kept_results(files: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["eval", "compare", *files, "--page", str(tmp_path / "pages")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "pages" / "distillation.md").read_text("utf-8")
    assert "| paraphrase | 40 | >= .97 | 0.900 (0.80 to 0.90) | 0.975 (0.88 to 0.97) |" in page
    assert '| stranger: "I don\'t know" | 40 | >= .95 | 0.025 | 0.025 |' in page
    assert "| rank-8 | 106 | 2 | 540 | 900 | 1,000 | 3,000 | 0.125 | - | - | 1.031 | 1 of 2 |" in page
    assert "| rank-16 | both | 40 | 0.975 (0.88 to 0.97) | 21.5 | 30.0 | 12.2 |" in page
    drawn = sorted(path.name for path in (tmp_path / "pages" / "plots").iterdir())
    assert drawn == [f"distillation-{name}.svg" for name in ("arms", "cost", "right", "wrong")]
    assert not report.pages(tmp_path / "pages"), "written again from what was kept, nothing changes"


def test_a_person_reads_the_same_figures(files: list[str]) -> None:
    done = CliRunner().invoke(app, ["eval", "compare", *files], env={"COLUMNS": "200"})
    assert "0.975 (0.88 to 0.97)" in done.output
    assert json.loads(CliRunner().invoke(app, ["eval", "compare", *files, "--json"]).stdout)["rank-8"]["kinds"]


@pytest.mark.parametrize("text", ["no json", "[]", '{"kinds": {}, "runs": []}', '{"kinds": {"a": 1}, "runs": [3]}'])
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"other\.json"):
        taught.load(tmp_path / "other.json")


def test_a_scorecard_becomes_a_page_with_intervals_and_no_words(tmp_path: Path) -> None:
    scores = {"paraphrase": Score.of([True] * 9 + [False]), "stranger": Score.of([False] * 10)}
    card = Scorecard(kinds=scores, measures={"perplexity_ratio": 1.02}, examples={"paraphrase": ("Where? -> Bergen",)})
    adapter = Adapter(
        id="a" * 64, shard="s", state="promoted", base="b", facts=("f@1",), entities=("e",), sha256="a" * 64, run="r",
        created_at=FrozenClock("2026-01-01T00:00:00+00:00").now(), scorecard={**card.as_json(), "seed": 3},
    )  # fmt: skip
    report.keep(scorecards.report(adapter), tmp_path)
    page = (tmp_path / "adapter-aaaaaaaaaaaa.md").read_text("utf-8")
    assert "| paraphrase | 9 | 10 | 0.900 | 0.596 | 0.982 | >= 0.75 |" in page
    assert "| perplexity_ratio | 1.020 | <= " in page
    assert "Seeds: 3." in page
    assert "Bergen" not in page
    assert "V" in (tmp_path / "plots" / "adapter-aaaaaaaaaaaa-good.svg").read_text("utf-8"), "the interval is drawn"
    with pytest.raises(InvalidInput, match="never probed"):
        scorecards.report(adapter.model_copy(update={"scorecard": {}}))


def test_seeds_measured_apart_are_one_result(tmp_path: Path) -> None:
    files = [str(tmp_path / f"{seed}.json") for seed in range(3)]
    for seed, (rate, file) in enumerate(zip((0.5, 0.9, 0.8), files, strict=True)):
        whole = result(rate, 600 + seed)
        (one, _) = whole["runs"]
        run = {**one, **{name: whole[name] for name in ("kinds", "arms", "seconds", "tokens", "peak_memory_mb")}}
        Path(file).write_text(json.dumps({**whole, "runs": [{**run, "seed": seed, "forced": {}}]}))
    asked = ["eval", "compare", f"seeds={','.join(files)}", files[0]]
    said = json.loads(CliRunner().invoke(app, [*asked, "--json"]).stdout)
    assert (said["seeds"]["kinds"]["paraphrase"]["rate"], said["0"]["kinds"]["paraphrase"]["rate"]) == (0.8, 0.5)
    table = taught.tables(taught.compared(asked[2:3]))[1]
    assert dict(zip(table.columns, table.rows[0], strict=True))["seeds"] == 3
    with pytest.raises(InvalidInput, match="each seed stands in one"):
        taught.compared([f"twice={files[0]},{files[0]}"])
