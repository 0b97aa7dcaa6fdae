"""The shell of a page that stands alone: one file, no network, no script but the one it names by hash.

Remembered text is untrusted. It reaches a page in two ways only: through `esc`, as text, or
through `as_json`, as data that scripts put into the page with `textContent`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from importlib import resources
from typing import Any

# Direction overrides and invisible controls can make a line read as what it is not.
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def esc(text: object) -> str:
    """`text` as HTML text or attribute value, its control and direction marks made visible as U+FFFD."""
    return html.escape(_CONTROLS.sub("\ufffd", str(text)), quote=True)


def as_json(data: Any) -> str:
    """`data` as JSON that can stand inside a script element: it cannot close it."""
    text = json.dumps(data, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def asset(name: str) -> str:
    """The text of a file in views/assets."""
    return resources.files("memory_agent.views").joinpath("assets", name).read_text(encoding="utf-8")


def page(title: str, body: str, *, script: str = "", data: Any = None, whole: bool = False) -> str:
    """A whole HTML document. `body` is trusted HTML, `title` is text, `data` is read by `script` from #data.

    `whole` lets the page fill the window and scroll inside its parts.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}; base-uri 'none'"
    embedded = "" if data is None else f'<script type="application/json" id="data">{as_json(data)}</script>\n'
    running = f"<script>{script}</script>\n" if script else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{esc(title)}</title>\n<style>{asset('page.css')}</style>\n</head>\n"
        f'<body class="{"whole" if whole else "flow"}">\n{body}\n'
        f"{embedded}{running}</body>\n</html>\n"
    )
