"""The documentation: it builds strictly, names only what exists, and everything there is stands in it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer

import memory_agent
from memory_agent.cli import main
from memory_agent.config import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`|^    .+$", re.MULTILINE)
PARTS = ("memory_agent/", "stores/", "tests/", "examples/", "docs/")


@pytest.fixture(scope="module")
def generate() -> Any:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Loads(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(named.get("src") or "")
        if tag == "link" and named.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.found.append(named.get("href") or "")


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    built = sorted(tmp_path.rglob("*.html"))
    assert len(built) > len(PAGES)
    for file in built:
        loads = _Loads()
        loads.feed(file.read_text("utf-8"))
        assert not [to for to in loads.found if to.startswith(("http:", "https:", "//"))], file.name


def test_everything_is_documented(generate: Any) -> None:
    def cells(page: str) -> list[list[str]]:
        return [
            [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in page.splitlines() if line[:3] == "| `"
        ]

    settings = cells(generate.settings())
    assert len(settings) == len(Settings.model_fields) + 1
    assert [row[0] for row in settings if not row[3]] == []
    errors = cells(generate.errors())
    assert len(errors) == sum(isinstance(k, type) for k in vars(memory_agent.errors).values())
    assert [row[0] for row in errors if not row[1]] == []
    rest = cells(generate.rest())
    assert len(rest) > 40
    assert [row[0] for row in rest if not row[1]] == []
    verbs = re.findall(r"^## (.+)$", generate.commands(), re.MULTILINE)
    assert len(verbs) > 40
    undescribed = [row[0] for row in cells(generate.commands()) if not row[1]]
    assert undescribed == [], "options without help"
    public = (DOCS / "reference" / "api.md").read_text("utf-8")
    assert [name for name in memory_agent.__all__ if name not in re.findall(r"\w+", public)] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_page_names_a_file_a_module_or_a_verb_that_is_not_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for path in re.findall(r"[\w./-]+\.(?:py|json|md|cjs|js|svg|jsonl)\b", text):
        if path.startswith(PARTS):
            assert (ROOT / path).exists(), path
    for name in set(re.findall(r"\bmemory_agent(?:\.[a-z_]\w*)+", text)):
        if name in ("memory_agent.stores", "memory_agent.trainers"):  # groups of entry points
            continue
        module, _, last = name.rpartition(".")
        if importlib.util.find_spec(module) and not importlib.util.find_spec(name):
            assert hasattr(importlib.import_module(module), last), name
    group: Any = typer.main.get_command(main.app)
    for code in CODE.findall(text) + [block for _, block in FENCE.findall(text)]:
        for verb, below in re.findall(r"memory-agent +([a-z][a-z-]*)(?: +([a-z][a-z-]*))?", code):
            assert verb in group.commands, f"memory-agent {verb}"
            under = group.commands[verb]
            if hasattr(under, "commands") and below:
                assert below in under.commands, f"memory-agent {verb} {below}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_snippets_are_python_and_import_what_is_there(page: Path) -> None:
    for language, snippet in FENCE.findall(page.read_text("utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(snippet)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("memory_agent"):
                module = importlib.import_module(node.module or "")
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module}.{name.name}"


def test_the_tutorial_names_a_file_that_is_there_and_verbs_with_their_options() -> None:
    """Each command is parsed as the command line would, without being run."""
    group: Any = typer.main.get_command(main.app)
    lines = [
        line
        for language, block in FENCE.findall((DOCS / "tutorial.md").read_text("utf-8"))
        if language == "console"
        for line in block.splitlines()
    ]
    assert len(lines) == 12
    for line in lines:
        command, verb, *words = shlex.split(line)
        assert command == "memory-agent"
        options = {option for parameter in group.commands[verb].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line
        for word in words:
            assert not word.startswith("examples/") or (ROOT / word).exists(), word


def test_the_walk_through_the_house_names_files_of_every_room() -> None:
    text = (DOCS / "architecture.md").read_text("utf-8").partition("## One turn")[2]
    named = {Path(path) for path in re.findall(r"(?:memory_agent|stores)/[\w/]+\.(?:py|json)", text)}
    assert len(named) > 30
    rooms = {path.parts[1] for path in named if path.parts[0] == "memory_agent" and len(path.parts) > 2}
    assert {"episodic", "semantic", "consolidation", "retrieval", "distillation", "models", "working"} <= rooms
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_public_face_is_frozen() -> None:
    """Names and arguments that others rely on. What changes here changes for every user: CHANGELOG.md says so."""
    import inspect
    from functools import cached_property

    def face(cls: type) -> dict[str, str]:
        return {
            name: ", ".join(inspect.signature(getattr(cls, name)).parameters)
            if callable(getattr(cls, name))
            else "read"
            for name in vars(cls)
            if not name.startswith("_")
            and (callable(getattr(cls, name)) or isinstance(vars(cls)[name], property | cached_property))
        }

    from memory_agent.agent import Agent
    from memory_agent.compat import Memory as Mem0
    from memory_agent.faces import Blocks, Privacy, Retention, Review

    kinds = {"Memory": memory_agent.Memory, "Agent": Agent, "compat.Memory": Mem0}
    groups = {kind.__name__: kind for kind in (Blocks, Privacy, Retention, Review)}
    now = {"names": memory_agent.__all__, **{name: face(kind) for name, kind in (kinds | groups).items()}}
    frozen = json.loads((Path(__file__).parent / "face.json").read_text("utf-8"))
    assert now == frozen


def extras() -> set[str]:
    import tomllib

    return set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])


def test_every_extra_is_explained_and_the_container_installs_extras_that_exist() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / "how-to" / "install.md").read_text("utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w[\w-]*)`", row)} == extras()
    (made,) = re.findall(r"^EXTRAS := (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    said = re.findall(r"-e ['\"]\.\[(.+?)\]", (DOCS / "how-to" / "install.md").read_text("utf-8"))
    assert said == [made] * 2, "who has no make installs what `make setup` installs"
    container = (ROOT / "Containerfile").read_text("utf-8")
    (wanted,) = re.findall(r"^ARG EXTRAS=(.+)$", container, re.MULTILINE)
    assert set(wanted.split(",")) < extras()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", container, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
            assert f"!{name}" in (ROOT / ".containerignore").read_text("utf-8").splitlines(), name


def test_the_release_checks_know_every_extra() -> None:
    text = (ROOT / "tools" / "release.py").read_text("utf-8")
    (brings,) = re.findall(r"^BRINGS = (\{.*?^\})", text, re.MULTILINE | re.DOTALL)
    assert set(ast.literal_eval(brings)) == extras()


def numbers(text: str) -> set[tuple[float, int]]:
    """Numbers with how many digits they have after the point; links and code are none."""
    bare = re.sub(r"\]\([^)]*\)|`[^`]*`", " ", text)
    return {
        (float(n.replace(",", "")), len(n.partition(".")[2]))
        for n in re.findall(r"(?<![\w.])\d[\d,]*\.?\d*(?!\w)", bare)
    }


def test_readme_says_what_the_pages_it_links_to_say() -> None:
    """Each number of a row about costs stands, rounded at most, on one of the pages that the row names."""
    rows = re.findall(
        r"^\| .+$", (ROOT / "README.md").read_text("utf-8").partition("## What it costs")[2], re.MULTILINE
    )
    checked = 0
    for row in (row for row in rows if "](docs/" in row):
        pages = [(ROOT / link).read_text("utf-8") for link in re.findall(r"\]\((docs/[\w/-]+\.md)\)", row)]
        there = {n for page in pages for n, _ in numbers(page)}
        for number, digits in numbers(row):
            near = 0.5000001 * 10**-digits
            assert any(abs(number - n) <= near or abs(number * 1000 - n) <= 50 for n in there), f"{number}: {row}"
            checked += 1
    assert checked >= 6


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 200
