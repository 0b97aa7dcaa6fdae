"""The OpenAPI document is true: schemathesis asks every operation with what fits it and what does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from students import tiny_student

from memory_agent.config import Settings
from memory_agent.memories import Memories
from memory_agent.server import create_app
from memory_agent.server.serving import Options
from memory_agent.testing import HashEmbedder, ScriptedChatModel

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
TRAINING = ("POST", "/v1/spaces/{user}/distillations")
STUDENT = ("POST", "/v1/spaces/{user}/ask")
"""Answers from the student, which the short form does without."""


@contextmanager
def application(student: str) -> Iterator[FastAPI]:
    """An application over a memory of Alice's."""
    with Memories("memory://", embedder=HashEmbedder(16), settings=Settings(student=student)) as memories:
        model = ScriptedChatModel(replies=lambda messages: "Noted.")
        made = create_app(memories, Options(requests_per_minute=0, model=model))
        memory = memories.of("alice", tenant="acme")
        memory.add([{"role": "user", "content": "I live in Porto.", "id": "t1"}], session="s1")
        memory.consolidate()
        yield made


def ask_everything(app: FastAPI, examples: int, phases: tuple[Phase, ...], but: Collection[tuple[str, str]]) -> int:
    """Ask every operation but some, with what fits it and with what does not; how many requests that were."""
    key = app.state.serving.keys.create(tenant="acme", role="admin")[0]
    asked = 0
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for result in schema.get_all_operations():
        operation = result.ok()
        if (operation.method.upper(), operation.path) in but:
            continue
        for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
            try:
                strategy = operation.as_strategy(generation_mode=mode)
                asked += _ask(strategy, key, examples, phases)
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, "nothing fits the operation, by its own document"
    return asked


def _ask(strategy: st.SearchStrategy[schemathesis.Case], key: str, examples: int, phases: tuple[Phase, ...]) -> int:
    asked = 0

    @settings(max_examples=examples, deadline=None, phases=phases, suppress_health_check=QUIET, database=None)
    @given(case=strategy)
    def every(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

    every()
    return asked


def test_every_operation_answers_as_it_is_documented() -> None:
    with application("none") as app:
        assert ask_everything(app, 1, (Phase.generate,), (TRAINING, STUDENT)) > 40


@pytest.mark.soak
def test_every_operation_answers_as_it_is_documented_at_length(tmp_path: Path) -> None:
    with application(str(tiny_student(tmp_path / "student"))) as app:
        assert ask_everything(app, 100, (Phase.generate, Phase.shrink), (TRAINING,)) > 3000


def test_every_operation_documents_its_errors_and_its_key(app: FastAPI) -> None:
    document = TestClient(app).get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/v1"):
                assert operation["security"], (method, path)
                assert {"401", "403", "422", "429"} <= set(operation["responses"]), (method, path)
    assert "HTTPValidationError" not in str(document)
