"""The REST routes, a module per resource; `routers` is what the application includes."""

from __future__ import annotations

from fastapi import APIRouter

from memory_agent.server.routes import (
    exchange,
    graph,
    health,
    inspector,
    learning,
    recall,
    records,
    review,
    spaces,
    turns,
)

routers: tuple[APIRouter, ...] = (
    spaces.router,
    turns.router,
    recall.router,
    graph.router,
    records.router,
    records.forgetting,
    review.router,
    review.deciding,
    learning.router,
    learning.beginning,
    inspector.router,
    exchange.router,
    exchange.importing,
)
open_routers: tuple[APIRouter, ...] = (health.router, inspector.open_router)
"""Those that ask for no key."""
