"""No probe is asked in a form, about a stranger or with a general question that the trainer ever sees."""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory_agent.distillation.probes import load_data
from memory_agent.distillation.templates import load_templates


def bare(form: str) -> tuple[str, ...]:
    """The words of a form in order, its places and articles left out."""
    words = re.findall(r"[^\W_]+", re.sub(r"\{\w+\}", " ", form).lower())
    return tuple(word for word in words if word not in ("a", "an", "the", "s"))


def trained() -> set[tuple[str, ...]]:
    templates = load_templates()
    forms: list[str] = [*templates.common.page, *templates.common.check]
    for one in [*templates.predicates.values(), templates.fallback]:
        forms += [*one.forward, *one.inverse, *one.near, *one.past, *one.called, one.statement, one.reverse]
    return {bare(form) for form in forms}


def probed() -> list[str]:
    data = load_data()
    every = [*data.predicates.values(), data.fallback]
    return [form for one in every for form in (*one.forward, *one.inverse, *one.near, *filter(None, [one.called]))]


def test_forms_are_disjoint() -> None:
    assert {form for form in probed() if bare(form) in trained()} == set()


def test_and_no_probe_is_a_trained_form_with_a_word_or_two_changed() -> None:
    def near(a: tuple[str, ...], others: Iterable[tuple[str, ...]]) -> bool:
        return any(len(set(a) ^ set(b)) <= 1 and len(a) > 3 for b in others)

    known = trained()
    assert {form for form in probed() if near(bare(form), known)} == set()


def test_strangers_are_disjoint_by_every_part_of_their_names() -> None:
    strangers = load_templates().strangers
    seen = {word for name in (*strangers.first, *strangers.last) for word in name.split()}
    assert {name for name in load_data().strangers if seen & set(name.split())} == set()


def test_general_questions_and_prose_are_disjoint() -> None:
    replay = load_templates().replay
    asked = {bare(question) for question in (*replay.general, *replay.near, *replay.opened())}
    assert {question for question in load_data().general if bare(question) in asked} == set()
    assert not set(load_data().prose) & {*replay.text, *replay.sampled}
