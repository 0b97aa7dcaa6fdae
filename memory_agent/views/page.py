"""The shell of a page that stands alone, one file and no network, and how remembered text gets into one.

Remembered text is untrusted. It reaches a page in two ways only: through `esc`, as text, or
through `as_json`, as data that scripts put into the page with `textContent`.
"""

from __future__ import annotations

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
    return resources.files("memory_agent.views").joinpath("assets", *name.split("/")).read_text(encoding="utf-8")


def page(title: str, body: str) -> str:
    """A whole HTML document without scripts. `body` is trusted HTML, `title` is text."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{esc(title)}</title>\n<style>{asset('page.css')}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
