"""What every verb shares: which store and user it works on, and how it shows what it found.

A verb is a function `(place, ...)`, registered by `@verb(app)`. The decorator gives it the options
that all verbs have, so that they may stand before the verb or after it.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from memory_agent.memory import Memory
    from memory_agent.protocols import Progress

Store = Annotated[
    str | None,
    typer.Option("--store", help="Path or URL of the store [MEMORY_AGENT_STORE, else ./memory]."),
]
User = Annotated[str | None, typer.Option("--user", help="Whose memory [MEMORY_AGENT_USER].")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="The user's tenant [MEMORY_AGENT_TENANT, else default].")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_SHARED: Mapping[str, Any] = {"store": Store, "user": User, "tenant": Tenant}

_ROOM = 62
"""Characters beside the name of a verb, on a screen of 80 columns."""

F = TypeVar("F", bound=Callable[..., None])


@dataclass(frozen=True)
class Place:
    """The store and user a verb was called for, and whether a machine reads along."""

    store: str | None = None
    user: str | None = None
    tenant: str | None = None
    json: bool = False

    @contextmanager
    def memory(self, *, rebuild: bool = False, existing: bool = False, **given: Any) -> Iterator[Memory]:
        """The user's memory, open, under the environment's settings but for those `given`.

        `existing`: for what only reads, where a store that is not there is a mistyped one and not to be made.
        Raises NotFound for that, and as `Memory.open`.
        """
        from memory_agent.config import Settings
        from memory_agent.errors import NotFound
        from memory_agent.memory import Memory
        from memory_agent.space import path_of, space_key

        settings = Settings.load(**given)
        space_key(self.tenant or settings.tenant, self.user or settings.user)
        folder = path_of(self.store or settings.store)
        if existing and folder is not None and not folder.is_dir():
            raise NotFound(f"no memory is at {folder}: name another with --store, or begin one with `ingest`")
        with Memory.open(self.store, user=self.user, tenant=self.tenant, rebuild=rebuild, settings=settings) as memory:
            yield memory

    def emit(self, found: BaseModel | Mapping[str, Any] | Sequence[Any], show: Callable[[Console], None]) -> None:
        """Write what was found: as one JSON document for a machine, else through `show` for a person."""
        if self.json:
            typer.echo(_as_json(found))
        else:
            show(console())

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress]:
        """How far it is and the time left, on stderr: a bar on a terminal, elsewhere a line a minute.

        What a machine reads is on stdout, so it is told with `--json` too.
        """
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        shown = Console(stderr=True)
        if not shown.is_terminal:
            yield lines(what, shown.file.write)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=shown, transient=True) as bar:
            task = bar.add_task(what, total=1.0)
            yield lambda share, word: bar.update(task, completed=share, description=f"{what}: {word}" if word else what)


def lines(
    what: str, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic, every: float = 60.0
) -> Progress:
    """Progress for a log: a line whenever `every` seconds have passed, so that what is over by then writes none."""
    line_at = clock()
    seen: tuple[float, float] | None = None
    """When it was how far, at the first call and then at the last line: the pace since then tells the time left."""

    def told(share: float, word: str) -> None:
        nonlocal line_at, seen
        now = clock()
        at, done = seen = seen or (now, share)
        if now - line_at < every:
            return
        left = f", about {(now - at) * (1 - share) / (share - done) / 60:.0f} min left" if share > done else ""
        line_at, seen = now, (now, share)
        write(f"{what}: {share:.0%}{left}{': ' if word else ''}{word}\n")

    return told


def console() -> Console:
    """Where people read: stdout, in colour when it is a terminal."""
    from rich.console import Console

    return Console(highlight=False)


def verb(app: typer.Typer, name: str | None = None) -> Callable[[F], F]:
    """Register `function(place, ...)` as a verb of `app`, with the options every verb has."""

    def register(function: F) -> F:
        hints = get_type_hints(function, include_extras=True)
        own = list(inspect.signature(function).parameters.values())[1:]
        parameters = [p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        for option, annotation in (*_SHARED.items(), ("json", Json)):
            default = False if option == "json" else None
            parameters.append(
                inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )

        def call(ctx: typer.Context, **given: Any) -> None:
            before: Mapping[str, Any] = ctx.find_root().params
            shared = {option: given.pop(option) or before.get(option) for option in _SHARED}
            function(Place(json=given.pop("json"), **shared), **given)

        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        call.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in (context, *parameters)}
        call.__doc__ = function.__doc__
        app.command(name or function.__name__, short_help=_brief(function.__doc__ or ""))(call)
        return function

    return register


def _brief(doc: str) -> str:
    """The first sentence, or as many of its clauses as a list of verbs has room for: click would cut within one."""
    brief = re.split(r"\.(?:\s|$)", " ".join(doc.split()))[0]
    if len(brief) > _ROOM:
        brief = re.split("[:;]", brief)[0]
    while len(brief) > _ROOM and "," in brief:
        brief = brief.rpartition(",")[0]
    return f"{brief}."


def _as_json(found: BaseModel | Mapping[str, Any] | Sequence[Any]) -> str:
    """One JSON document; records become objects, times ISO text."""
    from pydantic import TypeAdapter

    return TypeAdapter(Any).dump_json(found, indent=2, serialize_as_any=True).decode()
