"""Verbs that let others in: `serve`, and `key` for the keys they come with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from memory_agent.cli.place import Place, verb

if TYPE_CHECKING:
    from rich.console import Console

    from memory_agent.server.keys import Keys

app = typer.Typer(help="API keys: each opens one tenant, as reader, writer or admin.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    verb(parent)(serve)
    verb(parent)(mcp)
    parent.add_typer(app, name="key")


def serve(
    place: Place,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8765,
    model: Annotated[str | None, typer.Option(help="Model behind the proxy [MEMORY_AGENT_MODEL].")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="OpenAI-compatible server behind the proxy [MEMORY_AGENT_BASE_URL].")
    ] = None,
    rate: Annotated[int, typer.Option(min=0, help="Most requests a minute of one key; 0 for no limit.")] = 1200,
) -> None:
    """Serve REST, the OpenAI-compatible proxy and MCP over the store, until interrupted."""
    from memory_agent.config import Settings
    from memory_agent.errors import MissingExtra
    from memory_agent.memories import Memories

    try:
        from memory_agent.server.run import run
        from memory_agent.server.serving import Options
    except ImportError as error:
        raise MissingExtra("the server", "server") from error
    settings = Settings.load(store=place.store, tenant=place.tenant, user=place.user, model=model, base_url=base_url)
    with Memories(settings=settings) as memories:
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        place.emit({"url": where}, lambda out: out.print(f"Serving {settings.store} at {where} (docs at {where}/docs)"))
        run(memories, host, port, Options(requests_per_minute=rate))


def mcp(
    place: Place,
    read_only: Annotated[bool, typer.Option("--read-only", help="Offer nothing that writes.")] = False,
) -> None:
    """Speak MCP on stdin and stdout over one user's memory, for a client that starts this command."""
    from memory_agent.integrations.mcp import Access, mcp_server

    with place.memory() as memory:
        access = Access(memory, writes=not read_only)
        mcp_server(lambda: access).run("stdio")


@contextmanager
def _keys(place: Place) -> Iterator[Keys]:
    """The keys of the place's store."""
    from memory_agent.config import Settings
    from memory_agent.server.database import Database
    from memory_agent.server.keys import Keys
    from memory_agent.space import open_backend

    backend = open_backend(Settings.load(store=place.store).store)
    database = Database(backend.folder)
    try:
        yield Keys(database)
    finally:
        database.close()
        backend.ledger.close()


def create(
    place: Place,
    role: Annotated[str, typer.Option(help="reader, writer or admin; each may do what the one before it may.")],
    name: Annotated[str, typer.Option(help="Whose it is, to know it again in the list.")] = "",
) -> None:
    """Make a key for the tenant of --tenant. It is shown once; the store keeps only its hash."""
    from memory_agent.config import Settings

    with _keys(place) as keys:
        key, record = keys.create(tenant=Settings.load(tenant=place.tenant).tenant, role=role, name=name)

    def show(out: Console) -> None:
        out.print(key, markup=False, soft_wrap=True)
        out.print(f"{record.role} of {record.tenant}; keep it now, it is not shown again", style="dim", markup=False)

    place.emit({"key": key, **asdict(record)}, show)


def list_keys(place: Place) -> None:
    """List the keys there are and were; never the keys themselves."""
    with _keys(place) as keys:
        records = keys.every()

    def show(out: Console) -> None:
        for record in records:
            gone = f", revoked {record.revoked_at}" if record.revoked_at else ""
            out.print(
                f"{record.id}  {record.role} of {record.tenant}  {record.name}  {record.created_at}{gone}", markup=False
            )
        if not records:
            out.print("There are no keys: the server then answers on this machine alone.")

    place.emit([asdict(record) for record in records], show)


def revoke(place: Place, id: Annotated[str, typer.Argument(help="The key's id, from `key list`.")]) -> None:
    """Let a key open nothing from now on; a running server knows at once."""
    with _keys(place) as keys:
        record = keys.revoke(id)
    place.emit(asdict(record), lambda out: out.print(f"Revoked {record.id} at {record.revoked_at}.", markup=False))


verb(app)(create)
verb(app, "list")(list_keys)
verb(app)(revoke)
