"""Tokens are counted by a real tokenizer: the model's own where it has one, else one that gives no fewer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from students import tiny_student

from memory_agent.config import Settings, tiktoken_folder
from memory_agent.models.local import LocalChatModel
from memory_agent.models.tokens import MESSAGE, PRIMING, TokenCounter, counter_for, reach_of, student_counter
from memory_agent.testing import ScriptedChatModel


class CountsWords(FakeListChatModel):
    def get_num_tokens(self, text: str) -> int:
        return len(text.split())


class AsksTheNetwork(FakeListChatModel):
    """Stands for a provider whose counting is a request."""

    def get_num_tokens(self, text: str) -> int:
        raise AssertionError("a token count went over the network")


AsksTheNetwork.__module__ = "langchain_google_genai.chat_models"
TALK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Where is Porto?"}]


def test_a_local_prompt_is_counted_with_its_template(tmp_path: Path) -> None:
    settings = Settings(student=str(tiny_student(tmp_path / "student")))
    model = LocalChatModel.load(settings)
    counter = counter_for(model, settings)
    assert counter.prompt(TALK) == len(model.local.chat.prompt_ids(TALK))
    assert counter("Where is Porto?") == model.get_num_tokens("Where is Porto?")
    assert reach_of(model).window == 1024, "no more than the model takes"
    assert reach_of(model, 512).window == 512
    assert reach_of(model, 4096).window == 1024


def test_what_a_model_counts_itself_is_used_unless_it_asks_the_network() -> None:
    settings = Settings()
    assert counter_for(CountsWords(responses=[]), settings)("one two three") == 3
    own = FakeListChatModel(responses=[], custom_get_token_ids=lambda text: [0] * 7)
    assert counter_for(own, settings)("x") == 7
    assert counter_for(AsksTheNetwork(responses=[]), settings)("one two") == student_counter(settings)("one two")


def test_other_models_are_counted_by_the_students_tokenizer() -> None:
    settings = Settings()
    for model in (ScriptedChatModel(replies=[]), "openai:some-model-nobody-knows", "local"):
        assert counter_for(model, settings).name == student_counter(settings).name


def test_tiktoken_is_used_only_where_its_vocabulary_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    settings = Settings()
    assert tiktoken_folder() == tmp_path
    assert counter_for("openai:gpt-4.1-mini", settings).name == student_counter(settings).name
    url = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    (tmp_path / hashlib.sha1(url.encode()).hexdigest()).write_text("there")
    loaded: list[str] = []

    class Encoding:
        def encode(self, text: str, **_: Any) -> list[int]:
            return [1, 2]

    monkeypatch.setattr("tiktoken.get_encoding", lambda name: loaded.append(name) or Encoding())
    counter = counter_for("openai:gpt-4.1-mini", settings)
    assert (counter.name, counter("x"), loaded) == ("tiktoken o200k_base", 2, ["o200k_base"])


def test_without_any_tokenizer_bytes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = student_counter(Settings(student="nobody/has-this-model"))
    assert counter.name == "utf-8 bytes"
    assert counter("Ærø 🎻") == len("Ærø 🎻".encode())
    assert counter.prompt(TALK) == PRIMING + sum(MESSAGE + counter(m["role"]) + counter(m["content"]) for m in TALK)


def test_a_template_that_takes_no_such_conversation_leaves_the_sum() -> None:
    counter = TokenCounter("odd", lambda text: len(text.split()), lambda messages: None)
    assert counter.prompt(TALK) == PRIMING + 2 * MESSAGE + 2 + 2 + 3
