"""Pages of the site that are made from the code while it is built (mkdocs calls the hooks at the end).

reference/commands.md   every verb of the command line with its options, from typer
reference/settings.md   every setting, from pydantic
reference/errors.md     every error, with its exit code and HTTP status
reference/rest.md       every route of the server, from its OpenAPI document
reference/records.md    every kind of record, as exports and the REST API hold it
examples/*.md           each example as a page, so that links to one stay within the site
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
EXAMPLES = Path(__file__).parents[1] / "examples"


def text(words: str | None) -> str:
    """Words as they can stand in a cell of a table."""
    return " ".join((words or "").split()).replace("|", "\\|").replace("<", "&lt;")


def attribute_docs(cls: type) -> dict[str, str]:
    """The string under each annotated name of a class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for one, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            said = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            found[one.target.id] = str(following.value.value) if said else ""
    return found


def annotation(cls: type, name: str) -> str:
    """A field's type as it is written in the code."""
    for base in cls.__mro__:
        if name in vars(base).get("__annotations__", {}):
            return str(vars(base)["__annotations__"][name])
    return ""


def commands() -> str:
    """Every verb with its arguments and options."""
    import typer

    from memory_agent.cli import main

    def walk(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, f"{prefix}{name} ")
            else:
                yield prefix + name, command

    lines = ["# Every verb and option", "", "By what they are for, with examples: [the command line](cli.md)."]
    for name, command in sorted(walk(typer.main.get_command(main.app))):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        usage = " ".join(["memory-agent", name, *(_argument(p) for p in arguments), "[OPTIONS]"])
        lines += [f"\n## {name}", f"    {usage}\n", inspect.cleandoc(command.help or "").split("\n\n")[0], ""]
        lines += ["| option | what it does |", "|---|---|"]
        lines += [f"| {_option(p)} | {text(p.help)} |" for p in options]
    return "\n".join(lines) + "\n"


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name).upper().strip("[]")
    return name if parameter.required else f"[{name}]"


def _option(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    default = f", by default `{parameter.default}`" if isinstance(parameter.default, int | float | str) else ""
    return f"{names} …{', again for more' if parameter.multiple else ''}{default}"


def settings() -> str:
    """Every setting with its variable, type and default."""
    from memory_agent.config import PREFIX, Settings

    said = attribute_docs(Settings)
    lines = ["# Settings", "", inspect.getdoc(sys.modules[Settings.__module__]) or "", ""]
    lines += ["| variable | type | default | what it sets |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = f"`{field.default!r}`" if field.default not in ("", None) else "empty"
        lines.append(
            f"| `{PREFIX}{name.upper()}` | `{text(annotation(Settings, name))}` | {default} | {text(said[name])} |"
        )
    lines.append("| `MEMORY_AGENT_ONTOLOGY` | file | empty | Predicates of your own (one for the process); no field. |")
    lines += ["", "In code each is a field of `Settings`: `Memory.open(..., settings=Settings(threads=2))`."]
    return "\n".join(lines) + "\n"


def errors() -> str:
    """The tree of errors, and what each becomes on the command line and over HTTP."""
    from memory_agent import errors as module
    from memory_agent.cli.exits import code_for
    from memory_agent.errors import MemoryAgentError, MissingExtra
    from memory_agent.server.problems import status_of

    tree = (inspect.getdoc(module) or "").split("\n\n")[1]
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, MemoryAgentError)]
    lines = ["# Errors", "", "Every error raised on purpose. Messages name the thing and the way out.", "", tree, ""]
    lines += ["| error | meaning | exit code | HTTP status |", "|---|---|---|---|"]
    for kind in kinds:
        one = kind("x", "y") if kind is MissingExtra else kind("x")
        lines.append(f"| `{kind.__name__}` | {text(kind.__doc__)} | {code_for(one)} | {status_of(one)} |")
    lines += [
        "",
        "All of them are importable from `memory_agent.errors`. [Exit codes](cli.md) · [the server](server.md)",
    ]
    return "\n".join(lines) + "\n"


def rest() -> str:
    """Every route with what it takes and gives."""
    from memory_agent.memories import Memories
    from memory_agent.server import create_app
    from memory_agent.testing import HashEmbedder

    with Memories("memory://", embedder=HashEmbedder(8)) as memories:
        document = create_app(memories).openapi()
    lines = ["# REST routes", "", "Keys, roles and limits: [the server](server.md). A running server has this as", ""]
    lines[-1] = "`/openapi.json` and, to try out, at `/docs`. Errors are [problem documents](errors.md)."
    by_tag: dict[str, list[str]] = {}
    for path, methods in sorted(document["paths"].items()):
        for method, route in sorted(methods.items()):
            tag = (route.get("tags") or ["other"])[0]
            by_tag.setdefault(tag, []).append(_route(method, path, route))
    for tag, rows in sorted(by_tag.items()):
        lines += [f"\n## {tag.capitalize()}", "| route | what it does | takes | gives |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _route(method: str, path: str, route: dict[str, Any]) -> str:
    takes = [f"`{p['name']}`" for p in route.get("parameters", []) if p["in"] == "query"]
    if body := route.get("requestBody"):
        takes.append(_schema(next(iter(body["content"].values()))["schema"]))
    gives = [
        f"{status} {_schema(content['schema']) if 'schema' in content else ''}".strip()
        for status, answer in route["responses"].items()
        if status.startswith("2")
        for content in list(answer.get("content", {}).values())[:1] or [{}]
    ]
    said = route.get("description") or route.get("summary")
    return f"| `{method.upper()} {path}` | {text(said)} | {' '.join(takes)} | {', '.join(gives)} |"


def _schema(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if schema.get("type") == "array":
        return f"list of {_schema(schema.get('items', {}))}"
    return "" if not schema.get("type") else f"{schema['type']}"


def records() -> str:
    """Every kind of record with its fields."""
    from memory_agent.records import STORED, Source, Turn

    lines = ["# Records", "", "What a memory holds, as Python objects (`memory_agent.records`), as the lines of an", ""]
    lines[-1] = "[export](files.md) and as the REST API gives it. All are frozen; times are UTC."
    for cls in (Turn, *STORED, Source):
        said: dict[str, str] = {}
        for base in reversed([b for b in cls.__mro__ if b.__module__ == cls.__module__]):
            said |= {name: words for name, words in attribute_docs(base).items() if words or name not in said}
        lines += [f"\n## {cls.__name__}", inspect.getdoc(cls) or "", "", "| field | type | |", "|---|---|---|"]
        for name in cls.model_fields:
            lines.append(f"| `{name}` | `{text(annotation(cls, name))}` | {text(said.get(name))} |")
    return "\n".join(lines) + "\n"


PAGES = {"commands": commands, "settings": settings, "errors": errors, "rest": rest, "records": records}


def examples() -> dict[str, str]:
    """Each example as a page, by its path from examples/ without the suffix."""
    found = {}
    for file in sorted([*EXAMPLES.rglob("*.py"), *EXAMPLES.rglob("*.json")]):
        name = file.relative_to(EXAMPLES).with_suffix("").as_posix()
        found[name] = f"# {file.name}\n\n```{file.suffix[1:]}\n{file.read_text('utf-8')}```\n"
    return found


def on_config(config: Any) -> Any:
    """Put each page that the navigation leaves out into the section of its folder, so that none has to be listed."""
    sections = {"how-to": "How to", "concepts": "Concepts", "reference": "Reference"}
    listed = set(re.findall(r"[\w/-]+\.md", str(config.nav)))
    for file in sorted(DOCS.rglob("*.md")):
        name = file.relative_to(DOCS).as_posix()
        if name in listed:
            continue
        title = sections.get(file.parent.name, file.parent.name.capitalize())
        section = next((one for one in config.nav if isinstance(one, dict) and title in one), None)
        if section is None:
            config.nav.append(section := {title: []})
        section[title].append(name)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages to the site."""
    from mkdocs.structure.files import File, InclusionLevel

    for name, page in PAGES.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    for name, content in examples().items():
        made = File.generated(config, f"examples/{name}.md", content=content)
        made.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(made)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Lead links to examples to their pages; of links to other files of the repository, leave the words."""
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\((?:\.\./)+examples/([\w/]+)\.\w+\)", rf"({up}examples/\1.md)", markdown)
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+(?:memory_agent|stores|tests|README|CONTRIBUTING)[^)]*\)", r"\1", markdown)
