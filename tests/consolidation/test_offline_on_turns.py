"""The offline extractor on labelled turns of our own: those its rules were written with, and those they were not.

`data/turns_unseen.jsonl` was written before the rules it tests and its errors are not looked at; keep it so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_agent.consolidation.offline import OfflineExtractor
from memory_agent.consolidation.offline.classes import fits
from memory_agent.consolidation.offline.languages import language_of
from memory_agent.consolidation.offline.lexicon import data
from memory_agent.consolidation.offline.parse import parse
from memory_agent.evaluation import extraction

TURNS = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize(("name", "precision", "recall"), [("seen", 0.85, 0.75), ("unseen", 0.7, 0.65)])
def test_figures_do_not_fall(name: str, precision: float, recall: float) -> None:
    found = extraction.run(TURNS / f"turns_{name}.jsonl", OfflineExtractor())
    assert found["strict"]["precision"] >= precision
    assert found["strict"]["recall"] >= recall
    assert found["asserted_non_facts"] == 0


def test_every_class_that_a_rule_names_can_be_asked() -> None:
    (sentence,) = parse(["I own a boat."])[0]
    token = sentence.doc[3]
    for rule in data("verbs"):
        for part in ("is", "not", "arg_is", "arg_obj", "second"):
            if part in rule:
                fits(token, rule[part], sentence)


def test_english_with_small_words_of_other_languages_is_english() -> None:
    assert language_of("I've been working as a translator since 2015.") is None
    assert language_of("Ich wohne seit drei Jahren in Leipzig.") == "de"
    assert language_of("Já não trabalho na Galp, mudei pra EDP em janeiro") == "pt"
