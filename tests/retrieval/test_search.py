"""Search through the public face, on a real store: fusion, filters, facts, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_agent import Memory, Turn, episodic
from memory_agent.errors import InvalidInput, ModelNotFound
from memory_agent.protocols import Query
from memory_agent.records import Episode, Fact, Hit, PartialDate, Source, Why
from memory_agent.retrieval.facts import by_tense
from memory_agent.retrieval.question import read_question
from memory_agent.semantic.ontology import load
from memory_agent.testing.models import HashEmbedder

START = datetime(2024, 1, 10, 9, tzinfo=UTC)
TALK = {
    "january": [
        ("Maya", "Hello Ben! Did you sleep well?"),
        ("Ben", "Not really, the neighbour's dog barked all night."),
        ("Maya", "I bought a red kayak on Saturday, it is gorgeous."),
        ("Ben", "Wow, where do you keep it?"),
        ("Maya", "In my uncle's boathouse by the lake."),
    ],
    "march": [
        ("Ben", "My sister Ana moved from Lisbon to Porto."),
        ("Maya", "How does she like it there?"),
        ("Ben", "She loves the river and found work as a nurse."),
        ("Maya", "I sold the kayak to a colleague, sadly."),
        ("Ben", "我妹妹在波尔图当护士。"),
    ],
}


def talk() -> list[Turn]:
    return [
        Turn(role="user", speaker=who, content=text, session=session, id=f"{session}:{n}",
             at=START + timedelta(days=60 * part, minutes=n))
        for part, (session, turns) in enumerate(TALK.items())
        for n, (who, text) in enumerate(turns)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    with Memory.open(tmp_path_factory.mktemp("m"), user="maya", embedder=HashEmbedder()) as memory:
        memory.add(talk())
        yield memory


def ids(memory: Memory, query: str, **more: object) -> list[str]:
    return [hit.record.id for hit in memory.search(query, **more).hits]


def test_the_turn_that_answers_comes_first(memory: Memory) -> None:
    assert ids(memory, "Which kayak did Maya buy?")[0] == "january:2"
    assert ids(memory, "Where did Ben's sister move to?")[0] == "march:0"
    assert ids(memory, "Who works as a nurse?", limit=2)[0] == "march:2"


def test_the_named_speaker_is_preferred(memory: Memory) -> None:
    found = memory.search("What did Maya say of the kayak?")
    assert [hit.record.speaker for hit in found.hits[:2]] == ["Maya", "Maya"]


def test_the_answer_after_a_question_is_found_through_its_neighbour(memory: Memory) -> None:
    assert "january:4" in ids(memory, "Where does Maya keep the kayak?", limit=3)


def test_a_month_in_the_question_meets_the_turns_of_that_month(memory: Memory) -> None:
    assert ids(memory, "What happened to the kayak in March 2024?")[0] == "march:3"


def test_other_scripts_are_searched(memory: Memory) -> None:
    assert ids(memory, "护士", limit=1) == ["march:4"]


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        ({"session": "march"}, {f"march:{n}" for n in range(5)}),
        ({"speaker": "ben"}, {"january:1", "january:3", "march:0", "march:2", "march:4"}),
        ({"since": START + timedelta(days=30)}, {f"march:{n}" for n in range(5)}),
        ({"until": START + timedelta(minutes=2)}, {"january:0", "january:1"}),
        ({"session": "january", "speaker": "Ben"}, {"january:1", "january:3"}),
        ({"session": "nowhere"}, set()),
        ({"known_at": "1999"}, set()),
    ],
)
def test_filters_cut_before_anything_is_ranked(memory: Memory, filters: dict[str, object], allowed: set[str]) -> None:
    assert set(ids(memory, "kayak sister Porto dog", limit=10, **filters)) == allowed


def test_scores_fall_and_the_trace_tells_why(memory: Memory) -> None:
    found = memory.search("What did Maya buy?", limit=3)
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert found.hits[0].why.ranks["lexical"] >= 1
    assert found.hits[0].why.note
    assert found.trace.candidates["episodes"] == 10
    assert {"embed", "score", "fetch"} <= set(found.trace.milliseconds)
    assert len(found.trace.dropped) == 7
    assert not found.trace.notes


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
def test_an_empty_query_is_refused(memory: Memory, query: str) -> None:
    with pytest.raises(InvalidInput, match="empty"):
        memory.search(query)


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"kinds": ["episodes"]}, {"kinds": []}, {"as_of": "soon"}, {"since": datetime(2024, 1, 1)}]
)
def test_wrong_arguments_are_refused(memory: Memory, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        memory.search("kayak", **wrong)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(min_size=1, max_size=60).filter(lambda text: text.strip() != ""))
def test_no_query_makes_it_fail(memory: Memory, query: str) -> None:
    assert len(memory.search(query).hits) <= 10


def test_a_long_query_is_cut_with_a_note(memory: Memory) -> None:
    found = memory.search("kayak " * 5000)
    assert found.hits
    assert "cut" in found.trace.notes[0]


def test_an_empty_memory_finds_nothing(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        assert memory.search("anything").hits == ()


def test_new_turns_are_seen_at_once_and_by_another_handle(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add(talk()[:5])
        assert ids(memory, "Lisbon sister", limit=1) != ["march:0"]
        memory.add(talk()[5:])
        assert ids(memory, "Lisbon sister", limit=1) == ["march:0"]
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        assert ids(memory, "Lisbon sister", limit=1) == ["march:0"]
    with Memory.open(tmp_path, user="other", embedder=HashEmbedder()) as memory:
        assert ids(memory, "Lisbon sister") == []


def test_a_deleted_turn_is_found_no_more(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add(talk())
        assert "january:2" in ids(memory, "red kayak")
        with memory.space.ledger.transaction() as transaction:
            transaction.delete(Episode, ["january:2"])
        assert "january:2" not in ids(memory, "red kayak")
        assert "january:4" in ids(memory, "boathouse by the lake")


class NoModel(HashEmbedder):
    def embed_query(self, text: str) -> list[float]:
        raise ModelNotFound("no weights here")


def test_without_a_model_words_still_find(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=NoModel()) as memory:
        memory.add(talk())
        found = memory.search("red kayak", limit=1)
        assert [hit.record.id for hit in found.hits] == ["january:2"]
        assert "words only" in found.trace.notes[0]


def put_facts(memory: Memory) -> None:
    episode = memory.space.ledger.select(Episode, Query(ids=["march:0"]))[0]
    source = Source(episode_id=episode.id, start=0, end=5, quote="My si", speaker="Ben", at=episode.at)
    common = {"subject": "Ana", "subject_id": "ana", "predicate": "lives_in", "recorded_at": START}
    common["sources"] = (source,)
    old = Fact(id="f-old", object="Lisbon", text="Ana lives in Lisbon.", status="superseded",
               valid_to=PartialDate("2024-03"), **common)  # fmt: skip
    new = Fact(id="f-new", object="Porto", text="Ana lives in Porto.", valid_from=PartialDate("2024-03"), **common)
    with memory.space.ledger.transaction() as transaction:
        transaction.put(old, new)


def test_current_facts_come_before_superseded_ones_unless_a_past_moment_is_asked(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add(talk())
        put_facts(memory)
        assert ids(memory, "Where does Ana live?", kinds=["fact"]) == ["f-new", "f-old"]
        everything = ids(memory, "Where does Ana live?")
        assert everything.index("f-new") < 2
        assert everything.index("f-new") < everything.index("f-old")
        assert ids(memory, "Where does Ana live?", kinds=["fact"], as_of="2024-01") == ["f-old"]
        assert ids(memory, "Where does Ana live?", kinds=["fact"], as_of="2024-06") == ["f-new"]
        assert ids(memory, "Where does Ana live?", kinds=["fact"], known_at="2023") == []
        assert ids(memory, "Where does Ana live?", kinds=["fact"], session="january") == []
        assert len(ids(memory, "Where does Ana live?", kinds=["fact"], session="march", speaker="ben")) == 2
        assert not any(id.startswith("f-") for id in ids(memory, "Where does Ana live?", kinds=["episode"]))


def test_where_somebody_lives_comes_before_where_they_used_to(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add([
            Turn(role="user", speaker="Alice", content="I live in Lisbon.", at=START, id="a"),
            Turn(role="user", speaker="Alice", content="I moved from Lisbon to Porto last March.", id="b",
                 at=START + timedelta(days=150)),
        ])  # fmt: skip
        memory.consolidate()

        def first(question: str, **more: object) -> str:
            found = memory.search(question, kinds=["fact"], **more).hits
            assert {hit.record.object for hit in found} == {"Lisbon", "Porto"}
            return found[0].record.object

        assert first("Where does Alice live?") == "Porto"
        assert first("Where is Alice living now?") == "Porto"
        assert first("Where did Alice live before?") == "Lisbon"
        assert first("Where did Alice use to live, formerly?") == "Lisbon"


def test_facts_are_filtered_before_they_are_ranked(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add(talk())
        near, far = memory.space.ledger.select(Episode, Query(ids=["march:0", "january:0"]))
        common = {"subject": "Ana", "subject_id": "ana", "predicate": "likes", "recorded_at": START}

        def said(episode: Episode) -> tuple[Source, ...]:
            return (Source(episode_id=episode.id, start=0, end=2, quote="", speaker=episode.speaker, at=episode.at),)

        with memory.space.ledger.transaction() as transaction:
            transaction.put(*(
                Fact(id=f"f{n}", object=f"tea {n}", text=f"Ana likes tea {n}.", sources=said(near), **common)
                for n in range(150)
            ))  # fmt: skip
            transaction.put(Fact(id="far", object="milk", text="Ana likes milk with her coffee at breakfast.",
                                 sources=said(far), **common))  # fmt: skip
        memory.space.index.clear()
        assert "far" not in ids(memory, "Does Ana like tea?", kinds=["fact"], limit=60)
        assert ids(memory, "Does Ana like tea?", kinds=["fact"], session=far.session) == ["far"]


def of(id: str, score: float, **more: object) -> Hit:
    common = {"subject": "Ana", "subject_id": "ana", "text": "", "recorded_at": START}
    return Hit(record=Fact(id=id, **(common | more)), score=score, why=Why())


@given(st.lists(st.tuples(st.sampled_from(["lives_in", "previously_lived_in"]), st.floats(0, 1),
                          st.sampled_from(["current", "superseded", "ended"])), max_size=8),
       st.sampled_from(["Where does Ana live?", "Where did Ana live before?", "Where did Ana live?"]))  # fmt: skip
def test_no_value_stands_above_the_one_that_took_its_place(rows: list[tuple[str, float, str]], asked: str) -> None:
    question = read_question(asked, ["Ana"])
    hits = [of(f"f{n}", score, predicate=name, object=f"town {n}", status=status)
            for n, (name, score, status) in enumerate(sorted(rows, key=lambda row: -row[1]))]  # fmt: skip
    found = by_tense(hits, question, START, load())
    assert sorted(hit.record.id for hit in found) == sorted(hit.record.id for hit in hits)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    over = [hit.record.predicate != "lives_in" or hit.record.status != "current" for hit in found if hit.score > 0]
    if question.tense == "present" and False in over:
        assert not over[0]
    if question.tense == "former" and True in over:
        assert over[0]
    if question.tense == "past":
        assert found == hits


def test_what_may_hold_side_by_side_is_not_put_below() -> None:
    kept = of("old", 0.9, predicate="likes", object="tea", status="ended")
    question = read_question("Does Ana like tea?", ["Ana"])
    assert by_tense([kept, of("new", 0.4, predicate="likes", object="milk")], question, START, load())[0] == kept


def test_metadata_cuts_before_anything_is_ranked(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        kinds = [
            {"channel": "mail", "n": 1},
            {"channel": "chat", "tags": ["a", "b"]},
            {"channel": "mail", "tags": ["b"]},
            {},
        ]
        memory.add([
            {"role": "user", "content": f"The kayak number {n} is red", "id": f"t{n}", "metadata": kind}
            for n, kind in enumerate(kinds)
        ])  # fmt: skip

        def found(**metadata: object) -> set[str]:
            return set(ids(memory, "red kayak", metadata=metadata))

        assert found() == {"t0", "t1", "t2", "t3"}
        assert found(channel="mail") == {"t0", "t2"}
        assert found(channel=["mail", "chat"]) == {"t0", "t1", "t2"}
        assert found(tags="b") == {"t1", "t2"}
        assert found(tags="b", channel="mail") == {"t2"}
        assert found(n=1) == {"t0"}
        assert found(n="1") == set()
        assert found(nothing=None) == set()
        with pytest.raises(InvalidInput, match="JSON"):
            found(channel=object())


def test_a_fact_passes_a_metadata_filter_through_its_source(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add([turn.model_copy(update={"metadata": {"part": turn.session}}) for turn in talk()])
        put_facts(memory)
        assert "f-new" in ids(memory, "Where does Ana live?", kinds=["fact"], metadata={"part": "march"})
        assert ids(memory, "Where does Ana live?", kinds=["fact"], metadata={"part": "january"}) == []
        assert ids(memory, "Where does Ana live?", kinds=["fact"], session="january") == []


def test_the_person_is_believed_before_the_assistant_unless_the_assistant_is_asked_about(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="u", embedder=HashEmbedder()) as memory:
        memory.add([
            {"role": "assistant", "content": "Forty euros for the garden is a fine garden budget.", "id": "a"},
            {"role": "user", "content": "My garden budget is forty euros for now.", "id": "u"},
            {"role": "user", "content": "It rained all day.", "id": "x"},
        ])  # fmt: skip
        assert ids(memory, "What is my garden budget of euros?")[0] == "u"
        assert ids(memory, "What did you say about the garden budget?")[0] == "a"


def test_what_is_taken_in_but_not_embedded_yet_is_found_by_its_words() -> None:
    """The server answers before it embeds: the words are there, the vectors follow."""
    with Memory.open("memory://", user="maya", embedder=HashEmbedder()) as memory:
        memory.add(talk())
        assert ids(memory, "kayak")
        episodic.take_in(memory.space, [{"role": "user", "content": "My umbrella is yellow.", "id": "new"}])
        assert ids(memory, "Which colour is the umbrella?")[0] == "new"
        memory.add([{"role": "user", "content": "My hat is green.", "id": "newer"}])
        assert ids(memory, "Which colour is the umbrella?")[0] == "new"


def said(memory: Memory, session: str, *turns: tuple[str, str]) -> None:
    rows = [Turn(role=role, content=text, id=f"{session}:{n}") for n, (role, text) in enumerate(turns)]
    memory.add(rows, session=session)


def test_what_opens_a_session_is_lifted_where_a_question_goes_over_all_the_talk(tmp_path: Path) -> None:
    with Memory.open(tmp_path, user="maya", embedder=HashEmbedder()) as memory:
        chat = [(role, f"{role} on step {n} of the tracker") for n in range(15) for role in ("user", "assistant")]
        said(memory, "one", ("user", "A budget tracker is what I want to build"), ("assistant", "Fine."), *chat)

        def notes(question: str) -> dict[str, str]:
            return {hit.record.id: hit.why.note for hit in memory.search(question, limit=64).hits}

        over = notes("In which order did I bring up steps of the tracker across our conversations?")
        assert "opening" in over["one:0"]
        assert "opening" not in over["one:1"]
        assert not any("opening" in note for note in notes("steps of the tracker").values())
