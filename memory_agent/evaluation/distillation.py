"""How well facts sit in the weights: a file of facts and questions, taught and asked closed book.

    {"facts": [{"subject", "predicate", "object", "text", "valid_from", "valid_to"}, ...],
     "questions": [{"kind", "question", "answers": [...], "wrong": [...]}, ...]}

The facts go the whole way: each is an episode that says it, read by an extractor that knows which
claim it states, grounded, reconciled, selected, sharded, trained and promoted. Nothing is retrieved:
answers come through the router, from an adapter or from the untouched base. So that weak training is
measured and not hidden behind a refusal, any adapter is promoted here; what the gate would have said
stands under "gate".
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from memory_agent.answering import WITHHELD, ask_many
from memory_agent.config import Settings
from memory_agent.distillation.gate import Gate
from memory_agent.distillation.matching import names, names_any, says_unknown
from memory_agent.distillation.recipe import Recipe
from memory_agent.distillation.run import Options, distill
from memory_agent.distillation.scorecard import Score, Scorecard
from memory_agent.distillation.selection import Policy
from memory_agent.errors import InvalidInput
from memory_agent.evaluation.forced import forced, routed_ratio
from memory_agent.evaluation.kept import claim
from memory_agent.memory import Memory
from memory_agent.protocols import Progress, Proposal
from memory_agent.records import Answer, Episode, Mode, PartialDate, Record, Turn
from memory_agent.semantic import ontology

T = TypeVar("T")
WRONG_KINDS = ("stale", "stranger", "absent_attribute")
"""Kinds whose rate is the share of wrong values given."""
ARMS: tuple[Mode, ...] = ("base", "retrieval", "adapter", "both")
ASKED_OF_ARMS = ("paraphrase", "inverse")
IDK_KINDS = (*WRONG_KINDS, "paraphrase", "inverse")
_TEACHING = 0.85
"""Share of the progress until the weights are there; asking them is the rest. About that of the time, for 106 facts."""


class StatedFact(Record):
    """One fact of a file."""

    subject: str
    predicate: str
    object: str
    text: str
    valid_from: PartialDate | None = None
    valid_to: PartialDate | None = None

    @classmethod
    def said(
        cls,
        subject: str,
        predicate: str,
        object: str,
        since: PartialDate | None = None,
        until: PartialDate | None = None,
    ) -> StatedFact:
        """A fact in the sentence that the ontology has for it."""
        text = ontology.load().statement(subject, predicate, object)
        return cls(subject=subject, predicate=predicate, object=object, text=text, valid_from=since, valid_to=until)


class Question(Record):
    """One question of a file; `answers` are right, `wrong` must not be given."""

    kind: str
    question: str
    answers: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


class FactFile(Record):
    """Facts to teach, and what to ask afterwards."""

    name: str = ""
    facts: tuple[StatedFact, ...]
    questions: tuple[Question, ...]

    @classmethod
    def load(cls, path: Path) -> FactFile:
        """Read a file. Raises InvalidInput, naming it and the first thing wrong, when it has another shape."""
        try:
            read = cls.model_validate(json.loads(path.read_text("utf-8")))
            return read.model_copy(update={"name": path.name})
        except (OSError, ValueError, ValidationError) as error:
            raise InvalidInput(f"{path} is no file of facts and questions: {error}") from error


class StatingExtractor:
    """An extractor for turns that state one known fact each: turn id -> the fact."""

    name = "stated/1"

    def __init__(self, stated: Mapping[str, StatedFact]) -> None:
        self.stated = stated

    def extract(self, turns: Sequence[Episode], context: Sequence[Episode] = ()) -> list[Proposal]:
        """A proposal for each turn, quoting it whole. The end of a fact is left to its successor to say."""
        return [
            Proposal(
                episode_id=turn.id,
                start=0,
                end=len(turn.content),
                subject=fact.subject,
                predicate=fact.predicate,
                object=fact.object,
                valid_from=fact.valid_from,
                valid_to=fact.valid_to,
                subject_type="person",
            )
            for turn in turns
            if (fact := self.stated.get(turn.id))
        ]


def teach(memory: Memory, facts: Sequence[StatedFact], session: str = "stated") -> None:
    """Put the facts into the graph, each on the word of a user's turn of that session that states it."""
    stated = {f"{session}:{n}": fact for n, fact in enumerate(facts)}
    turns = [
        Turn(
            role="user",
            speaker="Narrator",
            content=fact.text,
            at=fact.valid_from.earliest if fact.valid_from else None,
            id=id,
        )
        for id, fact in stated.items()
    ]
    memory.add(turns, session=session)
    memory.consolidate(extractor=StatingExtractor(stated))


def run(
    facts: str | Path | FactFile,
    seeds: Sequence[int] = (0,),
    student: str | None = None,
    recipe: Recipe | None = None,
    trainer: str | None = None,
    arms: int = 40,
    prose: str = "",
    keep: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Teach the file's facts and ask its questions, once for each seed; the medians over seeds, and each one's figures.

    `kinds` maps each kind to n, rate, low, high (95 %, Wilson) and, where it matters, idk: the share
    of "I don't know", and withheld: the share where that stands in place of what the weights said.
    `rate` is the share right for paraphrase and inverse, the share byte-equal to the base for general,
    the share that names a person or value of the graph for near_general, and the share of wrong values
    given for stale, stranger and absent_attribute. `answer_ratio` of near_general: the perplexity of the base's own
    answers by the weights that the router has for each, as a ratio to the base's.

    `arms` questions of the paraphrase and inverse kinds (0 asks none) are put to each of the four arms as well: base,
    retrieval, adapter, both. `arms` maps each to the share right with its interval, the tokens a question took (context
    included), and tokens and milliseconds for each right answer (null where none was right).

    `forced` holds what is lost where the adapter is forced on and the router left out (evaluation/forced.py): the
    highest value of each figure over shards and seeds; `prose` is the text its perplexity is taken on, else the gate's.

    With `keep` each seed's memory lives in a folder of that one, and the same call goes on where a killed one was:
    after the last whole pass of the training. Seconds are then the last process's.

    Raises InvalidInput when the file has another shape or `keep` holds another run, and what training raises.
    """
    file = facts if isinstance(facts, FactFile) else FactFile.load(Path(facts))
    if not seeds:
        raise InvalidInput("name at least one seed")
    runs = []
    for n, seed in enumerate(seeds):

        def passed_on(share: float, doing: str, n: int = n, seed: int = seed) -> None:
            if progress:
                progress((n + share) / len(seeds), f"seed {seed}: {doing}" if len(seeds) > 1 else doing)

        settings = Settings.load(student=student, trainer=trainer)
        with _home(keep, file, seed, recipe) as home:
            runs.append(_once(file, home, settings, seed, recipe, arms, prose, passed_on))
    return summary(file.name, len(file.facts), runs)


def summary(file: str, facts: int, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The result of one or more runs on the same facts, each with a seed of its own; see `run`."""
    return {
        "file": file,
        "facts": facts,
        "seeds": [one["seed"] for one in runs],
        "kinds": {kind: _median([one["kinds"][kind] for one in runs]) for kind in runs[0]["kinds"]},
        "arms": {arm: _median([one["arms"][arm] for one in runs]) for arm in runs[0]["arms"]},
        "forced": _highest([shard for one in runs for shard in one["forced"].values()]),
        "seconds": statistics.median(one["seconds"] for one in runs),
        "tokens": statistics.median(one["tokens"] for one in runs),
        "peak_memory_mb": max(one["peak_memory_mb"] for one in runs),
        "runs": list(runs),
    }


@contextmanager
def _home(keep: Path | None, file: FactFile, seed: int, recipe: Recipe | None) -> Iterator[Path]:
    """Where one seed's memory lives: in the folder `keep`, or in one that is deleted at the end."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="memory-agent-eval-") as folder:
            yield Path(folder)
        return
    home = keep / f"seed-{seed}"
    claim(home, facts=file.model_dump(mode="json"), recipe=recipe and recipe.model_dump(mode="json"))
    yield home / "memory"


def _once(
    file: FactFile,
    home: Path,
    settings: Settings,
    seed: int,
    recipe: Recipe | None,
    arms: int,
    prose: str,
    progress: Progress,
) -> dict[str, Any]:
    """Teach and ask with one seed, in a store of its own."""
    options = Options(policy=Policy(teach=kept_out(file.facts)), gate=Gate(thresholds={}))
    with Memory.open(home, user="evaluation", settings=settings) as memory:
        teach(memory, file.facts)
        spent = time.process_time()
        report = distill(
            memory.space,
            recipe=recipe,
            seed=seed,
            options=options,
            progress=lambda share, doing: progress(_TEACHING * share, doing),
        )
        progress(_TEACHING, "the file's questions are asked")
        spent, asked = time.process_time() - spent, time.monotonic()
        questions = [question.question for question in file.questions]
        answers = ask_many(memory.space, questions, "adapter")
        compared = [q.question for q in file.questions if q.kind == "general"]
        near = [q.question for q in file.questions if q.kind == "near_general"]
        base = dict(zip(compared, ask_many(memory.space, compared, "base"), strict=True))
        took, peak = time.monotonic() - asked, _peak_memory()
        progress(0.9, "the arms are asked")
        beside = put_to_arms(memory, evenly([q for q in file.questions if q.kind in ASKED_OF_ARMS], arms))
        graph = sorted({name for fact in file.facts for name in (fact.subject, fact.object)})
        progress(0.95, "what is lost by force")
        lost = forced(memory.space, compared, near, graph, prose)
        kinds = score(file.questions, answers, base, graph)
        if near:
            kinds["near_general"]["answer_ratio"] = round(routed_ratio(memory.space, near), 4)
    progress(1.0, "done")
    gate = Gate.load()
    return {
        "seed": seed,
        "kinds": kinds,
        "taught": len(report.facts),
        "opted_in": sorted(options.policy.teach),
        "left_out": dict(report.refused),
        "rows": report.rows,
        "tokens": report.tokens,
        "seconds": report.seconds,
        "cpu_seconds": round(spent, 1),
        "asking_seconds": round(took, 1),
        "peak_memory_mb": peak,
        "arms": beside,
        "forced": lost,
        "gate": {shard: list(gate.objections(Scorecard.read(card))) for shard, card in report.scorecard.items()},
        "probes": {shard: Scorecard.read(card).as_json() for shard, card in report.scorecard.items()},
        "wrong": _failures(file.questions, answers, base, graph),
    }


def put_to_arms(memory: Memory, questions: Sequence[Question]) -> dict[str, dict[str, Any]]:
    """The questions from the base, from what is retrieved, from the weights, and from both; empty without questions."""
    found: dict[str, dict[str, Any]] = {}
    for arm in ARMS if questions else ():
        began = time.monotonic()
        answers = ask_many(memory.space, [question.question for question in questions], arm)
        spent = time.monotonic() - began
        right = Score.of(names_any(a.text, q.answers) for q, a in zip(questions, answers, strict=True))
        tokens = sum(answer.tokens for answer in answers)
        found[arm] = {
            **right.model_dump(),
            "tokens_per_question": round(tokens / right.n, 1),
            "tokens_per_right": round(tokens / right.hits, 1) if right.hits else None,
            "ms_per_right": round(1000 * spent / right.hits, 1) if right.hits else None,
        }
    return found


def evenly(items: Sequence[T], count: int | None) -> list[T]:
    """`count` of them, evenly from the whole list; all, where there are no more, or for None."""
    count = len(items) if count is None else min(count, len(items))
    return [items[n * len(items) // count] for n in range(count)]


def kept_out(facts: Sequence[StatedFact]) -> frozenset[str]:
    """The predicates that have to be opted in for the file to be taught whole; secret ones cannot be."""
    known = ontology.load()
    predicates = [known[name] for name in sorted({fact.predicate for fact in facts})]
    return frozenset(p.name for p in predicates if p.distil == "never" and p.sensitivity != "secret")


def score(
    questions: Sequence[Question], answers: Sequence[Answer], base: Mapping[str, Answer], graph: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The figures of each kind; `graph` holds every name and value that was taught or superseded."""
    hits: dict[str, list[bool]] = {}
    unknown: dict[str, list[bool]] = {}
    withheld: dict[str, list[bool]] = {}
    for question, answer in zip(questions, answers, strict=True):
        hits.setdefault(question.kind, []).append(_hit(question, answer.text, base, graph))
        unknown.setdefault(question.kind, []).append(says_unknown(answer.text))
        withheld.setdefault(question.kind, []).append(answer.note.endswith(WITHHELD))
    figures: dict[str, dict[str, Any]] = {}
    for kind, outcomes in hits.items():
        shown = Score.of(outcomes)
        figures[kind] = {"n": shown.n, "rate": shown.rate, "low": shown.low, "high": shown.high}
        if kind in IDK_KINDS:
            figures[kind]["idk"] = Score.of(unknown[kind]).rate
            figures[kind]["withheld"] = Score.of(withheld[kind]).rate
    return figures


def _hit(question: Question, text: str, base: Mapping[str, Answer], graph: Sequence[str]) -> bool:
    """What the rate of the question's kind counts."""
    if question.kind == "general":
        return text == base[question.question].text
    if question.kind == "near_general":
        return names_any(text, [name for name in graph if not names(question.question, name)])
    if question.kind in WRONG_KINDS:
        return names_any(text, question.wrong)
    return names_any(text, question.answers)


def _failures(
    questions: Sequence[Question], answers: Sequence[Answer], base: Mapping[str, Answer], graph: Sequence[str]
) -> list[dict[str, str]]:
    """The questions whose answer was not as it should be."""
    wanted = {"near_general": False, **dict.fromkeys(WRONG_KINDS, False)}
    found = []
    for question, answer in zip(questions, answers, strict=True):
        amiss = _hit(question, answer.text, base, graph) is not wanted.get(question.kind, True)
        evades = question.kind in ("stranger", "absent_attribute") and not says_unknown(answer.text)
        if amiss or evades:
            found.append(
                {"kind": question.kind, "question": question.question, "answer": answer.text, "note": answer.note}
            )
    return found


def _median(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of the seed with the median rate; of two middle ones, the lower."""
    ordered = sorted(figures, key=lambda one: float(one["rate"]))
    return dict(ordered[(len(ordered) - 1) // 2])


def _highest(shards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each figure that `forced` gives, the highest; nothing where nothing was promoted."""

    def high(figure: Any) -> float:
        return float(figure["rate"] if isinstance(figure, Mapping) else figure)

    return {name: max((shard[name] for shard in shards), key=high) for name in (shards[0] if shards else ())}


def _peak_memory() -> float:
    """The most memory this process has held so far, in MB; 0 where the system does not tell (Windows)."""
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)
