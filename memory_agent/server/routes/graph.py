"""Facts and the graph they make."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Query as Parameter
from pydantic import BaseModel

from memory_agent.records import Fact
from memory_agent.server.paging import Cursor, Limit, Page, listed
from memory_agent.server.serving import ReadMemory

router = APIRouter(prefix="/v1/spaces/{user}", tags=["facts"])
Moment = Annotated[
    str | None, Parameter(max_length=40, description="`2024`, `2024-03`, `2024-03-14`, or an instant with its zone.")
]
Name = Annotated[str | None, Parameter(min_length=1, max_length=512)]


class Graph(BaseModel):
    """The knowledge graph in node-link form: edges are facts, keyed by their id."""

    nodes: list[dict[str, Any]]
    edges: list[dict[str, Any]]


@router.get("/facts")
def facts(
    memory: ReadMemory,
    about: Name = None,
    predicate: Name = None,
    as_of: Moment = None,
    known_at: Moment = None,
    past: bool = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Fact]:
    """What is held to be true, of one entity or of all, in order of the facts' ids."""
    found = memory.facts(about, as_of=as_of, known_at=known_at, predicate=predicate, past=past)
    items, following = listed(found, lambda fact: f"{fact.id}@{fact.version:08d}", limit, cursor)
    return Page(items=items, next=following)


@router.get("/graph")
def graph(memory: ReadMemory, as_of: Moment = None, known_at: Moment = None, past: bool = False) -> Graph:
    """The graph of the facts that hold, or held `as_of`."""
    import networkx as nx
    from pydantic_core import to_jsonable_python

    found = to_jsonable_python(
        nx.node_link_data(memory.graph(as_of=as_of, known_at=known_at, past=past), edges="edges")
    )
    return Graph(nodes=found["nodes"], edges=found["edges"])
