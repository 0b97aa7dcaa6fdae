"""What the browser tests share: the store they look at, what they watch while they do, and where pictures go."""

from __future__ import annotations

import json
import os
import random
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from students import random_adapter

from memory_agent.distillation import registry
from memory_agent.memories import Memories
from memory_agent.memory import Memory
from memory_agent.models.local import LocalModel
from memory_agent.records import Adapter, Entity, Episode, Fact, PartialDate, Run, Source
from memory_agent.testing import FrozenClock

CONVERSATION = Path(__file__).parents[2] / "examples" / "data" / "conversation.jsonl"
SHOTS = Path(os.environ.get("MEMORY_AGENT_SCREENSHOTS", "out/screenshots"))
AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text("utf-8")
FAULTS = """async () => {
  const found = await axe.run(document, { resultTypes: ['violations'] });
  return found.violations.filter((fault) => ['serious', 'critical'].includes(fault.impact))
    .map((fault) => [fault.id, fault.nodes.map((node) => node.html.slice(0, 120))]);
}"""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
USER = "maren"
KEY = "the-key-of-this-process"
PATIENCE = 60_000
"""Milliseconds to wait for something to appear: the machine may be busy."""
expect.set_options(timeout=PATIENCE)
PREDICATES = (
    "lives_in",
    "works_at",
    "plays",
    "likes",
    "studies",
    "has_pet",
    "allergic_to",
    "friend",
    "attended",
    "owns",
)


def find_chromium() -> str | None:
    """The browser of this machine, or the one named by MEMORY_AGENT_CHROMIUM."""
    named = os.environ.get("MEMORY_AGENT_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


def remember(memory: Memory, clock: FrozenClock) -> None:
    """Take the example conversation in session by session, each consolidated in the evening."""
    turns = [json.loads(line) for line in CONVERSATION.read_text("utf-8").splitlines()]
    for _, some in groupby(turns, key=lambda turn: turn["session"]):
        session = list(some)
        clock.set(datetime.fromisoformat(session[-1]["at"]) + timedelta(hours=8))
        memory.add(session)
        memory.consolidate()


def populate(memory: Memory, count: int) -> None:
    """`count` facts about people in circles of 14; a quarter of them superseded, each quoted from a turn."""
    pick = random.Random(3)
    people = [f"Person {n} of {n // 14}" for n in range(max(2, count // 9))]
    began = datetime(2020, 1, 1, tzinfo=UTC)
    records: list[Any] = [Entity(id=f"p{n}", name=name, type="person") for n, name in enumerate(people)]
    for n in range(count):
        subject = n % len(people)
        since = began + timedelta(days=pick.randrange(1800))
        over = pick.random() < 0.25
        friend = min(len(people) - 1, subject // 14 * 14 + pick.randrange(14))
        predicate = PREDICATES[pick.randrange(len(PREDICATES))]
        known = predicate == "friend" and friend != subject
        object = people[friend] if known else f"value {n}"
        text = f"{people[subject]} {predicate} {object}."
        turn = Episode(
            id=f"e{n}", session=f"s{n // 20}", role="user", speaker="Ana", content=text, at=since, recorded_at=since,
            digest=f"d{n}", run="r",
        )  # fmt: skip
        fact = Fact(
            id=f"f{n}", subject=people[subject], subject_id=f"p{subject}", predicate=predicate, object=object,
            object_id=f"p{friend}" if known else None, text=text, valid_from=PartialDate.at(since), recorded_at=since,
            valid_to=PartialDate.at(since + timedelta(days=200)) if over else None,
            status="superseded" if over else "current",
            sources=(Source(episode_id=turn.id, start=0, end=len(text), quote=text, speaker="Ana", at=since),),
        )  # fmt: skip
        records += [turn, fact]
    with memory.space.ledger.transaction() as tx:
        tx.put(*records)


def put_weights(memory: Memory, folder: Path, student: Path) -> None:
    """Two sets of weights that passed the gate, the older set back, and a third that was refused."""
    space = memory.space
    facts = [f for f in memory.facts() if f.status == "current" and f.modality == "actual"][:12]
    base = LocalModel.load(space.settings).revision
    made = []
    for number, state in enumerate(("previous", "promoted", "refused")):
        sha, _ = registry.keep(space, random_adapter(student, folder / state, seed=number), {})
        run = Run(
            id=f"run_distill{number}",
            job="distill",
            state="refused" if state == "refused" else "done",
            started_at=space.clock.now() + timedelta(hours=number),
            ended_at=space.clock.now() + timedelta(hours=number, minutes=4),
            report=_report(facts, sha, state == "refused"),
        )
        adapter = Adapter.model_validate(
            {
                "id": sha,
                "shard": "people",
                "state": state,
                "base": base,
                "facts": tuple(f"{fact.id}@{fact.version}" for fact in facts),
                "entities": tuple(sorted({fact.subject_id for fact in facts})),
                "sha256": sha,
                "created_at": run.ended_at,
                "run": run.id,
                "scorecard": _scorecard(state == "refused"),
                "reasons": ("paraphrase 0.650 is below 0.75",) if state == "refused" else (),
            }
        )
        made += [run, adapter]
    with space.ledger.transaction() as tx:
        tx.put(*made)


def _report(facts: list[Fact], sha: str, refused: bool) -> dict[str, Any]:
    return {
        "promoted": not refused,
        "reasons": ["shard people: paraphrase 0.650 is below 0.75"] if refused else [],
        "adapters": [] if refused else [sha],
        "facts": [fact.id for fact in facts],
        "refused": {},
        "rows": 300,
        "tokens": 90_000,
        "seconds": 220.0,
    }


def _scorecard(refused: bool) -> dict[str, Any]:
    def score(hits: int, n: int, low: float, high: float) -> dict[str, Any]:
        return {"n": n, "hits": hits, "rate": hits / n, "low": low, "high": high}

    return {
        "kinds": {
            "paraphrase": score(13, 20, 0.43, 0.82) if refused else score(18, 20, 0.7, 0.97),
            "stranger": score(1, 30, 0.01, 0.17),
            "general": score(12, 12, 0.76, 1.0),
        },
        "measures": {"perplexity_ratio": 1.1},
        "examples": {"paraphrase": ["Where does Hana live? -> Aarhus"]},
    }


@dataclass
class Served:
    """A server that runs, and its application's state."""

    url: str
    memories: Memories
    serving: Any

    def at(self, page: str = "", user: str = USER, key: str = "") -> str:
        """The address of a page; with `key`, one that hands the key over."""
        return f"{self.url}/inspector?user={user}#{'key=' + key if key else page}"


@dataclass
class Watched:
    """What went on while pages were open."""

    origin: str
    console: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    expected: set[str] = field(default_factory=set)
    """Parts of console lines that the test means to cause."""

    def watch(self, page: Page) -> Page:
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: self.console.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("response", lambda got: self.failed.append(f"{got.status} {got.url}") if got.status == 404 else None)
        page.on("request", lambda request: self._asked(request.url))
        page.on("dialog", lambda dialog: (self.console.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        return page

    def _asked(self, url: str) -> None:
        if not url.startswith((self.origin, "blob:", "data:", "file:")):
            self.elsewhere.append(url)

    def check(self) -> None:
        told = [line for line in self.console if not any(part in line for part in self.expected)]
        assert told == [], self.failed
        assert self.elsewhere == [], "a request left the page's own origin"


def shot(page: Page, name: str) -> None:
    """Keep a picture of the page among the run's artefacts."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def look_closely(page: Page, where: str, named: str) -> None:
    """No serious fault by axe-core, which is on the page, and nothing wider than the screen; a picture is kept."""
    assert page.evaluate(FAULTS) == [], where
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{where} is wider than the screen ({named})"
    shot(page, f"{where.replace('/', '-')}-{named}")


def go(page: Page, to: str) -> None:
    """To another of the inspector's pages; back when it is drawn."""
    page.evaluate("async (to) => { location.hash = to; await new Promise((done) => setTimeout(done)) }", f"#/{to}")
    page.wait_for_selector("#main:not([aria-busy])")


def slide(page: Page, id: str, value: int) -> None:
    """Move the slider of that id."""
    page.evaluate(
        "([id, value]) => { const s = document.getElementById(id); s.value = value;"
        " s.dispatchEvent(new Event('input')) }",
        [id, value],
    )


def unfold(page: Page) -> None:
    """Open the first quote in its conversation; a panel that is drawn once more meanwhile has it closed again."""
    button, mark = page.locator("button:text-is('in the conversation')").first, page.locator(".around mark").first
    for _ in range(20):
        if button.get_attribute("aria-expanded") == "false":
            button.click()
        with suppress(AssertionError):
            expect(mark).to_be_visible(timeout=3000)
            return
    expect(mark).to_be_visible()
