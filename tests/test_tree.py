"""What linters do not hold: files stay under 500 lines, functions under 60.

Those that were longer when this was written are named; the list may only become shorter. Tables of rules read top to
bottom, and a signature of ten arguments, are why some of them stand.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    file for part in ("memory_agent", "stores", "tests", "examples", "tools") for file in (ROOT / part).rglob("*.py")
]
LONG_FILES: set[str] = set()
LONG_FUNCTIONS = {
    "memory_agent/consolidation/offline/copula.py _complement",
    "memory_agent/consolidation/offline/copula.py _word",
    "memory_agent/evaluation/unlearning.py run",
    "memory_agent/retrieval/search.py search",
}


def test_files_are_short() -> None:
    long = {name(file) for file in FILES if len(file.read_text("utf-8").splitlines()) > 500}
    assert long <= LONG_FILES, "split them"


def test_functions_are_short() -> None:
    long = {
        f"{name(file)} {node.name}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    }
    assert long <= LONG_FUNCTIONS, "split them"


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()
