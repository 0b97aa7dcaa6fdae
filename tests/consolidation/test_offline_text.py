"""Chat spelling made regular, with every character traced back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.consolidation.offline.text import left_out, regularise, segments


@settings(deadline=None)
@given(st.text(max_size=120))
def test_every_character_has_its_place(written):
    text = regularise(written)
    assert len(text.regular) == len(text.starts) == len(text.ends)
    for part in segments(text):
        start, end = text.span(part.start, part.end)
        assert 0 <= start < end <= len(written)


@pytest.mark.parametrize(
    ("written", "regular"),
    [
        ("I dont eat meat", "I don't eat meat"),
        ("theres a cat lol", "there's a cat "),
        ("w/ Ana & Rui", "with Anna and Tom"),
        ("gonna move", "going to move"),
        ("so happy 😀", "so happy ."),
        ("İdk", "İdk"),
    ],
)
def test_informal_spelling(written, regular):
    assert regularise(written).regular == regular


def test_a_quoted_title_is_one_name_that_leads_back_to_the_title():
    text = regularise('I read "The Glass Harbour" twice')
    (title,) = text.titles
    assert text.original(title, title + len("Titleword")) == "The Glass Harbour"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("I met Mrs. Okoro. She sings.", ["I met Mrs. Okoro.", "She sings."]),
        ("I moved to Ghent, do you know it?", ["I moved to Ghent", "do you know it?"]),
        ("A ring - a gift from Nan", ["A ring", "a gift from Nan"]),
    ],
)
def test_sentences(text, parts):
    regular = regularise(text)
    assert [regular.original(p.start, p.end) for p in segments(regular)] == parts


@pytest.mark.parametrize(
    ("sentence", "lead"),
    [
        ("Moved to Ghent", "I "),
        ("Been busy", "I have "),
        ("Thinking about it", "I'm "),
        ("Painting helps me", ""),
        ("The cat left", ""),
    ],
)
def test_a_subject_left_out_is_put_back(sentence, lead):
    assert left_out(sentence) == lead
