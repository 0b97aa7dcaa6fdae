"""Forgetting: nothing of it is left in any row or byte, and the graph is the one that never held it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bound import space_of
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent import consolidation, episodic, semantic
from memory_agent.consolidation.forgetting import forget, verify_forgotten
from memory_agent.consolidation.redaction import MARK, Redaction
from memory_agent.errors import InvalidInput, NotFound
from memory_agent.protocols import Backend, Query, R
from memory_agent.records import (
    STORED,
    Adapter,
    Block,
    Claim,
    Entity,
    Episode,
    Fact,
    Run,
    Stored,
    Summary,
    Tombstone,
    Turn,
)  # fmt: skip
from memory_agent.retrieval import index
from memory_agent.semantic.reconcile import Derived
from memory_agent.space import Space, open_backend
from memory_agent.testing.extractor import MarkedExtractor
from memory_agent_stores import rows, sqlite


def read(space: Space) -> None:
    consolidation.consolidate(space, MarkedExtractor())


def everything(space: Space) -> list[Stored]:
    return [r for kind in STORED for r in space.ledger.select(kind)]


def adapter(space: Space, name: str, *facts: Fact) -> Adapter:
    taught = tuple(f"{f.id}@{f.version}" for f in facts)
    made = Adapter(
        id=name, shard=name, state="promoted", base="b", facts=taught, sha256=name, created_at=space.clock.now(),
        scorecard={"misses": ["where does Alice live"]},
    )  # fmt: skip
    with space.ledger.transaction() as tx:
        tx.put(made)
    return made


def test_a_turn_takes_what_had_no_other_source(space, say) -> None:
    say("2023-01-05", "{Alice | lives_in | Lisbon} {Alice | likes | tea}")
    second = say("2024-01-05", "{Alice | lives_in | Porto} {Alice | likes | tea} {Alice | sibling | Zebulon}")
    read(space)
    report = forget(space, second, reason="asked")
    assert {f.text: f.status for f in semantic.facts(space, past=True)} == {
        "Alice lives in Lisbon.": "current",
        "Alice likes tea.": "current",
    }
    assert second in report.forgotten["episode"]
    assert not [r for r in everything(space) if "Zebulon" in r.model_dump_json() or "Porto" in r.model_dump_json()]
    stone = {t.of_id: t for t in space.ledger.select(Tombstone)}[second]
    assert (stone.of_kind, stone.reason) == ("episode", "asked")
    assert space.ledger.audit_chain()[-1].ids[0] == second


def test_no_byte_is_left_in_any_file(backend: Backend, space, say) -> None:
    say("2023-01-05", "{Alice | lives_in | Lisbon}", session="kept")
    say("2023-01-06", "Our {Alice | sibling | Zebulon Quade} loves {Zebulon Quade | likes | kohlrabi}", session="gone")
    read(space)
    index.catch_up(space)
    forget(space, "session:gone", reason="asked")
    index.catch_up(space)
    backend.ledger.compact()
    backend.index.compact()
    assert verify_forgotten(backend.folder, ["Zebulon", "Quade", "kohlrabi"]) == {}
    assert set(verify_forgotten(backend.folder, ["Lisbon"])) == {"Lisbon"}
    assert backend.ledger.check() == []


def test_a_fact_goes_with_its_words_and_the_turn_stays(space, say) -> None:
    turn = say(
        "2023-01-05", "First {Alice | likes | tea}, then {Alice | lives_in | Lisbon}, last {Alice | plays | oboe}"
    )
    read(space)
    (home,) = semantic.facts(space, predicate="lives_in")
    report = forget(space, home.id, reason="asked")
    (episode,) = space.ledger.select(Episode)
    assert episode.id == turn
    assert episode.content == "First {Alice | likes | tea}, then [forgotten], last {Alice | plays | oboe}"
    assert report.redacted == (turn,)
    for claim in space.ledger.select(Claim):
        assert episode.content[claim.start : claim.end] == claim.quote
    for fact in space.ledger.select(Fact):
        (source,) = fact.sources
        assert episode.content[source.start : source.end] == source.quote
    assert {f.object for f in space.ledger.select(Fact)} == {"tea", "oboe"}
    assert "Lisbon" not in "".join(r.model_dump_json() for r in everything(space))


def test_an_ended_fact_is_forgotten_with_its_end(space, say) -> None:
    say("2023-01-05", "{Alice | works_at | Siemens}")
    say("2023-05-05", "{Alice | -works_at | Siemens} {Alice | works_at | Bosch}")
    read(space)
    fact = next(f for f in semantic.facts(space, past=True) if f.object == "Siemens")
    forget(space, fact.id, reason="asked")
    assert [f.text for f in semantic.facts(space, past=True)] == ["Alice works at Bosch."]
    assert "Siemens" not in "".join(r.model_dump_json() for r in everything(space))


def test_an_entity_goes_from_everything_that_names_it(space, say) -> None:
    say("2023-01-05", "Zebulon and I: {Alice | sibling | Zebulon}, {Alice | likes | tea with Zebulon}")
    say("2023-01-06", "{Zebulon | lives_in | Rome}. zebulon again", by="Zebulon")
    with space.ledger.transaction() as tx:
        tx.put(Block(id="b", label="human", value="Has a brother, Zebulon.", updated_at=space.clock.now()))
        tx.put(Summary(id="s", about="x", text="Zebulon lives in Rome.", of=(), at=space.clock.now()))
    read(space)
    (entity,) = semantic.link(space, "Zebulon")
    report = forget(space, entity.id, reason="asked")
    assert report.forgotten["entity"][0] == entity.id
    assert "zebulon" not in "".join(r.model_dump_json() for r in everything(space)).casefold()
    assert space.ledger.count(Episode) == 1
    assert semantic.facts(space) == []


def test_a_secret_goes_wherever_it_stands(space, say) -> None:
    say("2023-01-05", "{Alice | secret | 4711}")
    say("2023-01-06", "Did you note 4711?")
    read(space)
    (fact,) = semantic.facts(space)
    forget(space, fact.id, reason="asked")
    assert [e.content for e in space.ledger.select(Episode)] == [MARK, f"Did you note {MARK}?"]


def test_a_whole_user_leaves_a_tombstone_and_the_others_alone(backend: Backend, space, say) -> None:
    say("2023-01-05", "{Alice | lives_in | Lisbon}")
    read(space)
    other = space_of(backend, "Eve")
    episodic.take_in(other, [Turn(role="user", content="{Eve | lives_in | Oslo}")], None)
    read(other)
    with pytest.raises(NotFound):
        forget(space, "user:Eve", reason="asked")
    forget(space, "user:Alice", reason="asked")
    assert [(t.kind, t.of_kind) for t in everything(space)] == [("tombstone", "user")]  # type: ignore[attr-defined]
    assert len(semantic.facts(other)) == 1


def test_an_adapter_that_was_taught_it_is_switched_off_and_quotes_nothing(space, say) -> None:
    say("2023-01-05", "{Alice | lives_in | Lisbon}")
    tea = say("2023-01-06", "{Alice | likes | tea}")
    read(space)
    kept = adapter(space, "kept", *semantic.facts(space, predicate="lives_in"))
    adapter(space, "fallen", *semantic.facts(space, predicate="likes"))
    assert forget(space, tea, reason="asked").adapters_off == ("fallen",)
    found = {a.id: a for a in space.ledger.select(Adapter)}
    assert (found["fallen"].state, found["fallen"].scorecard) == ("off", {})
    assert found["kept"].state == kept.state


def test_what_a_distillation_quoted_goes_with_its_adapter_and_no_consolidations_report_is_read(
    space, say, monkeypatch: pytest.MonkeyPatch
) -> None:
    tea = say("2023-01-05", "{Alice | likes | tea}")
    read(space)
    now = space.clock.now()
    others = [Run(id=f"r{n}", job="consolidate", state="done", started_at=now, report={"claims": n}) for n in range(40)]
    quoting = Run(
        id="d", job="distill", state="done", started_at=now, report={"rows": 3, "scorecard": {"asked": "tea"}}
    )
    with space.ledger.transaction() as tx:
        tx.put(quoting, *others)
    read_back: list[str] = []

    def noted(kind: type[R], body: str) -> R:
        record = rows.parse(kind, body)
        if isinstance(record, Run):
            read_back.append(record.id)
        return record

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "parse", noted)
        forget(space, tea, reason="asked")
    assert not {run.id for run in others} & set(read_back)
    (left,) = space.ledger.select(Run, Query(ids=["d"]))
    assert left.report == {"rows": 3}


def test_a_dry_run_says_the_same_and_writes_nothing(space, say) -> None:
    say("2023-01-05", "{Alice | lives_in | Lisbon} {Alice | likes | tea}")
    read(space)
    before, position = everything(space), space.ledger.position()
    (home,) = semantic.facts(space, predicate="lives_in")
    tried = forget(space, home.id, reason="asked", dry_run=True)
    assert (everything(space), space.ledger.position()) == (before, position)
    done = forget(space, home.id, reason="asked")
    assert tried.dry_run
    assert tried.model_copy(update={"dry_run": False}) == done


def test_what_cannot_be_forgotten_is_refused(space, say) -> None:
    say("2023-01-05", "{Alice | lives_in | Lisbon}")
    read(space)
    with pytest.raises(NotFound):
        forget(space, "nobody", reason="asked")
    with pytest.raises(NotFound):
        forget(space, "session:none", reason="asked")
    with pytest.raises(InvalidInput, match="run"):
        forget(space, space.ledger.select(Run)[0].id, reason="asked")


@settings(deadline=None)
@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=4), st.data())
def test_spans_outside_a_cut_keep_their_words(text: str, lengths: list[tuple[int, int]], data: st.DataObject) -> None:
    cuts = [(min(a, len(text)), min(a + n, len(text))) for a, n in lengths]
    cuts = [(a, b) for a, b in cuts if a < b]
    redaction = Redaction(text, cuts)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    moved = redaction.text[slice(*redaction.move(start, end))]
    if start < end and not any(a < end and start < b for a, b in cuts):
        assert moved == text[start:end]
    for a, b in cuts:
        assert redaction.text[slice(*redaction.move(a, b))].startswith(MARK)


# forgetting equals never having added

_MARKS = [
    "{Alice | lives_in | Lisbon}", "{Alice | lives_in | Porto | 2022}", "{Alice | -lives_in | Porto}",
    "{Alice | commute | tram}", "{Alice | works_at | Acme}", "{Alice | works_at | Bosch | 2021 | 2023}",
    "{Alice | spouse | Bob}", "{Bob | spouse | Cleo}", "{Cleo | relationship_status | divorced}",
    "{Alice | colleague | Bob}", "{Bob | works_at | Acme}", "{Bob | -works_at | Acme}", "{Alice | from | Faro}",
    "{Alice | from | Lagos}", "{Alice | visited! | Rome | 2024}", "{Alice | visited | Rome | 2024}",
    "{Ana | likes | tea}",
    "{Alice | sibling | Ana = Alice's sister}", "{Alice's sister | lives_in | Rome}",
]  # fmt: skip
_TURNS = st.lists(
    st.tuples(st.lists(st.sampled_from(_MARKS), min_size=1, max_size=2), st.sampled_from(["Alice", "Bob"])),
    min_size=1, max_size=6,
)  # fmt: skip


def _turn(number: int, marks: list[str], speaker: str) -> Turn:
    at = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=97 * number)
    return Turn(role="user", speaker=speaker, content=f"{number}: {' '.join(marks)}", at=at, id=f"t{number}")


def _state(space: Space) -> dict[str, dict[str, object]]:
    return {
        f.id: {name: getattr(f, name) for name in Derived.model_fields} for f in semantic.facts(space, past=True)
    }  # fmt: skip


def _as_told(space: Space) -> tuple[list[str], list[str]]:
    """The facts without their ids, and what entities are called: their ids are those of first names."""
    facts = [
        f"{f.text} {f.status} {(f.because or '').partition(' ')[2]} {[s.quote for s in f.sources]}"
        for f in semantic.facts(space, past=True)
    ]
    called: dict[str, set[str]] = {}
    for e in space.ledger.select(Entity):
        called.setdefault(e.merged_into or e.id, set()).update((e.name, *e.aliases))
    return sorted(facts), sorted(str(sorted(names)) for names in called.values())


def _fresh() -> Space:
    """A memory whose owner has spoken: until then whoever speaks first is taken for the owner, and claims keep that."""
    space = space_of(open_backend("memory://"))
    episodic.take_in(
        space, [Turn(role="user", speaker="Alice", content="Hello.", at=datetime(2022, 12, 1, tzinfo=UTC))], "s"
    )
    return space


@settings(max_examples=60, deadline=None)
@given(_TURNS, st.data())
def test_forget_after_add_equals_never_added(said: list[tuple[list[str], str]], data: st.DataObject) -> None:
    turns = [_turn(n, *each) for n, each in enumerate(said)]
    victim = data.draw(st.sampled_from(turns))
    never, after = _fresh(), _fresh()
    episodic.take_in(never, [t for t in turns if t is not victim], "s")
    read(never)
    for turn in data.draw(st.permutations(turns)):
        episodic.take_in(after, [turn], "s")
        if data.draw(st.booleans()):
            read(after)
    read(after)
    forget(after, str(victim.id), reason="asked")
    if "sister" not in str(said):
        assert _state(after) == _state(never)
    assert _as_told(after) == _as_told(never)


@settings(max_examples=60, deadline=None)
@given(_TURNS, st.data())
def test_step_by_step_equals_all_at_once(said: list[tuple[list[str], str]], data: st.DataObject) -> None:
    turns = [_turn(n, *each) for n, each in enumerate(said)]
    once, steps = _fresh(), _fresh()
    episodic.take_in(once, turns, "s")
    read(once)
    for turn in turns:
        episodic.take_in(steps, [turn], "s")
        read(steps)
    assert _state(steps) == _state(once)
