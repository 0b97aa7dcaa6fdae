"""Words: stems, stop words, and scripts without spaces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memory_agent.retrieval.words import terms


def test_forms_of_a_word_are_one_term() -> None:
    assert terms("She paints; we painted, painting") == ["paint", "paint", "paint"]
    assert terms("Maya's sisters") == terms("maya sister")


def test_question_words_are_left_out() -> None:
    assert terms("What is it that they do?") == []


def test_accents_and_other_alphabets_are_kept_and_case_folded() -> None:
    assert terms("Москва ÉTÉ") == ["москва", "été"]


def test_text_without_spaces_is_cut_into_pairs() -> None:
    assert terms("東京に住む") == ["東京", "京に", "に住", "住む"]
    assert terms("I love 寿司 a lot") == ["love", "寿司", "lot"]


@given(st.text(max_size=300))
def test_any_text_is_cut_the_same_way_twice(text: str) -> None:
    found = terms(text)
    assert found == terms(text)
    assert all(term and term == term.strip() for term in found)
