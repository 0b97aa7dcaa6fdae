"""The REST routes, a module per resource; `routers` is what the application includes."""

from __future__ import annotations

from fastapi import APIRouter

from memory_agent.server.routes import graph, health, learning, recall, records, spaces, turns

routers: tuple[APIRouter, ...] = (
    spaces.router,
    turns.router,
    recall.router,
    graph.router,
    records.router,
    records.forgetting,
    learning.router,
    learning.beginning,
)
open_routers: tuple[APIRouter, ...] = (health.router,)
"""Those that ask for no key."""
