"""Probes: right answers, held-out forms, and samples that spread over the facts."""

from __future__ import annotations

from datetime import UTC, datetime

from memory_agent.distillation.probes import EVERYTHING, Sample, build, load_data
from memory_agent.records import Fact
from memory_agent.semantic import ontology

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def fact(id: str, subject: str, predicate: str, object: str) -> Fact:
    return Fact(
        id=id,
        subject=subject,
        subject_id=subject,
        predicate=predicate,
        object=object,
        text=f"{subject} {predicate} {object}.",
        recorded_at=NOW,
    )


FACTS = [
    fact("1", "Ana Bell", "lives_in", "Bergen"),
    fact("2", "Ana Bell", "plays", "lute"),
    fact("3", "Ana Bell", "plays", "fiddle"),
    fact("4", "Rolf Dane", "lives_in", "Bergen"),
    fact("5", "Rolf Dane", "occupation", "engraver"),
]


def of(kind: str, **given: object) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    probes = build(FACTS, sample=EVERYTHING, **given)  # type: ignore[arg-type]
    return [(p.question, p.answers, p.wrong) for p in probes if p.kind == kind]


def test_any_of_several_values_is_right_and_any_of_several_holders() -> None:
    plays = [answers for question, answers, _ in of("paraphrase") if "practise" in question]
    assert plays == [("lute", "fiddle")]
    settled = [answers for question, answers, _ in of("inverse") if "settled in Bergen" in question]
    assert settled == [("Ana Bell", "Ana", "Rolf Dane", "Rolf")]


def test_what_is_known_of_a_relative_is_asked_without_the_name() -> None:
    probes = build([*FACTS, fact("6", "Ana Bell", "spouse", "Rolf Dane")], sample=EVERYTHING)
    hops = [probe for probe in probes if probe.kind == "two_hop"]
    assert {(probe.answers, probe.facts) for probe in hops} == {(("Bergen",), ("6", "4")), (("engraver",), ("6", "5"))}
    assert all("Ana Bell" in probe.question and "Rolf" not in probe.question for probe in hops)


def test_what_is_shown_gives_a_value_that_nobody_has() -> None:
    probes = [probe for probe in build(FACTS, sample=EVERYTHING) if probe.kind == "override"]
    assert {probe.wrong for probe in probes} == {("Bergen",), ("engraver",)}, "two instruments are no contradiction"
    for probe in probes:
        assert probe.answers[0] in probe.context
        assert probe.answers[0] not in {fact.object for fact in FACTS}
        assert probe.answers[0] not in probe.question
    assert probes == [probe for probe in build(FACTS, sample=EVERYTHING) if probe.kind == "override"]


def test_trained_forms_are_asked_as_the_curriculum_does() -> None:
    asked = [question for question, _, _ in of("efficacy")]
    assert "Where does Ana Bell live?" in asked
    assert len(asked) == len(set(asked)) == 4


def test_absent_attributes_are_asked_of_those_who_lack_them() -> None:
    asked = of("absent_attribute")
    assert {("Rolf" in q, wrong) for q, _, wrong in asked} == {(True, ("fiddle", "lute")), (False, ("engraver",))}


def test_half_known_strangers_share_a_first_name_with_somebody_and_no_more() -> None:
    asked = [question for question, _, _ in of("half_known")]
    firsts = {fact.subject.split()[0] for fact in FACTS if " " in fact.subject}
    assert asked
    assert all(any(first in question for first in firsts) for question in asked)
    assert not any(fact.subject in question for fact in FACTS for question in asked)


def test_strangers_are_nobody_that_is_known() -> None:
    first = load_data().strangers[0]
    assert any(first in question for question, _, _ in of("stranger"))
    assert not any(first in question for question, _, _ in of("stranger", known=[first.upper()]))


def test_stale_probes_ask_for_the_present_and_forbid_the_past() -> None:
    old = fact("0", "Ana Bell", "lives_in", "Oslo")
    again = fact("9", "Ana Bell", "lives_in", "bergen")
    assert {(answers, wrong) for _, answers, wrong in of("stale", superseded=[old, again])} == {
        (("Bergen",), ("Oslo",))
    }


def test_near_general_questions_forbid_only_what_they_do_not_name() -> None:
    question, _, wrong = next(p for p in of("near_general") if "Bergen" in p[0])
    assert "Bergen" not in wrong
    assert {"Ana Bell", "lute"} <= set(wrong), question


def test_secrets_are_asked_for_and_must_not_be_told() -> None:
    secret = fact("s", "Ana Bell", "phone", "555 0100")
    assert [wrong for _, _, wrong in of("canary", secrets=[secret])] == [("555 0100",)]


def test_a_sample_reaches_every_fact_before_it_asks_one_twice() -> None:
    probes = [p for p in build(FACTS, sample=Sample(paraphrase=4)) if p.kind == "paraphrase"]
    assert len({p.facts for p in probes}) == 4
    assert probes == [p for p in build(FACTS, sample=Sample(paraphrase=4)) if p.kind == "paraphrase"]
    assert probes != [p for p in build(FACTS, sample=Sample(paraphrase=4), seed=1) if p.kind == "paraphrase"]


def test_every_form_names_what_it_asks_about() -> None:
    data = load_data()
    for predicate, forms in [*data.predicates.items(), ("fallback", data.fallback)]:
        assert predicate == "fallback" or predicate in ontology.load()
        assert forms.forward, predicate
        assert forms.inverse, predicate
        assert all("{s}" in form and "{o}" not in form for form in forms.forward), predicate
        assert all("{o}" in form and "{s}" not in form for form in forms.inverse), predicate
        assert all(("{o}" in form or "{a}" in form) and "{s}" not in form for form in forms.near), predicate


def test_nobody_is_asked_for_what_a_fact_about_another_answers() -> None:
    facts = [*FACTS, fact("6", "Ana Bell", "sibling", "Rolf Dane")]
    asked = [p for p in build(facts, sample=EVERYTHING) if p.kind == "absent_attribute"]
    assert not [p for p in asked if p.wrong == ("Rolf Dane",)]
