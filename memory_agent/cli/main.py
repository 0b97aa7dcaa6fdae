"""The command line's door: the verbs, and what an error looks like to a person or a script."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from memory_agent.cli import (
    adapters,
    care,
    exits,
    guard,
    learn,
    look,
    measure,
    operate,
    privacy,
    recall,
    safe,
    serve,
    take,
    tend,
)
from memory_agent.cli.place import Store, Tenant, User
from memory_agent.errors import MemoryAgentError

app = typer.Typer(
    name="memory-agent",
    help="Memory for language-model agents: what was said, what is true, and what is known by heart.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for family in (take, recall, look, learn, adapters, care, safe, tend, guard, privacy, operate, serve):
    family.register(app)
app.add_typer(measure.app, name="eval")
app.add_typer(measure.bench, name="bench")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("slowwave"))
        raise typer.Exit


@app.callback()
def everywhere(
    store: Store = None,
    user: User = None,
    tenant: Tenant = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Memory for language-model agents: what was said, what is true, and what is known by heart."""


def main() -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:]
    debug, machine = "--debug" in arguments, "--json" in arguments
    try:
        app(args=[argument for argument in arguments if argument != "--debug"])
    except MemoryAgentError as error:
        if debug:
            raise
        sys.exit(_tell(error, str(error), machine))
    except OSError as error:  # a file that was named and cannot be read or written, a full disk, a port that is taken
        if debug:
            raise
        sys.exit(_tell(error, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", machine))
    except Exception as error:  # the one place where nothing may pass: people get a message
        if debug:
            raise
        sys.exit(
            _tell(error, f"unexpected {type(error).__name__}: {error} (run it with --debug to see where)", machine)
        )


def _tell(error: Exception, message: str, machine: bool) -> int:
    """Say on stderr what went wrong; the exit code."""
    code = exits.code_for(error)
    told: dict[str, Any] = {"error": type(error).__name__, "message": message, "exit_code": code}
    print(json.dumps(told) if machine else f"memory-agent: {message}", file=sys.stderr)  # noqa: T201
    return code
