"""A store, an extractor, a trainer and a predicate of somebody else's, each in under 60 lines outside the package."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from students import tiny_student

from memory_agent import Memory, Settings
from memory_agent.protocols import VectorIndex
from memory_agent.records import Adapter
from memory_agent.testing import FrozenClock, HashEmbedder, ScriptedChatModel
from memory_agent.testing.conformance import IndexConformance

EXTEND = Path(__file__).parents[2] / "examples" / "extend"
sys.path.insert(0, str(EXTEND))

from own_extractor import HelpDeskExtractor  # noqa: E402
from own_store import MatrixIndexes  # noqa: E402

SAID = "We run Atlas 4.2 here."


def code_lines(file: Path) -> int:
    """Lines that are neither blank nor a docstring."""
    text = file.read_text("utf-8")
    strings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    return sum(bool(line.strip()) and at not in strings for at, line in enumerate(text.splitlines(), start=1))


@pytest.mark.parametrize("file", sorted(EXTEND.glob("*.py")), ids=lambda file: file.stem)
def test_it_takes_less_than_sixty_lines(file: Path) -> None:
    assert code_lines(file) < 60


class TestMatrixIndex(IndexConformance):
    """The vectors of examples/extend/own_store.py do what every index has to do."""

    @contextmanager
    def opened(self, folder: Path) -> Iterator[VectorIndex]:
        index = MatrixIndexes()
        yield index
        index.close()


def installed(folder: Path, group: str, line: str) -> str:
    """What `pip install` leaves of a package that offers one entry point."""
    info = folder / "own-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{line}\n", "utf-8")
    return str(folder)


def test_a_store_is_found_by_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path / "site", "memory_agent.stores", "plain = own_store:open_store"))
    turn = {"role": "user", "speaker": "Ana", "content": "I live in Turin.", "at": "2025-01-01T10:00:00+00:00"}
    for _ in range(2):  # what the ledger holds outlives the process; vectors are made anew
        with Memory.open(f"plain://{tmp_path / 'store'}", user="ana", embedder=HashEmbedder(64)) as memory:
            memory.add([turn])
            memory.consolidate()
            assert [fact.object for fact in memory.facts()] == ["Turin"]
            assert memory.search("Where does Ana live?").hits[0].why.scores["dense"] > 0


def test_an_extractor_proposes_and_a_predicate_says_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    def runs() -> list[tuple[str, str]]:
        with Memory.open("memory://", user="desk", embedder=HashEmbedder(8)) as memory:
            for day, said in (("01", SAID), ("20", "Since today we run Atlas 5.0 everywhere.")):
                turn = {"role": "user", "speaker": "Kim Ito", "content": said, "at": f"2025-01-{day}T10:00:00+00:00"}
                memory.add([turn])
                memory.consolidate(extractor=HelpDeskExtractor())
            return [(fact.text, fact.status) for fact in memory.facts()]

    assert [status for _, status in runs()] == ["current", "current"], "an unknown predicate has many values"
    monkeypatch.setenv("MEMORY_AGENT_ONTOLOGY", str(EXTEND / "own_predicates.json"))
    assert runs() == [("Kim Ito runs Atlas 5.0 (since 2025-01-20).", "current")], (
        "one value at a time: the newer ends the older"
    )


@pytest.mark.parametrize("file", sorted((EXTEND.parent / "outside").glob("*.py")), ids=lambda file: file.stem)
def test_a_program_outside_takes_less_than_sixty_lines(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) < 60


def outside(name: str) -> Any:
    """The program as a module."""
    spec = importlib.util.spec_from_file_location(f"outside_{name}", EXTEND.parent / "outside" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_bot_with_a_store_of_its_own_knows_its_customer_the_next_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed(tmp_path / "site", "memory_agent.stores", "plain = own_store:open_store"))
    bot, model = outside("desk_bot"), ScriptedChatModel(replies=["Noted."])
    url = f"plain://{tmp_path / 'desk'}"
    with Memory.open(url, user="kim", embedder=HashEmbedder(64), settings=Settings(student="none")) as memory:
        assert list(bot.talk(memory, model, ["Hello, we run Atlas 4.2 here."])) == ["Noted."]
    with Memory.open(url, user="kim", embedder=HashEmbedder(64)) as memory:
        assert bot.known(memory) == ["Atlas 4.2"]


def test_an_export_becomes_a_timeline(tmp_path: Path) -> None:
    from memory_agent.exchange import lines

    timeline = outside("timeline")
    said = "I moved to Porto in March 2024. <script>alert(1)</script>"
    with Memory.open("memory://", user="ana", embedder=HashEmbedder(8)) as memory:
        turn = {"role": "user", "speaker": "Ana Brenner", "content": said, "at": "2024-05-01T10:00:00+00:00"}
        memory.add([turn])
        memory.consolidate()
        (tmp_path / "out.jsonl").write_text("".join(lines.write(memory.space)), "utf-8")
    [fact] = timeline.facts(tmp_path / "out.jsonl")
    assert fact["object"] == "Porto"
    page = timeline.page([fact | {"text": "<b>"}])
    assert "2024-03" in page
    assert "&lt;b&gt;" in page


def test_a_trainer_of_its_own_is_run_at_night_when_something_changed(tmp_path: Path) -> None:
    nightly = outside("nightly")
    settings = Settings(student=str(tiny_student(tmp_path / "student")))
    clock = FrozenClock("2024-05-02T12:00:00+00:00")
    with Memory.open(
        tmp_path / "store", user="ana", embedder=HashEmbedder(8), settings=settings, clock=clock
    ) as memory:
        told: list[str] = []
        assert nightly.night(memory, told.append) == "idle"
        memory.add([{"role": "user", "speaker": "Ana Brenner", "content": "I live in Turin."}])
        memory.consolidate()
        clock.set("2024-08-02T12:00:00+00:00")
        assert nightly.night(memory, told.append) == "refused"
        assert "paraphrase" in told[0]
        [adapter] = memory.space.ledger.select(Adapter)
        assert adapter.state == "refused", "forty steps teach random weights nothing, and the gate says so"
        assert nightly.night(memory, told.append) == "idle"
