"""Scoring of extracted facts: what counts as the same fact."""

import json

import pytest

from memory_agent.errors import InvalidInput
from memory_agent.evaluation import extraction
from memory_agent.protocols import Proposal


def fact(subject, predicate, obj, **more):
    return {"subject": subject, "predicate": predicate, "object": obj, **more}


TURN = {
    "id": "t", "speaker": "Edda", "addressee": "Nils", "at": "2025-03-14T18:00:00+01:00", "text": "...",
    "facts": [
        fact("Edda", "lives_in", "Ghent", valid_from="2025-02"),
        fact("Edda", "works_at", "Lumora", polarity="-"),
        fact("Rosa", "child", "Edda"),
        fact("Edda", "likes", "fado", optional=True),
    ],
    "not_facts": [fact("Edda", "lives_in", "Bergen", why="hypothetical")],
}  # fmt: skip


def scored(*found):
    return extraction.score([TURN], {"t": found})


def test_the_gold_itself_is_perfect():
    result = scored(*TURN["facts"])
    assert result["strict"]["f1"] == result["relaxed"]["f1"] == 1
    assert result["valid_from_accuracy"] == 1


def test_silence_is_precise_and_recalls_nothing():
    assert scored()["strict"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_inverse_first_person_and_former_employer_count():
    found = (
        fact("I", "lives_in", "the city of Ghent"),
        fact("me", "parent", "Rosa"),
        fact("Edda", "previously_worked_at", "Lumora"),
    )
    assert scored(*found)["strict"]["f1"] == 1


def test_the_same_fact_twice_counts_once():
    assert scored(*[fact("Edda", "lives_in", "Ghent")] * 2)["strict"]["precision"] == 0.5


def test_optional_facts_neither_help_nor_hurt():
    with_it = scored(fact("Edda", "lives_in", "Ghent"), fact("Edda", "likes", "fado"))
    assert with_it["strict"] == scored(fact("Edda", "lives_in", "Ghent"))["strict"]
    denied = scored(fact("Edda", "lives_in", "Ghent"), fact("Edda", "likes", "fado", polarity="-"))
    assert denied["strict"]["precision"] == 0.5


def test_a_tempting_mistake_is_counted_unless_hedged():
    assert scored(fact("Edda", "lives_in", "Bergen"))["asserted_non_facts"] == 1
    assert scored(fact("Edda", "lives_in", "Bergen", modality="possible"))["asserted_non_facts"] == 0


def test_attribute_is_half_a_match_and_only_relaxed():
    result = scored(fact("Edda", "attribute", "Ghent"))
    assert (result["strict"]["f1"], result["relaxed"]["precision"]) == (0, 0.5)


@pytest.mark.parametrize(
    ("gold", "found", "same"),
    [
        ("two cats", "2 cats", True),
        ("Bosch", "Bosch in Stuttgart", True),
        ("5 years", "3 years", False),
        ("Anna Keller", "Anna Schmidt", False),
        ("tea", "coffee", False),
    ],
)
def test_objects(gold, found, same):
    assert extraction.same_object(gold, found) is same


def test_dates_agree_at_the_precision_of_the_gold():
    assert extraction.same_date("2025-W11", "2025-03-12")
    assert extraction.same_date("2025", "2025-03")
    assert not extraction.same_date("2025-03", "2025")


class Scripted:
    name = "scripted"

    def extract(self, turns, context=()):
        return [Proposal(t.id, 0, 1, t.speaker, "lives_in", "Ghent") for t in turns]


def test_a_run_reads_scores_and_keeps_its_predictions(tmp_path):
    gold, kept = tmp_path / "gold.jsonl", tmp_path / "found.jsonl"
    gold.write_text(json.dumps(TURN) + "\n\n")
    result = extraction.run(gold, Scripted(), kept)
    assert (result["turns"], result["matched"], result["strict"]["precision"]) == (1, 1, 1.0)
    (line,) = kept.read_text().splitlines()
    assert json.loads(line)["facts"][0]["object"] == "Ghent"


def test_a_bad_line_is_named(tmp_path):
    gold = tmp_path / "gold.jsonl"
    gold.write_text('{"id": "t"}\n')
    with pytest.raises(InvalidInput, match=r"line 1.*speaker"):
        extraction.read_gold(gold)
