"""Turns for other servers are written as the student was taught them."""

from __future__ import annotations

from pathlib import Path

import pytest
from students import tiny_student

from memory_agent.models.local import LocalModel
from memory_agent.models.turns import Turns
from memory_agent.models.weights import Weights

ASKED = [{"role": "user", "content": 'Say "hi" in {{ braces }}\nand lines'}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "hi"}]
LONGER = [*ANSWERED, {"role": "user", "content": "again"}]
LED = [{"role": "system", "content": "Be brief."}, *LONGER]


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_student(tmp_path_factory.mktemp("student"))


@pytest.mark.parametrize("templated", [True, False])
def test_jinja_writes_what_the_student_is_asked(student: Path, templated: bool) -> None:
    from transformers import AutoTokenizer

    chat = LocalModel(Weights("tiny", student)).chat
    if not templated:
        chat.tokenizer.chat_template = None
    other = AutoTokenizer.from_pretrained(student)
    turns = Turns.of(chat)
    for marked in (False, True):
        other.chat_template = turns.jinja(marked=marked)
        for talk in (ASKED, LONGER, LED) if templated else (ASKED, LONGER):
            assert other.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) == chat.prompt(talk)
    made = other.apply_chat_template(ANSWERED, return_dict=True, return_assistant_tokens_mask=True)
    assert made["input_ids"] == [*chat.prompt_ids(ASKED), *chat.answer_ids("hi")]
    assert sum(made["assistant_masks"]) == len(chat.answer_ids("hi"))


def test_go_writes_a_turn(student: Path) -> None:
    turns = Turns.of(LocalModel(Weights("tiny", student)).chat)
    assert turns.go() == (
        "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
        "<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n{{ .Response }}<|im_end|>"
    )
