"""A chat turn's prompt: never a token too long, whatever it is made of, and beginning as the last one did."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.config import Settings
from memory_agent.errors import InvalidInput
from memory_agent.fence import strip_fenced
from memory_agent.models.tokens import TokenCounter, student_counter
from memory_agent.records import Block, Context, Episode, Hit, Summary, Why
from memory_agent.working.assembly import Layout
from memory_agent.working.window import Material, cut_middle, fill

NOW = datetime(2024, 3, 14, 18, 5, tzinfo=UTC)
REAL = student_counter(Settings())
WORDS = TokenCounter("words", lambda text: len(text.split()))


def turn(n: int, content: str, role: str = "user", speaker: str = "alice") -> Episode:
    speaker = speaker if role == "user" else role
    at = NOW + timedelta(seconds=n)
    told = {"session": "s", "role": role, "speaker": speaker, "at": at, "recorded_at": at, "digest": str(n)}
    return Episode.model_validate({"id": f"t{n}", "content": content, **told})


def talk(exchanges: int, words: int = 4) -> list[Episode]:
    return [
        turn(n, f"{'question' if n % 2 == 0 else 'answer'} {n} " + "x " * words, "assistant" if n % 2 else "user")
        for n in range(2 * exchanges)
    ]


def hit(n: int, content: str) -> Hit:
    return Hit(record=turn(1000 + n, content), score=1 / (n + 1), why=Why())


def block(label: str, value: str) -> Block:
    return Block(id=label, label=label, value=value, updated_at=NOW)


def summary(text: str) -> Summary:
    return Summary(id="s", about="window:s", text=text, of=("x",), at=NOW, until=NOW)


def roles(context: Context) -> list[str]:
    return [message.role for message in context.messages]


def test_parts_stand_in_order_and_their_tokens_add_up() -> None:
    made = fill(
        Material("Be kind.", "Where?", [block("human", "Alice")], [summary("- she moved")], talk(2), [hit(0, "Porto")]),
        window=400,
        counter=WORDS,
    )  # fmt: skip
    first, *_, last = made.messages
    assert first.content.index("Be kind.") < first.content.index("Alice") < first.content.index("she moved")
    assert last.content.index("Porto") < last.content.index("Where?")
    assert roles(made) == ["system", "user", "assistant", "user", "assistant", "user"]
    assert set(made.parts) == {"instructions", "blocks", "summary", "recent", "episodes", "question", "frame"}
    assert sum(made.parts.values()) == made.tokens == WORDS.prompt([m.model_dump() for m in made.messages])
    assert [h.record.id for h in made.hits] == ["t1000"]
    assert made.notes == ()


def test_order_and_shares_are_the_callers() -> None:
    material = Material("Be kind.", "Where?", [block("human", "Alice")], [], talk(1), [hit(0, "Porto " * 40)])
    layout = Layout(order=("recalled", "recent", "summary", "blocks"), shares={"recalled": 0.5, "blocks": 0.2})
    made = fill(material, window=300, counter=WORDS, layout=layout)
    assert "Porto" in made.messages[0].content
    assert "Alice" in made.messages[-1].content
    small = fill(material, window=300, counter=WORDS, layout=Layout(shares={"recalled": 0.15}))
    assert small.parts["episodes"] <= 0.15 * 300 < made.parts["episodes"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"order": ("blocks", "recent")},
        {"order": ("blocks", "summary", "recent", "recent")},
        {"shares": {"blocks": 1.2}},
        {"shares": {"facts": 0.2}},
        {"shares": {"blocks": 0.5, "recalled": 0.5}},
        {"keep": 1.0},
    ],
)
def test_a_layout_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Layout(**wrong)  # type: ignore[arg-type]


def test_the_next_prompt_begins_as_this_one_did_up_to_its_question() -> None:
    before = talk(6)
    material = Material("Be kind.", "first?", [block("human", "Alice")], [summary("- s")], before, [hit(0, "one")])
    one = fill(material, window=900, counter=WORDS)
    after = [*before, turn(20, "first?"), turn(21, "yes", "assistant")]
    two = fill(
        Material("Be kind.", "second?", material.blocks, material.summaries, after, [hit(1, "two")]),
        window=900,
        counter=WORDS,
    )
    assert two.messages[: len(one.messages) - 1] == one.messages[:-1]


def test_the_newest_turns_stay_and_begin_with_the_user() -> None:
    made = fill(Material("Be kind.", "now?", recent=talk(40)), window=200, counter=WORDS)
    said = [message.content for message in made.messages if message.role != "system"]
    assert said[0].startswith("question")
    assert said[-2].startswith("answer 79")
    assert "did not fit" in made.notes[0]


def test_what_the_turns_say_is_not_recalled_as_well() -> None:
    recent = talk(2)
    made = fill(
        Material("i", "q", recent=recent, hits=[Hit(record=recent[0], score=1, why=Why())]), window=300, counter=WORDS
    )
    assert made.hits == ()


def test_a_question_larger_than_the_window_is_cut_in_its_middle() -> None:
    question = "begin " + "middle " * 5000 + "end"
    made = fill(
        Material("i", question, [block("human", "Alice")], [], talk(3), [hit(0, "x")]), window=300, counter=WORDS
    )
    assert made.tokens <= 300
    shown = made.messages[-1].content
    assert "begin" in shown
    assert shown.endswith("end")
    assert "left out here" in shown
    assert "Alice" in made.messages[0].content
    assert "5002 tokens" in made.notes[0]


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(InvalidInput, match="window of 80"):
        fill(Material("word " * 60, "q"), window=80, counter=WORDS)


@pytest.mark.parametrize(("words", "left"), [(4, {"blocks", "summary", "recent", "episodes"}), (60, {"blocks"})])
def test_a_whole_that_costs_more_than_its_parts_is_shrunk_until_it_fits(words: int, left: set[str]) -> None:
    dear = TokenCounter("dear", WORDS, lambda messages: 9 + 2 * sum(WORDS(message["content"]) for message in messages))
    made = fill(
        Material("i", "q " * words, [block("human", "Alice")], [summary("- s")], talk(30), [hit(0, "once")]),
        window=200,
        counter=dear,
    )
    assert made.tokens <= 200
    assert left <= set(made.parts)
    assert made.messages[-1].content.endswith("q " * words)


def test_several_people_and_turns_in_a_row_become_messages_a_model_takes() -> None:
    recent = [
        turn(0, "hello"),
        turn(1, "are you there?"),
        turn(2, "me too", speaker="Bob"),
        turn(3, "yes", "assistant"),
    ]
    made = fill(Material("i", "good", recent=recent, user="Alice"), window=300, counter=WORDS)
    assert roles(made) == ["system", "user", "assistant", "user"]
    assert made.messages[1].content == "hello\n\nare you there?\n\nBob: me too"


def test_everything_recalled_can_be_told_from_what_was_said() -> None:
    made = fill(
        Material("i", "q", [block("human", "Alice")], [summary("- s")], [], [hit(0, "once")]), window=400, counter=WORDS
    )
    assert [strip_fenced(message.content)[0] for message in made.messages] == ["i", "q"]


TEXT = st.text(max_size=300) | st.sampled_from(["日本語のテキスト" * 20, "a" * 900, "word " * 200, "\n\n- x\n" * 30])


@settings(max_examples=60, deadline=None)
@given(
    window=st.integers(150, 900),
    question=TEXT,
    blocks=st.lists(TEXT, max_size=2),
    summaries=st.lists(TEXT, max_size=2),
    recent=st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), TEXT), max_size=8),
    hits=st.lists(TEXT, max_size=4),
    trail=st.lists(TEXT.filter(lambda text: len(text) < 250), max_size=2),
)
def test_the_window_is_never_passed_by_a_token_of_the_real_tokenizer(
    window: int,
    question: str,
    blocks: list[str],
    summaries: list[str],
    recent: list[tuple[str, str]],
    hits: list[str],
    trail: list[str],
) -> None:
    counter = REAL
    called = [{"role": "assistant", "content": text} for text in trail]
    if sum(counter.message(message) for message in called) > window // 3:
        called = []
    made = fill(
        Material(
            "Be kind.",
            question,
            [block(f"b{n}", text) for n, text in enumerate(blocks)],
            [summary(text) for text in summaries],
            [turn(n, text, role) for n, (role, text) in enumerate(recent)],
            [hit(n, text) for n, text in enumerate(hits)],
            trail=called,
        ),
        window=window,
        counter=counter,
    )
    sent = [*(message.model_dump() for message in made.messages), *called]
    assert made.tokens == counter.prompt(sent) <= window
    assert sum(made.parts.values()) == made.tokens
    if counter(question) < window // 2 and not called:
        assert made.messages[-1].content.endswith(question)


@settings(max_examples=60, deadline=None)
@given(text=TEXT, most=st.integers(30, 200))
def test_a_cut_text_fits(text: str, most: int) -> None:
    cut = cut_middle(text, most, REAL)
    assert REAL(cut) <= most
    assert cut == text or REAL(text) > most
