"""Words: stems, stop words, and scripts without spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_agent.retrieval.words import terms


def test_forms_of_a_word_are_one_term() -> None:
    assert terms("She paints; we painted, painting") == ["paint", "paint", "paint"]
    assert terms("Maya's sisters") == terms("maya sister")


def test_question_words_are_left_out() -> None:
    assert terms("What is it that they do?") == []


def test_latin_accents_go_and_other_alphabets_are_kept_and_case_folded() -> None:
    assert terms("Zoë's CAFÉS, Ångström") == terms("zoe cafes angstrom")
    assert terms("Москва Йод") == ["москва", "йод"]
    assert terms("Ελλάδα ΕΛΛΆΔΑ") == ["ελλάδα", "ελλάδα"]
    assert terms("مرحبا בית") == ["مرحبا", "בית"]


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("東京に住んでいます", "東京"),
        ("我妹妹在波尔图当护士", "护士"),
        ("어제 학교에서 만났어요", "학교"),
        ("ฉันอยู่ที่กรุงเทพ", "กรุงเทพ"),
        ("𠀀𠀁𠀂 is rare", "𠀁𠀂"),
    ],
)
def test_a_word_within_unspaced_text_is_found(said: str, asked: str) -> None:
    assert set(terms(asked)) <= set(terms(said))


def test_text_without_spaces_is_cut_into_pairs() -> None:
    assert terms("東京に住む") == ["東京", "京に", "に住", "住む"]
    assert terms("I love 寿司 a lot") == ["love", "寿司", "lot"]


@given(st.text(max_size=300))
def test_any_text_is_cut_the_same_way_twice(text: str) -> None:
    found = terms(text)
    assert found == terms(text)
    assert all(term and term == term.strip() for term in found)
