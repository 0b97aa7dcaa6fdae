"""What is written out comes back as it was, and what others wrote out comes in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent import Memory
from memory_agent.errors import InvalidInput
from memory_agent.exchange import foreign, graphs, lines
from memory_agent.records import Entity, Fact, PartialDate, Source
from memory_agent.testing import HashEmbedder
from memory_agent.testing.extractor import MarkedExtractor

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
SAID = [
    {"role": "user", "speaker": "Ana Abel", "id": "t1", "content": "{Ana Abel | lives_in | Porto | 2023}", "at": AT},
    {"role": "user", "speaker": "Ana Abel", "id": "t2", "content": "{Ana Abel | lives_in | Lyon | 2024-03}", "at": AT},
    {"role": "user", "speaker": "Ana Abel", "id": "t3", "content": "{Ana Abel | friend | Bo Costa}", "at": AT},
]


def filled(folder: Path) -> Memory:
    memory = Memory.open(folder, user="ana", embedder=HashEmbedder())
    memory.add(SAID, session="s")
    memory.consolidate(extractor=MarkedExtractor())
    memory.forget("t3", reason="test")
    memory.blocks.put("human", "likes tea")
    return memory


def test_a_whole_memory_written_as_lines_comes_back_the_same(tmp_path: Path) -> None:
    with filled(tmp_path / "one") as one, Memory.open(tmp_path / "two", user="ana", embedder=HashEmbedder()) as two:
        written = list(lines.write(one.space))
        lines.restore(two.space, lines.read(written))
        assert sorted(lines.write(two.space)) == sorted(written)
        assert [f.text for f in two.facts("Ana Abel")] == [f.text for f in one.facts("Ana Abel")]
        with pytest.raises(InvalidInput, match="not empty"):
            lines.restore(two.space, lines.read(written))


@pytest.mark.parametrize("bad", ["", "{}\n", '{"format": "slowwave/memory", "version": 9}\n', "no json\n"])
def test_what_is_no_export_is_refused(bad: str) -> None:
    with pytest.raises(InvalidInput):
        lines.read(bad.splitlines())


@pytest.mark.parametrize("format", ["graphml", "turtle", "csv"])
def test_the_graph_of_a_store_comes_back_the_same(tmp_path: Path, format: str) -> None:
    with filled(tmp_path / "one") as memory:
        graph = graphs.Graph.in_space(memory.space)
    assert len(graph.facts) >= 2
    assert {record.kind for record in graph.rest} >= {"episode", "claim", "block", "tombstone"}
    assert graphs.read(graphs.write(graph, format), format) == graph


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
FACTS = st.builds(
    Fact,
    id=st.sampled_from(["f1", "f/2", "f 3"]),
    version=st.integers(1, 3),
    subject=TEXT,
    subject_id=st.sampled_from(["e1", "e2"]),
    predicate=st.sampled_from(["lives_in", "odd predicate/é"]),
    object=TEXT,
    object_id=st.sampled_from([None, "e2", "123"]),
    text=st.text(max_size=8),
    polarity=st.sampled_from(["+", "-"]),
    valid_from=st.sampled_from([None, PartialDate("2024"), PartialDate("2024-W03")]),
    recorded_at=st.just(AT),
    retired_at=st.sampled_from([None, AT]),
    confidence=st.floats(0, 1),
    sources=st.lists(
        st.builds(Source, episode_id=TEXT, start=st.just(0), end=st.integers(0, 9), quote=TEXT, at=st.just(AT)),
        max_size=2,
    ).map(tuple),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(FACTS, max_size=3, unique_by=lambda f: (f.id, f.version)),
    st.lists(st.builds(Entity, id=st.sampled_from(["e1", "e2"]), name=TEXT, aliases=st.just(("A",))), max_size=2,
             unique_by=lambda e: e.id),
    st.sampled_from(["graphml", "turtle", "csv"]),
)  # fmt: skip
def test_no_text_is_bent_by_a_format(facts: list[Fact], entities: list[Entity], format: str) -> None:
    graph = graphs.Graph.of(entities, facts)
    assert graphs.read(graphs.write(graph, format), format) == graph


WORDS = st.sampled_from(
    ["Ana Abel", "Bo Costa", "Porto", " null", "null", "[1]", '"so"', "a,b\n;c", "é\u2028\x85漢\x07", "{x"]
)
STATEMENTS = st.lists(
    st.tuples(
        st.sampled_from(["lives_in", "friend", "likes"]),
        st.sampled_from(["Porto", "Lyon", "Bo Costa", "tea"]),
        st.sampled_from(["", " | 2023", " | 2024-03"]),
        WORDS,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=12, deadline=None)
@given(STATEMENTS, st.booleans(), st.sampled_from(["jsonl", "graphml", "turtle", "csv"]))
def test_a_memory_restored_from_any_format_is_the_same_memory(
    statements: list[tuple[str, str, str, str]], forgotten: bool, format: str
) -> None:
    turns = [
        {
            "role": "user", "speaker": "Ana Abel", "id": f"t{n}", "at": AT, "metadata": {"seen": said},
            "content": f"{said} {{Ana Abel | {predicate} | {value}{when}}}",
        }
        for n, (predicate, value, when, said) in enumerate(statements)
    ]  # fmt: skip
    with (
        Memory.open("memory://", user="ana", embedder=HashEmbedder()) as one,
        Memory.open("memory://", user="ana", embedder=HashEmbedder()) as two,
    ):
        one.add(turns, session="s")
        one.consolidate(extractor=MarkedExtractor())
        one.summaries()
        one.blocks.put("human", statements[0][3])
        if forgotten:
            one.forget("t0", reason="test")
        written = list(lines.write(one.space))
        if format == "jsonl":
            records = lines.read("".join(written).split("\n")[:-1])
        else:
            records = graphs.read(graphs.write(graphs.Graph.in_space(one.space), format), format).records()
        lines.restore(two.space, records)
        assert sorted(lines.write(two.space)) == sorted(written)
        for memory in (one, two):
            memory.forget(f"t{len(turns) - 1}", reason="test") if not forgotten else None
            memory.add([{**turns[0], "id": "t9", "content": "{Ana Abel | lives_in | Oslo | 2025}"}], session="s")
            memory.consolidate(extractor=MarkedExtractor())
        assert sorted(f.text for f in one.facts()) == sorted(f.text for f in two.facts())


@pytest.mark.parametrize("format", ["graphml", "turtle", "csv"])
def test_a_graph_cut_down_to_now_is_not_taken_for_a_memory(tmp_path: Path, format: str) -> None:
    with filled(tmp_path / "one") as memory:
        now = graphs.Graph.in_space(memory.space, versions=False)
    read = graphs.read(graphs.write(now, format), format)
    assert read == now
    with pytest.raises(InvalidInput, match="--current"):
        read.records()


MEM0 = {"results": [{"id": "a1", "memory": "User lives in Porto", "created_at": "2024-05-01T10:00:00Z"}]}
ZEP = {
    "nodes": [{"uuid": "n1", "name": "ana"}, {"uuid": "n2", "name": "Siemens"}],
    "edges": [
        {
            "uuid": "e1", "name": "WORKS_AT", "fact": "ana works at Siemens", "source_node_uuid": "n1",
            "target_node_uuid": "n2", "created_at": "2024-05-01T10:00:00Z", "valid_at": "2023-02-01T00:00:00Z",
        }
    ],
    "episodes": [{"uuid": "p1", "content": "I work at Siemens.", "role": "ana", "role_type": "user",
                  "created_at": "2024-05-01T09:00:00Z"}],
}  # fmt: skip
LETTA = {
    "blocks": [{"label": "human", "value": "Her name is Ana."}],
    "agents": [{"messages": [{"id": "m1", "role": "user", "content": [{"type": "text", "text": "I live in Porto."}],
                              "created_at": "2024-05-01T10:00:00Z"}]}],
}  # fmt: skip
LANGMEM = [
    {"namespace": ["memories"], "key": "k1", "value": {"kind": "Memory", "content": {"content": "User likes tea"}},
     "created_at": "2024-05-01T10:00:00Z"},
    {"namespace": ["triples"], "key": "k2", "created_at": "2024-05-01T10:00:00Z",
     "value": {"content": {"subject": "User", "predicate": "lives_in", "object": "Porto"}}},
]  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "document", "ids", "fact"),
    [
        ("mem0", MEM0, ["mem0:a1"], "ana lives in Porto."),
        ("zep", ZEP, ["zep:p1", "zep:e1"], "ana works at Siemens (since 2023-02-01)."),
        ("letta", LETTA, ["letta:m1"], "ana lives in Porto."),
        ("langmem", LANGMEM, ["langmem:k1", "langmem:k2"], "ana lives in Porto."),
    ],
)
def test_what_another_memory_wrote_out_becomes_facts(
    tmp_path: Path, origin: str, document: object, ids: list[str], fact: str
) -> None:
    with Memory.open(tmp_path / "m", user="ana", embedder=HashEmbedder()) as memory:
        found = foreign.read(document, origin, user="ana")
        assert list(memory.add(found.turns).added) == ids
        memory.consolidate()
        assert fact.casefold() in [f.text.casefold() for f in memory.facts()]


def test_an_export_of_another_kind_is_refused() -> None:
    for origin in ("mem0", "zep", "letta", "langmem", "nobody"):
        with pytest.raises(InvalidInput):
            foreign.read({"unrelated": 1}, origin, user="ana")
