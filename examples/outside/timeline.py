"""A timeline out of an export: what became true when, as a web page. Reads the file only; slowwave is not needed.

memory-agent export nora.jsonl && python examples/outside/timeline.py nora.jsonl timeline.html
"""

import html
import json
import sys
from pathlib import Path
from typing import Any


def facts(export: Path) -> list[dict[str, Any]]:
    """The facts of an export that are believed now and have a date, the oldest first."""
    first, *lines = [json.loads(line) for line in export.read_text("utf-8").splitlines()]
    if first.get("format") != "slowwave/memory":
        raise SystemExit(f"{export} is no export of a memory")
    dated = [one for one in lines if one["kind"] == "fact" and one["retired_at"] is None and one["valid_from"]]
    return sorted(dated, key=lambda fact: str(fact["valid_from"]))


def page(found: list[dict[str, Any]]) -> str:
    """The timeline; remembered text is text, never markup."""
    rows = "".join(
        f"<li class={fact['status']}><b>{html.escape(fact['valid_from'])}</b>"
        f" {html.escape(fact['text'])} <q>{html.escape(fact['sources'][0]['quote'])}</q></li>"
        for fact in found
    )
    return f"<!doctype html><meta charset=utf-8><title>Timeline</title><ol>{rows}</ol>"


def main() -> None:
    """Write the page."""
    export, out = (Path(name) for name in sys.argv[1:3])
    out.write_text(page(facts(export)), "utf-8")


if __name__ == "__main__":
    main()
