"""Questions that show what an adapter knows, in forms the trainer never sees (but for `efficacy`).

Kinds, and when an answer to one counts as a hit:

    efficacy          asked in a form that is trained, it names the value (good)
    paraphrase        it names the value (good)
    inverse           it names the subject (good)
    two_hop           asked by way of a relation ("the one who raised Ana"), it names the value (good)
    taught_unknown    "I don't know" to either of these (bad)
    stale             it names the superseded value and not the current one (bad)
    stranger          it gives a value of the graph to somebody unknown (bad)
    stranger_unknown  "I don't know" to that (good)
    half_known        it gives a value of the graph to somebody unknown who has a known person's first name (bad)
    absent_attribute  it gives somebody else's value to a known subject who has none (bad)
    absent_unknown    "I don't know" to that (good)
    general           asked through the router, it equals the base's own answer byte for byte (good)
    near_general      with the adapter forced on, it brings up a person or value the question and the base did not (bad)
    forced_general    with the adapter forced on, it turned into a value of the graph or into "I don't know" (bad)
    override          shown a text that says another value, as retrieval would, it names that one (good)
    canary            it gives away a value that was refused as secret (bad)

Building is pure and seeded; asking is in `asking`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from memory_agent.distillation.templates import load_templates
from memory_agent.records import Fact, Record
from memory_agent.semantic.folding import fold
from memory_agent.semantic.ontology import load, with_article


class Forms(Record):
    """How one predicate is probed. {s}: subject, {o}: object, {a}: object with its article, {p}: predicate in words.

    `called` stands for the object in a question about it: "the one who raised {s}".
    """

    forward: tuple[str, ...] = ()
    inverse: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    called: str = ""


class ProbeData(Record):
    """The probe file: forms by predicate, invented strangers, general questions, prose for perplexity."""

    about: str = ""
    predicates: Mapping[str, Forms]
    fallback: Forms
    strangers: tuple[str, ...]
    general: tuple[str, ...]
    prose: tuple[str, ...]

    def forms(self, predicate: str) -> Forms:
        """The forms of a predicate; the fallback's for one that has none."""
        return self.predicates.get(predicate, self.fallback)


@lru_cache(maxsize=1)
def load_data() -> ProbeData:
    """The built-in probe file."""
    text = resources.files("memory_agent.distillation").joinpath("probes.json").read_text("utf-8")
    return ProbeData.model_validate(json.loads(text))


@dataclass(frozen=True)
class Sample:
    """Most probes of each kind; None asks them all."""

    paraphrase: int | None = 40
    inverse: int | None = 24
    two_hop: int | None = 8
    stale: int | None = 8
    stranger: int | None = 20
    half_known: int | None = 20
    absent_attribute: int | None = 30
    general: int | None = 24
    near_general: int | None = 6
    canary: int | None = 8
    efficacy: int | None = 12
    override: int | None = 8


EVERYTHING = Sample(*[None] * 12)
"""Every probe there is."""
FEWEST = Sample(*[1] * 12)
"""One of each kind, where something else judges."""


@dataclass(frozen=True)
class Probe:
    """One question; `answers` are right, `wrong` must not be named."""

    kind: str
    question: str
    answers: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    facts: tuple[str, ...] = field(default=())
    """Ids of the facts asked for."""
    context: str = ""
    """What is shown with the question."""


def build(
    facts: Sequence[Fact],
    *,
    superseded: Sequence[Fact] = (),
    secrets: Sequence[Fact] = (),
    known: Iterable[str] = (),
    sample: Sample = Sample(),
    seed: int = 0,
) -> list[Probe]:
    """The probes of a shard that was taught `facts`.

    `superseded` are former values of its subjects, `secrets` facts refused as secret, `known` other
    names that are no strangers. The same arguments give the same probes.
    """
    data = load_data()
    rng = random.Random(f"probes {seed}")
    names = {fold(name) for name in known}
    kinds = {
        "paraphrase": _forward(facts, data),
        "inverse": _inverse(facts, data),
        "two_hop": _two_hop(facts, data),
        "stale": _stale(facts, superseded, data),
        "stranger": _strangers("stranger", facts, data.strangers, names, data),
        "half_known": _strangers("half_known", facts, _half_known(facts, data), names, data),
        "absent_attribute": _absent(facts, data),
        "general": [Probe("general", question) for question in data.general],
        "near_general": _near(facts, data),
        "canary": _canaries(secrets, data),
        "efficacy": _trained(facts),
        "override": _overridden(facts, data, random.Random(f"override {seed}")),
    }
    probes: list[Probe] = []
    for kind, found in kinds.items():
        most: int | None = getattr(sample, kind)
        probes += _spread(found, most, rng)
    return probes


def _spread(found: list[Probe], most: int | None, rng: random.Random) -> list[Probe]:
    """At most `most` of them: one of each fact before a second of any, which one by chance."""
    if most is None or len(found) <= most:
        return found
    shuffled = rng.sample(found, len(found))
    seen: dict[tuple[str, ...], int] = {}
    ranked = []
    for place, probe in enumerate(shuffled):
        turn = seen[probe.facts] = seen.get(probe.facts, -1) + 1
        ranked.append((turn if probe.facts else 0, place, probe))
    return [probe for _, _, probe in sorted(ranked, key=lambda item: item[:2])[:most]]


def _fill(form: str, fact: Fact, subject: str | None = None) -> str:
    return form.format(
        s=subject or fact.subject, o=fact.object, a=with_article(fact.object), p=fact.predicate.replace("_", " ")
    )


def _groups(facts: Iterable[Fact]) -> dict[tuple[str, str], list[Fact]]:
    """The facts by (subject, predicate), in order: any of a group's objects answers its forward question."""
    groups: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        groups.setdefault((fact.subject, fact.predicate), []).append(fact)
    return groups


def _forward(facts: Sequence[Fact], data: ProbeData) -> list[Probe]:
    return [
        Probe(
            "paraphrase",
            _fill(form, group[0]),
            answers=tuple(fact.object for fact in group),
            facts=tuple(fact.id for fact in group),
        )
        for group in _groups(facts).values()
        for form in data.forms(group[0].predicate).forward
    ]


def _trained(facts: Sequence[Fact]) -> list[Probe]:
    """Every group asked as the curriculum may have asked it."""
    return [
        Probe(
            "efficacy",
            _fill(load_templates().forms(group[0].predicate).forward[0], group[0]),
            answers=tuple(fact.object for fact in group),
            facts=tuple(fact.id for fact in group),
        )
        for group in _groups(facts).values()
    ]


def _overridden(facts: Sequence[Fact], data: ProbeData, rng: random.Random) -> list[Probe]:
    """Facts with one value, asked beside a sentence that gives a value which nobody of them has."""
    templates, held = load_templates(), {fact.object for fact in facts}
    probes = []
    for group in _groups(facts).values():
        first, forms = group[0], data.forms(group[0].predicate).forward
        kind = templates.forms(first.predicate).values
        others = [value for value in templates.strangers.values.get(kind, ()) if value not in held]
        if len(group) == 1 and others and forms:
            value = rng.choice(others)
            shown = load().statement(first.subject, first.predicate, value)
            asked = _fill(forms[0], first)
            probes.append(Probe("override", asked, (value,), (first.object,), (first.id,), context=shown))
    return probes


def _inverse(facts: Sequence[Fact], data: ProbeData) -> list[Probe]:
    """Any subject that has the value is right."""
    holders: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        holders.setdefault((fact.predicate, fold(fact.object)), []).append(fact)
    return [
        Probe(
            "inverse",
            _fill(form, group[0]),
            answers=tuple(name for fact in group for name in _calls(fact.subject)),
            facts=tuple(fact.id for fact in group),
        )
        for group in holders.values()
        for form in data.forms(group[0].predicate).inverse
    ]


def _two_hop(facts: Sequence[Fact], data: ProbeData) -> list[Probe]:
    """What is known of the one object of a relation, asked without its name."""
    groups = _groups(facts)
    probes = []
    for (subject, predicate), (first, *others) in groups.items():
        name = data.forms(predicate).called
        further = [group for (whose, _), group in groups.items() if whose == first.object and name and not others]
        for group in further:
            if any(fact.object == subject for fact in group):
                continue
            for form in data.forms(group[0].predicate).forward[:1]:
                question = _fill(form, group[0], _fill(name, first))
                answers, ids = tuple(fact.object for fact in group), tuple(fact.id for fact in (first, *group))
                probes.append(Probe("two_hop", question[:1].upper() + question[1:], answers, facts=ids))
    return probes


def _calls(name: str) -> tuple[str, ...]:
    """The full name, and the first name if there is more."""
    first = name.split()[0]
    return (name,) if first == name else (name, first)


def _stale(facts: Sequence[Fact], superseded: Sequence[Fact], data: ProbeData) -> list[Probe]:
    current = _groups(facts)
    probes = []
    for old in superseded:
        group = current.get((old.subject, old.predicate))
        if not group or any(fold(fact.object) == fold(old.object) for fact in group):
            continue
        answers = tuple(fact.object for fact in group)
        for form in data.forms(old.predicate).forward:
            probes.append(Probe("stale", _fill(form, old), answers, wrong=(old.object,), facts=(old.id,)))
    return probes


def _one_of_each(facts: Iterable[Fact]) -> list[Fact]:
    """The first fact of each predicate."""
    firsts: dict[str, Fact] = {}
    for fact in facts:
        firsts.setdefault(fact.predicate, fact)
    return list(firsts.values())


def _strangers(kind: str, facts: Sequence[Fact], names: Iterable[str], known: set[str], data: ProbeData) -> list[Probe]:
    """Each of the names that nobody known has, asked for one attribute of each sort."""
    known = known | {fold(fact.subject) for fact in facts}
    values = tuple(sorted({fact.object for fact in facts}))
    return [
        Probe(kind, _fill(form, fact, name), wrong=values)
        for name in names
        if fold(name) not in known
        for fact in _one_of_each(facts)
        for form in data.forms(fact.predicate).forward[:1]
    ]


def _half_known(facts: Sequence[Fact], data: ProbeData) -> list[str]:
    """The first names of known people with the last names of strangers."""
    firsts = sorted({fact.subject.split()[0] for fact in facts if " " in fact.subject})
    lasts = [name.split()[-1] for name in data.strangers]
    return [f"{firsts[n % len(firsts)]} {last}" for n, last in enumerate(lasts)] if firsts else []


def _absent(facts: Sequence[Fact], data: ProbeData) -> list[Probe]:
    """Each subject asked for what others have and it has not.

    Who is the object of a predicate is not asked for it: "Ana is Ben's sister" may well answer for Ben too.
    """
    held = _groups(facts)
    objects = {(fold(fact.object), fact.predicate) for fact in facts}
    subjects = sorted({fact.subject for fact in facts})
    return [
        Probe(
            "absent_attribute",
            _fill(form, fact, subject),
            wrong=tuple(sorted({other.object for other in facts if other.predicate == fact.predicate})),
        )
        for subject in subjects
        for fact in _one_of_each(facts)
        if (subject, fact.predicate) not in held and (fold(subject), fact.predicate) not in objects
        for form in data.forms(fact.predicate).forward[:1]
    ]


def _near(facts: Sequence[Fact], data: ProbeData) -> list[Probe]:
    """General questions about taught values; whatever else the graph holds must stay out of the answer."""
    named = sorted({fact.object for fact in facts} | {fact.subject for fact in facts})
    probes = []
    for fact in facts:
        for form in data.forms(fact.predicate).near:
            question = _fill(form, fact)
            wrong = tuple(name for name in named if fold(name) not in fold(question))
            probes.append(Probe("near_general", question, wrong=wrong, facts=(fact.id,)))
    return probes


def _canaries(secrets: Sequence[Fact], data: ProbeData) -> list[Probe]:
    return [
        Probe("canary", _fill(form, fact), wrong=(fact.object,), facts=(fact.id,))
        for fact in secrets
        for form in data.forms(fact.predicate).forward[:1]
    ]
