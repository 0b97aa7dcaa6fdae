"""The demo counts honestly: what it calls right, wrong and not known, and what it writes down of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from examples import demo
from memory_agent import Answer, Memory
from memory_agent.records import DistillationReport
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.views import report_html

ROOT = Path(__file__).parents[2]
MOVED = demo.Question("changed", "Where has Maren settled by now?", ("Galway",), ("Aarhus",))
STRANGER = demo.Question("stranger", "Where has Maren Fossgate settled by now?", (), ())
GENERAL = demo.Question("general", "What is the capital of Portugal?", ("Lisbon",), ())
HELD = ["Aarhus", "Galway", "Maren", "oboe"]


@pytest.mark.parametrize(
    ("question", "reply", "verdict"),
    [
        (MOVED, "Galway", "right"),
        (MOVED, "Maren lives in GALWAY, with a dog.", "right"),
        (MOVED, "Aarhus", "wrong"),
        (MOVED, "First Aarhus, then Galway", "wrong"),
        (MOVED, "In Galwayshire", "wrong"),
        (MOVED, "I don't know where she lives.", "idk"),
        (STRANGER, "Galway", "wrong"),
        (STRANGER, "I don't know.", "idk"),
        (STRANGER, "Maren Fossgate lives in Paris.", "right"),
        (STRANGER, "I don't know, but perhaps the oboe.", "wrong"),
        (GENERAL, "Lisbon is the capital.", "right"),
        (GENERAL, "Madrid", "wrong"),
    ],
)
def test_who_is_right(question: demo.Question, reply: str, verdict: str) -> None:
    assert demo.verdict(question, reply, HELD).verdict == verdict


def answers(*texts: str) -> list[Answer]:
    return [Answer(text=text, mode="base") for text in texts]


def test_the_counts_and_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = FrozenClock("2025-06-01T12:00:00+00:00")
    with Memory.open(tmp_path / "m", user="maren", embedder=HashEmbedder(), clock=clock) as memory:
        memory.add(
            [{"role": "user", "speaker": "Maren Oldenkott", "content": "I live in Galway.", "id": "t1"}], session="s"
        )
        read = memory.consolidate()
        replies = {
            "base": answers("Paris", "Nowhere", "Lisbon"),
            "adapter": answers("Galway", "Galway", "Lisbon"),
            "retrieval": answers("I don't know", "I don't know", "Porto"),
            "both": answers("Galway", "I don't know", "Lisbon."),
        }
        learnt = DistillationReport(run="r", promoted=False, reasons=("stranger above 0.1",), refused={"f9": "secret"})
        report = demo.judge(memory, [MOVED, STRANGER, GENERAL], replies, read, learnt, 400.0)
    taught, strangers, general = report.shares.values()
    assert taught == {"base": (0, 1), "adapter": (1, 1), "retrieval": (0, 1), "both": (1, 1)}
    assert strangers == {"base": (1, 1), "adapter": (0, 1), "retrieval": (1, 1), "both": (1, 1)}
    assert general == {"base": (1, 1), "adapter": (1, 1)}
    assert [(figure, met) for figure, _, met in report.cards] == [
        ("1 of 1", True), ("1 of 1", False), ("1 of 1", True), ("6:40", False),
    ]  # fmt: skip
    shown = capsys.readouterr().out
    assert "adapter 1 of 1" in shown
    assert "Where has Maren settled by now? changed, expected: Galway" in shown
    assert re.search(r"after, closed book +✓ Galway$", shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= 80
    html = report_html(report)
    for text in ("stranger above 0.1", "1 secret", "I live in Galway."):
        assert text in html


def test_the_demo_shows_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    report = DistillationReport(run="r", promoted=False, reasons=("paraphrase below 0.85",), refused={"a": "secret"})

    class Learnt:
        def distill(self, **given: object) -> DistillationReport:
            return report

    assert demo.learn(Learnt()) is report  # type: ignore[arg-type]
    shown = capsys.readouterr().out
    assert "refused by the gate" in shown
    assert "paraphrase below 0.85" in shown
    assert "1 secret" in shown


@pytest.mark.soak
def test_the_whole_demo(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("report.html", "graph.html"):
        assert (tmp_path / "demo-memory" / name).stat().st_size > 10_000
    assert "Next" in done.stdout
