"""What claims amount to: the reconciler's rules, one by one and as properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_agent.records import Claim, Entity, Modality, PartialDate, Polarity
from memory_agent.semantic.ontology import load
from memory_agent.semantic.reconcile import Derived, reconcile

ONTOLOGY = load()
_numbers = count()


def claim(
    said: str,
    predicate: str,
    object: str,
    *,
    subject: str = "Alice",
    by: str | None = None,
    start: str | None = None,
    end: str | None = None,
    polarity: Polarity = "+",
    modality: Modality = "actual",
    entity: bool = False,
    correction: bool = False,
) -> Claim:
    number = next(_numbers)
    return Claim(
        id=f"c{number}",
        episode_id=f"e{number}",
        start=0,
        end=1,
        quote="x",
        speaker=by or subject,
        said_at=datetime.fromisoformat(said).replace(tzinfo=UTC),
        subject=subject,
        subject_id=subject,
        predicate=predicate,
        object=object,
        object_id=object if entity else None,
        polarity=polarity,
        modality=modality,
        valid_from=PartialDate(start) if start else None,
        valid_to=PartialDate(end) if end else None,
        correction=correction,
        extractor="test/1",
    )


def owners(said: Claim) -> Claim:
    """The same as the word of the memory's owner."""
    return said.model_copy(update={"owners_word": True})


def facts(*claims: Claim) -> dict[str, Derived]:
    """By object (with a minus before a negated one); each test's claims give distinct ones."""
    derived = reconcile(claims, ONTOLOGY)
    named = {
        ("" if d.polarity == "+" else "-") + d.object + ("" if d.modality == "actual" else "?"): d for d in derived
    }
    assert len(named) == len(derived)
    return named


def test_a_newer_value_ends_the_older_at_its_own_start() -> None:
    found = facts(claim("2023-01-05", "lives_in", "Lisbon"), claim("2024-04-05", "lives_in", "Porto", start="2024-03"))
    assert (found["Lisbon"].status, found["Lisbon"].valid_to) == ("superseded", "2024-03")
    assert (found["Porto"].status, found["Porto"].valid_from) == ("current", "2024-03")
    assert found["Lisbon"].because == f"{found['Porto'].id} newer value"
    assert found["Lisbon"].text == "Alice used to live in Lisbon (until 2024-03)."


def test_a_value_told_late_takes_its_place_in_the_past() -> None:
    found = facts(
        claim("2023-01-05", "works_at", "Globex", start="2022"), claim("2024-01-01", "works_at", "Nokia", start="2019")
    )
    assert (found["Nokia"].status, found["Nokia"].valid_from, found["Nokia"].valid_to) == ("superseded", "2019", "2022")
    assert found["Globex"].status == "current"


def test_an_imprecise_date_follows_what_was_known_within_it() -> None:
    found = facts(claim("2023-06-01", "lives_in", "Lisbon"), claim("2024-03-01", "lives_in", "Porto", start="2023"))
    assert found["Porto"].status == "current"
    assert found["Lisbon"].status == "superseded"


def test_a_stretch_that_was_over_does_not_end_what_was_said_to_go_on() -> None:
    found = facts(
        claim("2024-01-01", "lives_in", "Lisbon", start="2005"),
        claim("2024-01-02", "lives_in", "Rome", start="2010", end="2012"),
    )
    assert found["Lisbon"].status == "current"
    assert (found["Rome"].status, found["Rome"].valid_to) == ("ended", "2012")


def test_coming_back_is_a_second_stretch_with_an_id_of_its_own() -> None:
    derived = reconcile(
        [
            claim("2020-01-01", "lives_in", "Lisbon"),
            claim("2021-01-01", "lives_in", "Rome"),
            claim("2022-01-01", "lives_in", "Lisbon"),
        ],
        ONTOLOGY,
    )
    lisbon = sorted((d for d in derived if d.object == "Lisbon"), key=lambda d: d.status)
    assert [d.status for d in lisbon] == ["current", "superseded"]
    assert lisbon[0].id != lisbon[1].id
    assert lisbon[0].valid_from == "2022-01-01"


def test_a_first_value_without_a_date_claims_no_start() -> None:
    assert facts(claim("2023-01-05", "lives_in", "Lisbon"))["Lisbon"].valid_from is None


def test_a_retraction_ends_the_value_and_adds_none() -> None:
    found = facts(
        claim("2023-01-05", "works_at", "Siemens"),
        claim("2023-05-05", "works_at", "Siemens", polarity="-", end="2023-04"),
    )
    assert list(found) == ["Siemens"]
    assert (found["Siemens"].status, found["Siemens"].valid_to) == ("ended", "2023-04")
    assert len(found["Siemens"].sources) == 2


def test_a_denial_of_what_was_never_said_is_a_fact_until_the_contrary() -> None:
    denial = claim("2023-05-05", "works_at", "Siemens", polarity="-")
    assert facts(denial)["-Siemens"].status == "current"
    found = facts(denial, claim("2024-05-05", "works_at", "Siemens"))
    assert (found["-Siemens"].status, found["Siemens"].status) == ("superseded", "current")


def test_a_denial_without_a_name_ends_whatever_holds() -> None:
    found = facts(
        claim("2023-01-05", "partner", "Bob", entity=True), claim("2023-05-05", "partner", "boyfriend", polarity="-")
    )
    assert found["Bob"].status == "ended"


def test_used_to_ends_the_present_one() -> None:
    derived = reconcile(
        [claim("2023-01-05", "lives_in", "Lisbon"), claim("2024-01-05", "previously_lived_in", "Lisbon")], ONTOLOGY
    )
    assert {d.predicate: d.status for d in derived} == {"lives_in": "ended", "previously_lived_in": "current"}


def test_divorce_ends_the_marriage_whoever_said_it() -> None:
    found = facts(
        claim("2023-01-05", "spouse", "Bob", entity=True),
        claim("2023-02-05", "spouse", "Alice", subject="Bob", entity=True),
        claim("2024-01-05", "relationship_status", "divorced"),
    )
    assert set(found) == {"Bob", "divorced"}, "one marriage, whichever end it is told from"
    assert found["Bob"].status == "ended"
    assert {s.speaker for s in found["Bob"].sources} == {"Alice", "Bob"}


def test_child_and_parent_are_one_fact() -> None:
    found = facts(
        claim("2023-01-05", "child", "Tom", entity=True),
        claim("2023-02-05", "parent", "Alice", subject="Tom", entity=True),
    )
    assert len(found) == 1


def test_words_of_correction_take_back_without_a_change() -> None:
    found = facts(
        claim("2023-01-05", "lives_in", "Lisbon", start="2020"),
        claim("2023-01-06", "lives_in", "Leiria", correction=True),
    )
    assert found["Lisbon"].because == f"{found['Leiria'].id} corrected"
    assert found["Lisbon"].valid_to is None
    assert found["Leiria"].valid_from == "2020"


def test_another_value_of_what_cannot_change_is_a_correction() -> None:
    found = facts(claim("2023-01-05", "born_on", "3 March"), claim("2023-01-06", "born_on", "4 March"))
    assert (found["3 March"].status, found["4 March"].status) == ("superseded", "current")
    assert (found["3 March"].because or "").endswith("corrected")


def test_the_own_word_stands_against_another_speaker() -> None:
    mine, theirs = (
        claim("2023-01-05", "lives_in", "Lisbon"),
        claim("2023-05-05", "lives_in", "Rome", by="Bob"),
    )
    found = facts(mine, theirs)
    assert (found["Lisbon"].status, found["Rome"].status) == ("current", "disputed")
    assert found["Rome"].sources[0].speaker == "Bob"
    assert found["Rome"].confidence < found["Lisbon"].confidence


def test_another_speaker_may_report_a_dated_change() -> None:
    found = facts(
        claim("2023-01-05", "lives_in", "Lisbon"), claim("2023-05-05", "lives_in", "Rome", by="Bob", start="2023-04")
    )
    assert (found["Lisbon"].status, found["Rome"].status) == ("superseded", "current")


def test_plans_never_end_what_is_and_come_true() -> None:
    lives = claim("2023-01-05", "lives_in", "Lisbon")
    plan = claim("2023-02-05", "lives_in", "Porto", modality="planned", start="2023-06")
    maybe = claim("2023-02-06", "lives_in", "Faro", modality="possible")
    found = facts(lives, plan, maybe)
    assert {d.status for d in found.values()} == {"current"}
    found = facts(lives, plan, maybe, claim("2023-07-05", "lives_in", "Porto", start="2023-06"))
    assert found["Porto?"].because == f"{found['Porto'].id} came true"
    assert found["Faro?"].status == "current"


def test_a_plan_is_replaced_or_cancelled() -> None:
    plan = claim("2023-02-05", "lives_in", "Porto", modality="planned")
    found = facts(plan, claim("2023-03-05", "lives_in", "Faro", modality="planned"))
    assert (found["Porto?"].status, found["Faro?"].status) == ("superseded", "current")
    found = facts(plan, claim("2023-03-05", "lives_in", "Porto", modality="planned", polarity="-"))
    assert found["Porto?"].status == "ended"


def test_what_depends_on_a_changed_fact_is_stale_until_said_again() -> None:
    home, moved = claim("2023-01-05", "lives_in", "Lisbon"), claim("2024-01-05", "lives_in", "Porto")
    commute = claim("2023-02-05", "commute", "bus, 20 min")
    found = facts(home, moved, commute)
    assert found["bus, 20 min"].status == "stale"
    assert "lives_in changed" in (found["bus, 20 min"].because or "")
    assert facts(home, moved, commute, claim("2024-02-05", "commute", "bus, 20 min"))["bus, 20 min"].status == "current"
    assert facts(home, commute)["bus, 20 min"].status == "current"


def test_each_date_of_an_event_is_an_occurrence() -> None:
    derived = reconcile(
        [
            claim("2023-07-05", "visited", "Rome", start="2023-06"),
            claim("2023-08-05", "visited", "Rome", start="2023-06-12"),
            claim("2024-07-05", "visited", "Rome", start="2024-06"),
            claim("2024-08-05", "visited", "Rome"),
        ],
        ONTOLOGY,
    )
    assert sorted(str(d.valid_from) for d in derived) == ["2023-06-12", "2024-06"]


def test_saying_it_again_raises_confidence() -> None:
    once = claim("2023-01-05", "likes", "tea").model_copy(update={"confidence": 0.6})
    again = claim("2023-02-05", "likes", "Tea").model_copy(update={"confidence": 0.6})
    assert facts(once)["tea"].confidence < facts(once, again)["tea"].confidence < 1


def test_the_owners_word_of_somebody_else_stands_against_a_third_partys() -> None:
    told = owners(claim("2023-01-05", "lives_in", "Lisbon", subject="Ana", by="Alice"))
    for later in (
        claim("2024-01-05", "lives_in", "Porto", subject="Ana", by="Mallory"),
        claim("2024-01-05", "lives_in", "Porto", subject="Ana", by="Mallory", start="2023-12"),
        claim("2024-01-05", "lives_in", "Lisbon", subject="Ana", by="Mallory", polarity="-"),
        claim("2024-01-05", "previously_lived_in", "Lisbon", subject="Ana", by="Mallory", end="2022"),
    ):
        found = reconcile([told, later], ONTOLOGY)
        (kept,) = [d for d in found if (d.object, d.polarity, d.predicate) == ("Lisbon", "+", "lives_in")]
        assert (kept.status, kept.valid_to) == ("current", None), later
    found = facts(told, claim("2024-01-05", "lives_in", "Porto", subject="Ana", by="Mallory"))
    assert (found["Porto"].status, found["Porto"].because) == (
        "disputed",
        f"{found['Lisbon'].id} contradicts the owner's word",
    )


def test_a_third_party_neither_ends_nor_dates_what_the_owner_says() -> None:
    told = owners(claim("2023-01-05", "lives_in", "Lisbon", subject="Ana", by="Alice", start="2020"))
    same = claim("2024-01-05", "lives_in", "Lisbon", subject="Ana", by="Mallory", start="2021-05", end="2023")
    kept = facts(told, same)["Lisbon"]
    assert (kept.status, kept.valid_from, kept.valid_to) == ("current", "2020", None)


def test_the_owner_and_the_subject_may_say_otherwise_later() -> None:
    told = owners(claim("2023-01-05", "lives_in", "Lisbon", subject="Ana", by="Alice"))
    third = claim("2024-01-05", "lives_in", "Porto", subject="Ana", by="Mallory")
    confirmed = owners(claim("2024-02-05", "lives_in", "Porto", subject="Ana", by="Alice"))
    assert facts(told, third, confirmed)["Porto"].status == "current"
    found = facts(told, claim("2024-01-05", "lives_in", "Porto", subject="Ana", by="Ana"))
    assert (found["Lisbon"].status, found["Porto"].status) == ("superseded", "current")


def test_where_the_owner_says_nothing_a_third_party_is_believed() -> None:
    old = claim("2023-01-05", "lives_in", "Lisbon", subject="Ana", by="Mallory")
    new = claim("2024-01-05", "lives_in", "Porto", subject="Ana", by="Mallory")
    assert facts(old, new, owners(claim("2023-01-05", "likes", "tea", subject="Ana")))["Porto"].status == "current"


# properties

_OBJECTS = {
    "lives_in": (False, ["Lisbon", "Porto", "Rome"]),
    "works_at": (False, ["Acme", "job"]),
    "spouse": (True, ["Alice", "Bob", "Cleo"]),
    "engaged_to": (True, ["Alice", "Bob", "Cleo"]),
    "child": (True, ["Alice", "Bob"]),
    "parent": (True, ["Alice", "Bob"]),
    "roommate": (True, ["Alice", "Bob", "Cleo"]),
    "from": (False, ["Lisbon", "Rome"]),
    "visited": (False, ["Rome"]),
    "likes": (False, ["tea"]),
    "dislikes": (False, ["tea"]),
    "commute": (False, ["bus", "train"]),
    "previously_lived_in": (False, ["Lisbon", "Rome"]),
    "relationship_status": (False, ["divorced", "single"]),
    "unheard_of": (False, ["x", "y"]),
}
_DATES = st.sampled_from([None, None, "2019", "2021", "2021-03", "2021-W20", "2021-06-15", "2023-01", "2025"])


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    made = []
    for number in range(draw(st.integers(0, 9))):
        predicate = draw(st.sampled_from(sorted(_OBJECTS)))
        entity, objects = _OBJECTS[predicate]
        subject = draw(st.sampled_from(["Alice", "Bob", "Cleo"]))
        object = draw(st.sampled_from([o for o in objects if o != subject]))
        at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=draw(st.integers(0, 1500)))
        made.append(
            claim(
                at.date().isoformat(),
                predicate,
                object,
                subject=subject,
                by=draw(st.sampled_from(["Alice", "Bob", "Dan"])),
                start=draw(_DATES),
                end=draw(st.sampled_from([None, None, None, "2022", "2026"])),
                polarity=draw(st.sampled_from(["+", "+", "-"])),
                modality=draw(st.sampled_from(["actual", "actual", "actual", "planned", "possible"])),
                entity=entity,
                correction=draw(st.sampled_from([False, False, False, True])),
            ).model_copy(update={"id": f"claim{number}", "episode_id": f"episode{number}"})
        )
    return made


@settings(max_examples=300, deadline=None)
@given(claims(), st.randoms())
def test_any_order_of_arrival_gives_the_same_facts(said: list[Claim], chance: object) -> None:
    shuffled = [*said, *said[:2]]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert reconcile(shuffled, ONTOLOGY) == reconcile(said, ONTOLOGY)


@settings(max_examples=200, deadline=None)
@given(claims())
def test_every_fact_is_sourced_and_every_statement_is_in_a_fact(said: list[Claim]) -> None:
    derived = reconcile(said, ONTOLOGY)
    assert len({d.id for d in derived}) == len(derived)
    assert all(d.sources for d in derived)
    told = {s.episode_id for d in derived for s in d.sources}
    assert {c.episode_id for c in said if c.polarity == "+"} <= told


@settings(max_examples=200, deadline=None)
@given(claims())
def test_one_value_at_a_time(said: list[Claim]) -> None:
    derived = reconcile(said, ONTOLOGY)
    for predicate in ("lives_in", "works_at", "from", "commute"):
        for subject in ("Alice", "Bob", "Cleo"):
            now = [
                d
                for d in derived
                if (d.subject_id, d.predicate, d.polarity, d.modality) == (subject, predicate, "+", "actual")
                and d.status in ("current", "stale")
            ]
            assert len(now) <= 1, now


@settings(max_examples=200, deadline=None)
@given(claims())
def test_who_was_merged_is_nobody_s_subject(said: list[Claim]) -> None:
    apart = {name: Entity(id=name, name=name) for name in ("Alice", "Bob", "Cleo")}
    merged = apart | {"Bob": apart["Bob"].model_copy(update={"merged_into": "Cleo"})}
    assert all("Bob" not in (d.subject_id, d.object_id) for d in reconcile(said, ONTOLOGY, merged))


def test_a_change_told_late_but_dated_shortly_before_puts_the_undated_word_out_of_date() -> None:
    found = facts(
        claim("2024-05-05", "lives_in", "Porto", entity=True),
        claim("2024-05-20", "lives_in", "Lyon", entity=True, start="2024-04"),
    )
    assert (found["Lyon"].status, found["Porto"].status) == ("current", "superseded")


def test_a_move_long_past_that_is_told_late_leaves_the_present_as_it_is() -> None:
    found = facts(
        claim("2024-05-05", "lives_in", "Porto", entity=True),
        claim("2024-05-20", "lives_in", "Lyon", entity=True, start="2019"),
    )
    assert (found["Lyon"].status, found["Porto"].status) == ("superseded", "current")


def test_a_plan_of_two_is_stale_once_they_part() -> None:
    together = claim("2024-05-01", "partner", "Ana", entity=True)
    trip = claim("2024-06-01", "plans", "flying to Rome", modality="planned")
    ours = trip.model_copy(update={"quote": "We are flying to Rome in May."})
    mine = trip.model_copy(update={"id": "other", "object": "a haircut", "quote": "I am getting a haircut."})
    parted = claim("2024-07-01", "partner", "Ana", entity=True, polarity="-")
    assert facts(together, ours, mine)["flying to Rome?"].status == "current"
    found = facts(together, ours, mine, parted)
    assert found["flying to Rome?"].status == "stale"
    assert "partner changed" in (found["flying to Rome?"].because or "")
    assert found["a haircut?"].status == "current"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(claims(), claims())
def test_no_third_party_displaces_what_the_owner_says(said: list[Claim], against: list[Claim]) -> None:
    told = [owners(c.model_copy(update={"speaker": "Owner", "valid_to": None})) for c in said]
    third = [
        c.model_copy(update={"speaker": "Mallory", "id": f"third{n}", "episode_id": f"third{n}"})
        for n, c in enumerate(against)
    ]

    def standing(facts: list[Derived]) -> set[tuple[str, ...]]:
        """What holds, the same whichever end it is told from."""
        now = [d for d in facts if (d.status, d.modality, d.polarity) == ("current", "actual", "+")]
        turned = {"child": "parent", "parent": "parent"}
        ends = [(d.object, d.subject_id) if d.predicate == "child" else (d.subject_id, d.object) for d in now]
        mutual = ("spouse", "engaged_to", "roommate")
        return {
            (turned.get(d.predicate, d.predicate), *(sorted(pair) if d.predicate in mutual else pair))
            for d, pair in zip(now, ends, strict=True)
        }

    assert standing(reconcile(told, ONTOLOGY)) <= standing(reconcile([*told, *third], ONTOLOGY))
