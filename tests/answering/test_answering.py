"""Which weights answer, what an answer says about itself, and that the graph wins over the weights."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from students import random_adapter

from memory_agent.answering import UNKNOWN, WITHHELD, ask, ask_many, context
from memory_agent.distillation import registry
from memory_agent.errors import InvalidInput
from memory_agent.memory import Memory
from memory_agent.models.local import LocalModel
from memory_agent.records import Adapter, Fact, Turn
from memory_agent.testing import ScriptedChatModel

LINKED = "Where is Wanda Teller's flat?"
GENERAL = ["What is the capital of France?", "How many strings does a lute have?", "How do I boil an egg?"]


def test_general_questions_get_the_bases_answer_byte_for_byte(memory: Memory, promoted: Adapter) -> None:
    alone = [ask(memory.space, question, mode="base").text for question in GENERAL]
    together = ask_many(memory.space, [LINKED, *GENERAL], "adapter")
    assert [answer.text for answer in together[1:]] == alone
    assert [answer.mode for answer in together] == ["adapter", "base", "base", "base"]
    assert [a.text for a in ask_many(memory.space, GENERAL, "auto")] == alone


def test_a_linked_question_is_answered_by_its_shard(memory: Memory, promoted: Adapter) -> None:
    answer = ask(memory.space, LINKED, mode="adapter")
    student = LocalModel.load(memory.space.settings)
    (forced,) = student.generate([LINKED], adapter=registry.folder_of(memory.space, promoted))
    assert answer.text == forced.text != ask(memory.space, LINKED, mode="base").text
    assert answer.adapter == promoted.id
    assert answer.confidence == forced.min_probability
    assert answer.tokens == forced.tokens + forced.prompt_tokens
    assert set(answer.sources) == {"f0", "f1"}


def test_a_quarantined_fact_is_no_source(memory: Memory, promoted: Adapter) -> None:
    with memory.space.ledger.transaction() as tx:
        tx.put(promoted.model_copy(update={"scorecard": {"quarantined": ["f0"]}}))
    assert ask(memory.space, LINKED, mode="adapter").sources == ("f1",)


@pytest.mark.parametrize("state", ["off", "previous", "refused", "candidate"])
def test_only_promoted_adapters_answer(memory: Memory, promoted: Adapter, state: str) -> None:
    with memory.space.ledger.transaction() as tx:
        tx.put(promoted.model_copy(update={"state": state}))
    answer = ask(memory.space, LINKED, mode="adapter")
    assert answer.adapter is None
    assert answer.text == ask(memory.space, LINKED, mode="base").text


def test_before_anything_is_distilled_what_the_graph_knows_is_looked_up(memory: Memory) -> None:
    about, general = ask_many(memory.space, [LINKED, GENERAL[0]], "auto")
    assert (about.mode, about.note) == ("retrieval", "it is about the asker's own world")
    assert general.text == ask(memory.space, GENERAL[0], mode="base").text


def test_an_adapter_of_another_base_or_without_files_does_not_answer(memory: Memory, promoted: Adapter) -> None:
    with memory.space.ledger.transaction() as tx:
        tx.put(promoted.model_copy(update={"base": "another"}))
    assert ask(memory.space, LINKED, mode="adapter").adapter is None
    with memory.space.ledger.transaction() as tx:
        tx.put(promoted)
    shutil.rmtree(registry.folder_of(memory.space, promoted))
    assert ask(memory.space, LINKED, mode="adapter").adapter is None


def test_somebody_no_adapter_was_taught_is_not_made_up(memory: Memory, promoted: Adapter) -> None:
    answer = ask(memory.space, "Where does Una Field live?", mode="adapter")
    assert (answer.text, answer.adapter, answer.tokens) == (UNKNOWN, None, 0)


def test_auto_never_says_what_no_current_fact_bears_out(memory: Memory, promoted: Adapter) -> None:
    answer = ask(memory.space, LINKED)  # the random adapter babbles
    assert answer.mode == "retrieval"
    assert answer.adapter is None


def test_what_touches_several_shards_is_looked_up(
    memory: Memory, promoted: Adapter, student: Path, tmp_path: Path
) -> None:
    space = memory.space
    sha, _ = registry.keep(space, random_adapter(student, tmp_path / "second", seed=1), {})
    mine = {"id": sha, "sha256": sha, "shard": "s1", "entities": ("e:Rolf Dane",), "facts": ("f2@1",)}
    with space.ledger.transaction() as tx:
        tx.put(promoted.model_copy(update={"entities": ("e:Wanda Teller",), "facts": ("f0@1", "f1@1")}))
        tx.put(promoted.model_copy(update=mine))
    asked = ["Does Rolf Dane's pet like the instrument that Wanda Teller plays?", LINKED]
    both, one = ask_many(space, asked, "auto")
    assert both.note == "it touches several shards"
    assert one.note != both.note
    assert ask(space, asked[0], mode="adapter").adapter in (promoted.id, sha)


def test_retrieval_shows_the_model_what_was_found_and_names_it(memory: Memory) -> None:
    memory.add([Turn(role="user", content="Wanda Teller moved to Bergen in spring.", id="t1")], session="s")
    model = ScriptedChatModel(replies=["In Bergen."])
    answer = ask(memory.space, "Where did Wanda Teller move?", mode="retrieval", model=model)
    assert answer.text == "In Bergen."
    assert "t1" in answer.sources
    shown = str(model.prompts[0][0].content)
    assert "moved to Bergen in spring" in shown
    assert "Where did Wanda Teller move?" in shown
    assert answer.tokens > 10


def test_with_nothing_found_no_model_is_asked(tmp_path_factory: pytest.TempPathFactory, memory: Memory) -> None:
    settings = memory.space.settings
    with Memory.open(tmp_path_factory.mktemp("empty"), user="bob", settings=settings) as empty:
        answer = ask(empty.space, "Where is my hat?", mode="retrieval", model=ScriptedChatModel(replies=[]))
    assert (answer.text, answer.mode) == (UNKNOWN, "retrieval")


def test_both_reads_what_was_found_with_the_adapter_on(memory: Memory, promoted: Adapter) -> None:
    memory.add([Turn(role="user", content="Wanda Teller has a flat in Bergen.", id="t1")], session="s")
    answer = ask(memory.space, LINKED, mode="both")
    assert (answer.mode, answer.adapter) == ("both", promoted.id)
    assert "t1" in answer.sources
    assert ask(memory.space, "What is the capital of France?", mode="both").adapter is None


def test_context_keeps_to_its_budget(memory: Memory) -> None:
    memory.add([Turn(role="user", content=f"Wanda Teller saw bird {n}.", id=f"t{n}") for n in range(20)], session="s")
    shown = context(memory.space, "Which birds did Wanda Teller see?", budget=60)
    assert 0 < shown.tokens <= 60
    assert shown.hits


@pytest.mark.parametrize(
    ("questions", "mode", "budget"), [([" "], "auto", 100), (["Who?"], "guess", 100), (["Who?"], "auto", 0)]
)
def test_bad_input_is_refused(memory: Memory, questions: list[str], mode: str, budget: int) -> None:
    with pytest.raises(InvalidInput):
        ask_many(memory.space, questions, mode, budget=budget)  # type: ignore[arg-type]


def test_a_stranger_is_not_given_what_somebody_else_was_taught(memory: Memory, promoted: Adapter) -> None:
    question = "Where does Quillon Farbrook live?"
    babble = ask(memory.space, question, mode="adapter")
    assert (babble.adapter, babble.text != UNKNOWN) == (promoted.id, True)
    word = max(re.findall(r"\w+", babble.text), key=len)
    fact = memory.space.ledger.select(Fact)[0]
    with memory.space.ledger.transaction() as tx:
        tx.put(fact.model_copy(update={"object": word}))
    answer = ask(memory.space, question, mode="adapter")
    assert answer.text == UNKNOWN
    assert WITHHELD in answer.note


def test_somebody_known_is_not_given_what_only_another_was_taught(memory: Memory, promoted: Adapter) -> None:
    babble = ask(memory.space, LINKED, mode="adapter")
    word = max(re.findall(r"\w+", babble.text), key=len)
    facts = {fact.id: fact for fact in memory.space.ledger.select(Fact)}
    with memory.space.ledger.transaction() as tx:
        tx.put(facts["f2"].model_copy(update={"object": word}))  # Rolf's
    answer = ask(memory.space, LINKED, mode="adapter")
    assert (answer.text, answer.adapter, answer.sources) == (UNKNOWN, promoted.id, ())
    assert WITHHELD in answer.note
    with memory.space.ledger.transaction() as tx:
        tx.put(facts["f1"].model_copy(update={"object": word}))  # Wanda's as well
    assert ask(memory.space, LINKED, mode="adapter").text == babble.text


def test_what_somebody_leads_to_may_be_said(memory: Memory, promoted: Adapter) -> None:
    babble = ask(memory.space, LINKED, mode="adapter")
    word = max(re.findall(r"\w+", babble.text), key=len)
    facts = {fact.id: fact for fact in memory.space.ledger.select(Fact)}
    partner = {"predicate": "partner", "object": "Rolf Dane", "object_id": facts["f2"].subject_id}
    with memory.space.ledger.transaction() as tx:
        tx.put(facts["f2"].model_copy(update={"object": word}), facts["f1"].model_copy(update=partner))
    assert ask(memory.space, LINKED, mode="adapter").text == babble.text
