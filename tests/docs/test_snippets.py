"""Every snippet of README and docs runs: Python against a real memory, commands in a store of their own.

What never ends, needs another machine or trains for minutes is only parsed here; ELSEWHERE says which tests run it.
The tutorial as it stands, training included, and README's calls on what it leaves run with `make soak`.
"""

from __future__ import annotations

import ast
import base64
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from commanding import command
from students import tiny_student
from talking import served

from memory_agent import Memory, Settings
from memory_agent.cli import exits, main
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder, ScriptedChatModel

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
GROUP: Any = typer.main.get_command(main.app)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"[A-Z_]+=.*", re.DOTALL)

ELSEWHERE: Mapping[str, str] = {
    "serve": "tests/server/test_rest.py",
    "inspect": "tests/browser/test_inspector.py",
    "daemon": "tests/crash/test_kill_daemon.py",
    "worker": "tests/scheduling/test_worker.py",
    "move": "tests/stores/test_moving.py",
    "distill": "tests/cli/test_adapters.py",
    "ask": "tests/answering/test_answering.py",
    "rebuild": "tests/cli/test_verbs.py",
    "adapters export": "tests/distillation/test_exports.py",
    "eval retrieval": "tests/evaluation/test_retrieval_eval.py",
    "eval extraction": "tests/evaluation/test_extraction_scores.py",
    "eval consolidation": "tests/evaluation/test_eval_reading.py",
    "eval dynamics": "tests/evaluation/test_dynamics.py",
    "eval serial": "tests/evaluation/test_dynamics.py",
    "eval distill": "tests/evaluation/test_eval_distillation.py",
    "eval compare": "tests/evaluation/test_taught.py",
    "eval unlearning": "tests/evaluation/test_unlearning.py",
    "eval nightly": "tests/evaluation/test_nightly.py",
    "eval security": "tests/security/test_attacks.py",
    "bench scale": "tests/evaluation/test_scale.py",
    "bench serving": "tests/server/test_proxy.py",
    "bench cost": "tests/evaluation/test_report.py",
    "bench pages": "tests/evaluation/test_report.py",
}
"""Verbs that are not run from a page, and the tests of what they do."""
MADE_UP = re.compile(r"\bfact_[0-9a-f]{4}\b|\b3f9c\.\.\.")
"""Ids that no memory has: such a line has to say so, by the exit code for it."""


LOGS = shutil.ignore_patterns("chroma.sqlite3-*")
"""Chroma closes its file behind the handle, so its log may go while it is copied; an index is healed on open."""


@dataclass(frozen=True)
class Line:
    """One command of a page: what its shell would hand to it."""

    page: str
    text: str
    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def verb(self) -> str:
        first = GROUP.commands.get(self.words[0])
        return " ".join(self.words[: 2 if hasattr(first, "commands") else 1])


def shell(text: str) -> Iterator[str]:
    """The lines of a page that are meant for a shell, in their order."""
    language = ""
    for line in text.splitlines():
        if line.startswith("```"):
            language = "" if language else line[3:] or "text"
        elif language in ("console", "bash", "shell") or (not language and line.startswith("    ")):
            yield line.strip()


def lines(page: Path) -> list[Line]:
    """The calls of `memory-agent` on a page. Cron's times before a call, and what a pipe does with it, are left out."""
    found, exported = [], {}
    for text in shell(page.read_text("utf-8")):
        if text.startswith("export "):
            exported |= dict(word.split("=", 1) for word in shlex.split(text)[1:])
        call = re.search(r"(?:^|[\s/(])memory-agent (?=[a-z])", text)
        if call is None or text.startswith(("memory-agent VERB", "podman")):
            continue
        before = [w.split("=", 1) for w in shlex.split(text[: call.start()]) if ASSIGNMENT.fullmatch(w)]
        words: list[str] = []
        for word in shlex.split(text[call.end() :].replace("\\%", "%"), comments=True):
            if word in ("|", ">", ">>", "&", "&&"):
                break
            words.append(word)
        found.append(Line(page.relative_to(ROOT).as_posix(), text, tuple(words), exported | dict(before)))
    return found


ALL = [line for page in PAGES for line in lines(page)]


@pytest.mark.parametrize("line", ALL, ids=lambda line: f"{line.page}: {' '.join(line.words)[:60]}")
def test_every_command_is_one_that_the_command_line_takes(line: Line) -> None:
    group, words = GROUP, list(line.words)
    while hasattr(group, "commands"):
        group = group.commands[words.pop(0)]
    group.make_context(line.verb, words)


def test_what_is_not_run_from_a_page_has_tests_of_its_own() -> None:
    for verb, file in ELSEWHERE.items():
        assert (ROOT / file).exists(), f"{verb}: {file}"
    assert set(ELSEWHERE) - {line.verb for line in ALL} <= {
        "eval unlearning",
        "eval nightly",
        "bench pages",
        "bench cost",
    }


def runs(line: Line) -> bool:
    """Whether a line is run here; one that a paid model would answer by tests/consolidation/test_llm_over_http.py."""
    if "--extractor" in line.words and "offline" not in line.words:
        return False
    if "postgresql://" in line.text or line.verb not in ELSEWHERE:
        return "postgresql://" not in line.text
    return line.verb == "inspect" and "--export" in line.words


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted: a memory of Alice's, keys, backups, another disk."""
    folder = tmp_path_factory.mktemp("world")
    for place in ("disk", "home/keys", "srv/agent", "work/examples"):
        (folder / place).mkdir(parents=True)
    for name in ("memory", "erasure", "adapters", "next"):
        (folder / "home" / "keys" / name).write_bytes(base64.b64encode(bytes(range(32))))
        (folder / "home" / "keys" / name).chmod(0o600)
    shutil.copytree(ROOT / "examples" / "data", folder / "work" / "examples" / "data")
    shutil.copy(ROOT / "examples" / "extend" / "own_predicates.json", folder / "work")
    turn = {"role": "user", "speaker": "alice", "at": "2025-02-01T10:00:00+00:00"}
    with Memory.open(folder / "work" / "memory", user="alice", embedder=HashEmbedder(384)) as memory:
        memory.add(
            [turn | {"content": "I live in Porto.", "id": "t1"}, turn | {"content": "I play chess.", "id": "t2"}]
        )
    from memory_agent.backup import backup

    store = str(folder / "work" / "memory")
    backup(store, folder / "work" / "monday.backup")
    with Memory.open(store, user="alice", embedder=HashEmbedder(384)) as memory:
        memory.forget("t2", reason="asked to")
    backup(store, folder / "work" / "thursday.backup")
    shutil.copytree(store, folder / "work" / "memory-damaged", ignore=LOGS)
    return folder


Shell = Callable[[Line], tuple[int, str]]


@pytest.fixture
def run(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A line in a copy of the world: its exit code and what it wrote. The embedder is one of hashes, made once."""
    here = tmp_path / "world"
    shutil.copytree(world, here, ignore=LOGS)
    monkeypatch.chdir(here / "work")
    monkeypatch.setenv("MEMORY_AGENT_CACHE", str(CACHE))  # what was converted once is not converted again
    monkeypatch.setenv("HOME", str(here / "home"))
    monkeypatch.setattr("memory_agent.models.embedders.load_embedder", lambda settings: HASHES)
    for name in [name for name in os.environ if name.startswith("MEMORY_AGENT_") and name != "MEMORY_AGENT_CACHE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MEMORY_AGENT_USER", "alice")
    places = {
        "/root/": f"{here / 'home'}/",
        "/mnt/other-disk": str(here / "disk"),
        "/srv/": f"{here / 'srv'}/",
        "~/": f"{here / 'home'}/",
    }

    def there(word: str) -> str:
        for said, place in places.items():
            word = word.replace(said, place)
        return word.replace("$(date +%F)", "2026-11-25")

    def call(line: Line) -> tuple[int, str]:
        words = [there(word) for word in line.words]
        if "restore" in words and "--check" not in words:  # the next way to do the same
            shutil.rmtree("memory-again", ignore_errors=True)
        with monkeypatch.context() as patch:
            for name, value in line.environment.items():
                patch.setenv(name, there(value))
            said = command(capsys, *words)
        return said.code, said.out + said.err

    return call


def _hashes() -> Any:
    from memory_agent.models.embedders import Embedder

    return Embedder(HashEmbedder(384), "HashEmbedder")


HASHES = _hashes()
CACHE = Settings().cache_folder()


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, lines(page)))], ids=lambda page: page.name)
def test_the_commands_of_a_page_run_one_after_the_other(page: Path, run: Shell) -> None:
    for line in filter(runs, lines(page)):
        code, said = run(line)
        made_up = bool(MADE_UP.search(line.text))
        assert code in ((exits.NOT_FOUND, exits.FAILED) if made_up else (exits.DONE,)), f"{line.text}\n{said}"
        assert "unexpected" not in said, f"{line.text}\n{said}"


def snippets(page: Path) -> list[str]:
    return [code for language, code in FENCE.findall(page.read_text("utf-8")) if language == "python"]


def cheap(code: str) -> ast.Module:
    """The snippet without the call that trains for minutes."""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not ast.unparse(node).startswith("memory.distill(")]
    return tree


@pytest.fixture
def upstream() -> Iterator[tuple[str, str]]:
    """A server of OpenAI's kind over real HTTP, and its key."""
    settings = Settings(student="none", model="local")
    with Memories("memory://", embedder=HashEmbedder(64), settings=settings) as memories:
        app = create_app(memories, Options(model=ScriptedChatModel(replies=lambda messages: "Noted.")))
        key, _ = app.state.serving.keys.create(tenant=memories.settings.tenant, role="writer")
        with served(app) as url:
            yield url, key


def names(memory: Memory) -> dict[str, Any]:
    """What the pages say of themselves before a snippet, or is theirs to bring."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
    from langgraph.graph import START, MessagesState, StateGraph
    from openai import OpenAI

    builder = StateGraph(MessagesState)
    builder.add_node("answer", lambda state: {"messages": []})
    builder.add_edge(START, "answer")
    return {
        "memory": memory,
        "model": ScriptedChatModel(replies=lambda messages: "Noted."),
        "prompt": ChatPromptTemplate.from_messages([MessagesPlaceholder("messages")]),
        "builder": builder,
        "fact_id": memory.facts()[0].id,
        "OpenAI": OpenAI,
        "StrOutputParser": StrOutputParser,
        "datetime": datetime,
        "UTC": UTC,
        "Path": Path,
    }


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=lambda page: page.name)
def test_the_python_of_a_page_runs(
    page: Path, upstream: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, key = upstream
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("memory_agent.models.embedders.load_embedder", lambda settings: HASHES)
    student = str(tiny_student(tmp_path / "student"))
    environment = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": f"{url}/v1", "MEMORY_AGENT_STUDENT": student}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # The server in the model's place is one of ours, and wants to know whose words it hears.
    monkeypatch.setattr("openai.resources.chat.completions.Completions.create", _for_somebody())
    turn = {"role": "user", "speaker": "alice", "content": "I live in Porto.", "at": "2025-02-01T10:00:00+00:00"}
    settings = Settings(student=student)
    with Memory.open("memory://", user="alice", embedder=HashEmbedder(64), settings=settings) as memory:
        memory.add([turn])
        memory.consolidate()
        given = names(memory)
        for code in snippets(page):
            told = code.replace("http://127.0.0.1:8765", url).replace("sw_...", key)
            given["memory"] = memory  # a snippet may have closed one of its own under that name
            exec(compile(cheap(told), page.name, "exec"), given)  # a page's later snippets go on from its earlier ones


def _for_somebody() -> Callable[..., Any]:
    from openai.resources.chat.completions import Completions

    create = Completions.create

    def named(self: Completions, **body: Any) -> Any:
        return create(self, **{"user": "alice", **body})

    return named


@pytest.mark.soak
@pytest.mark.model
def test_the_tutorial_to_the_letter_and_what_readme_calls_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "examples" / "data")
    monkeypatch.chdir(tmp_path)
    for line in lines(DOCS / "tutorial.md"):
        for name, value in line.environment.items():
            monkeypatch.setenv(name, value)
        said = command(capsys, *line.words)
        assert said.code == exits.DONE, f"{line.text}\n{said.out}"
        if line.verb == "ask":
            assert ("Lund" in said.out) is ("adapter" in line.words), said.out
    with Memory.open("nora-memory", user="nora") as memory:
        given: dict[str, Any] = {"memory": memory, "fact_id": memory.facts(predicate="lives_in")[0].id}
        exec(snippets(ROOT / "README.md")[1].replace("alice", "nora").replace("Alice", "Nora Lindqvist"), given)
