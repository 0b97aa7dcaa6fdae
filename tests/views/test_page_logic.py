"""The inspector's script without a browser: its own tests in Node, and its two axes of time against the library's."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_agent import Memory
from memory_agent.testing import FrozenClock, HashEmbedder
from memory_agent.views import model
from memory_agent.views.snapshot import Snapshot

PAGE = Path(__file__).parents[1] / "page"
SAID = (
    ("2024-01-05", "I live in Lisbon. I was born on 3 May 1990. I play the cello."),
    ("2024-03-10", "I moved to Porto in February 2024. I plan to visit Iceland in August."),
    ("2024-06-20", "I work at Foxglove Press since April 2024. I have a dog called Biscuit."),
    ("2024-09-01", "I don't play the cello any more. I used to live in Madrid until 2019."),
    ("2025-01-15", "I moved to Ghent last month. I meant Iceland in September. I am allergic to peanuts."),
    ("2025-04-02", "I left Foxglove Press in March 2025. I work at Alder House now."),
)


@pytest.fixture(scope="module")
def node() -> str:
    """A JavaScript engine: the machine's Node, else the one that Playwright carries."""
    if found := shutil.which("node"):
        return found
    from playwright._impl._driver import compute_driver_executable

    return str(compute_driver_executable()[0])


def test_the_scripts_pass_their_own_tests(node: str) -> None:
    done = subprocess.run([node, "--test", str(PAGE / "logic.test.cjs")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sliders_show_what_the_library_would_answer(node: str) -> None:
    clock = FrozenClock("2024-01-01T00:00:00+00:00")
    with Memory.open("memory://", user="ana", embedder=HashEmbedder(8), clock=clock) as memory:
        for number, (day, text) in enumerate(SAID):
            clock.set(f"{day}T20:00:00+00:00")
            turn = {"role": "user", "speaker": "Ana Brenner", "content": text, "at": f"{day}T10:00:00+00:00"}
            memory.add([turn], session=f"s{number}")
            memory.consolidate()
        clock.tick(86400 * 90)
        graph = model.graph(Snapshot.of(memory.space))
        assert len(graph["facts"]) > 10
        pick = random.Random(5)
        start = datetime(2018, 1, 1, tzinfo=UTC)
        moments: list[tuple[datetime | None, datetime | None]] = [(None, None)]
        for _ in range(80):
            when, known = (start + timedelta(minutes=pick.randrange(60 * 24 * 2800)) for _ in range(2))
            known = max(known, datetime(2024, 1, 5, tzinfo=UTC))
            moments += [(when, None), (None, known), (when, known)]
        asked = [[ms and model.ms(ms) for ms in pair] for pair in moments]
        done = subprocess.run(
            [node, str(PAGE / "visible.cjs")],
            input=json.dumps({"graph": graph, "moments": asked}),
            capture_output=True,
            text=True,
            check=True,
        )
        for (when, known), ids in zip(moments, json.loads(done.stdout), strict=True):
            answered = sorted(fact.id for fact in memory.facts(as_of=when, known_at=known))
            assert ids == answered, (when, known)
