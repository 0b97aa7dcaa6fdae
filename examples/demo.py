"""The whole loop on an example conversation: remember, understand, learn, answer. Run by `make demo`.

A year of chat is taken in, read into a temporal knowledge graph, and the graph is put into the
weights of a small language model. The same twenty questions are asked before and after, from the
weights alone and with retrieval; none was asked in that form in training. Everything runs on this
machine, without a network.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from memory_agent import Answer, Fact, Memory, Turn
from memory_agent.answering import ask_many
from memory_agent.cli.show import fact_table
from memory_agent.config import Settings
from memory_agent.distillation.matching import names_any, says_unknown
from memory_agent.records import ConsolidationReport, DistillationReport, Mode
from memory_agent.views import Asked, LoopReport, Reply, graph_html, report_html

DATA = Path(__file__).parent / "data"
FOLDER = Path("demo-memory")
USER = "oldenkott"
ARMS: tuple[tuple[Mode, str], ...] = (
    ("base", "before, closed book"),
    ("adapter", "after, closed book"),
    ("retrieval", "before, with retrieval"),
    ("both", "after, with retrieval"),
)
TAUGHT = ("taught", "changed", "inverse")
MARKS = {"right": ("✓", "green"), "wrong": ("✗", "red"), "idk": ("○", "yellow")}
NEXT = (
    "source .venv/bin/activate         # on Windows: .venv\\Scripts\\activate",
    f"memory-agent ask 'Who is the manager of Maren Oldenkott?' --store {FOLDER} --user {USER}",
    "python examples/chatbot.py        # talk to an agent with a memory of its own",
    "memory-agent ingest YOUR-CHAT.jsonl --user YOU    # then: consolidate, distill, ask",
)

out = Console(highlight=False)


@dataclass(frozen=True)
class Question:
    """One of the twenty: what is right, and what would be out of date."""

    kind: str
    question: str
    answers: tuple[str, ...]
    wrong: tuple[str, ...]


def main() -> int:
    """Run the loop; 0 when the adapter was promoted, else 1."""
    began = time.monotonic()
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    questions = [
        Question(row["kind"], row["question"], tuple(row["answers"]), tuple(row["wrong"]))
        for row in json.loads((DATA / "questions.json").read_text("utf-8"))
    ]
    turns = [Turn.model_validate_json(line) for line in (DATA / "conversation.jsonl").read_text("utf-8").splitlines()]
    # The memory is Maren's; by default what another speaker says waits a week, or for somebody who says it too.
    with Memory.open(FOLDER, user=USER, settings=Settings.load(trust="Tobiah Venn=owner")) as memory:
        remember(memory, turns)
        consolidated = understand(memory)
        replies: dict[Mode, list[Answer]] = {}
        heading("3. Asked before anything is learnt")
        ask(memory, questions, "base", replies)
        ask(memory, questions, "retrieval", replies)
        distilled = learn(memory)
        heading("5. The same questions, afterwards")
        ask(memory, questions, "adapter", replies)
        ask(memory, questions, "both", replies)
        report = judge(memory, questions, replies, consolidated, distilled, time.monotonic() - began)
        (FOLDER / "report.html").write_text(report_html(report), encoding="utf-8")
    out.print()
    out.print(f"Report:  {FOLDER / 'report.html'}\nGraph:   {FOLDER / 'graph.html'}")
    out.print(f"Memory:  {FOLDER} (made anew by each run)")
    out.print(f"Took {minutes(time.monotonic() - began)} altogether.")
    heading("Next")
    for number, step in enumerate(NEXT, 1):
        out.print(f"  {number}. {step}", markup=False, soft_wrap=True)
    return 0 if distilled.promoted else 1


def remember(memory: Memory, turns: Sequence[Turn]) -> None:
    """Take the conversation in, session by session."""
    heading("1. Remember: a year of conversation, as it was said")
    sessions = list(dict.fromkeys(turn.session for turn in turns))
    flagged: dict[str, tuple[str, ...]] = {}
    with bar("taking in") as progress:
        for done, session in enumerate(sessions, 1):
            flagged |= memory.add([turn for turn in turns if turn.session == session]).flagged
            progress(done / len(sessions), "")
    days = (turns[-1].at - turns[0].at).days if turns[0].at and turns[-1].at else 0
    out.print(f"{len(turns)} turns in {len(sessions)} sessions over {days} days are on disk.")
    for id, flags in flagged.items():
        out.print(f"  kept out of facts and weights: {id} ({', '.join(flags)})", style="yellow", markup=False)


def understand(memory: Memory) -> ConsolidationReport:
    """Read the turns into the graph; show its facts and write its picture."""
    heading("2. Understand: what is true, since when, and in whose words")
    with bar("reading") as progress:
        report = memory.consolidate(progress=progress)
    facts = memory.facts(past=True)
    out.print(fact_table(facts))
    graph = memory.graph(past=True)
    (FOLDER / "graph.html").write_text(graph_html(graph, title="What a year of conversation left behind"), "utf-8")
    out.print(
        f"{len(facts)} facts in {report.seconds:.0f} s, each with the words it was read in. "
        f"The graph to look at: {FOLDER / 'graph.html'}"
    )
    return report


def learn(memory: Memory) -> DistillationReport:
    """Put the stable facts into weights."""
    heading("4. Learn: from the graph into the weights of a small model")
    with bar("learning") as progress:
        report = memory.distill(progress=progress)
    verdict = Text("promoted", "bold green") if report.promoted else Text("refused by the gate", "bold red")
    summary = f": {len(report.facts)} facts, {report.rows} rows, {report.tokens} tokens in {minutes(report.seconds)}"
    out.print(Text.assemble(verdict, summary))
    for reason in report.reasons:
        out.print(f"  {reason}", markup=False)
    left = count(report.refused.values())
    if left:
        out.print(f"Left out of the weights: {left}", style="dim", markup=False)
    return report


def ask(memory: Memory, questions: Sequence[Question], mode: Mode, replies: dict[Mode, list[Answer]]) -> None:
    """Ask all questions in one mode."""
    began = time.monotonic()
    with out.status(f"asking 20 questions: {mode}"):
        replies[mode] = list(ask_many(memory.space, [q.question for q in questions], mode))
    out.print(f"{mode}: {len(questions)} answers in {time.monotonic() - began:.0f} s")


def score(
    asked: Sequence[Asked], questions: Sequence[Question], replies: Mapping[Mode, Sequence[Answer]]
) -> dict[str, dict[str, tuple[int, int]]]:
    """Per claim and arm, how many of how many; general answers are compared with the base's, byte for byte."""
    general = [i for i, q in enumerate(questions) if q.kind == "general"]
    same = {
        mode: (sum(replies[mode][i].text == replies["base"][i].text for i in general), len(general))
        for mode in ("base", "adapter")
    }
    return {
        "Taught facts right, in forms never trained": tally(asked, TAUGHT, lambda r: r.verdict == "right"),
        "Strangers not given somebody's fact": tally(asked, ("stranger",), lambda r: r.verdict != "wrong"),
        "General answers equal to the base's, byte for byte": same,
    }


def judge(
    memory: Memory,
    questions: Sequence[Question],
    replies: Mapping[Mode, Sequence[Answer]],
    consolidated: ConsolidationReport,
    distilled: DistillationReport,
    seconds: float,
) -> LoopReport:
    """Decide who is right, show it, and count it."""
    facts = memory.facts(past=True)
    held = sorted({value for fact in facts for value in (fact.object, fact.subject)})
    asked = [
        Asked(
            q.kind,
            q.question,
            q.answers[0] if q.answers else "nobody's fact",
            {mode: verdict(q, replies[mode][i].text, held) for mode, _ in ARMS},
        )
        for i, q in enumerate(questions)
    ]
    for row in asked:
        show(row)
    out.print()
    shares = score(asked, questions, replies)
    for what, by_arm in shares.items():
        out.print(
            Text.assemble((what, "bold"), ": ", ", ".join(f"{arm} {n} of {of}" for arm, (n, of) in by_arm.items()))
        )
    (right, taught), (safe, strangers), (same, general) = (by_arm["adapter"] for by_arm in shares.values())
    return LoopReport(
        title="From a year of conversation into weights",
        lead="The same questions to the same small model, before and after its memory was distilled into it. "
        "Closed book means that nothing was looked up.",
        asked=asked,
        graph=memory.graph(past=True),
        facts=facts,
        cards=(
            (f"{right} of {taught}", "taught facts right from the weights alone", right >= 0.85 * taught),
            (f"{strangers - safe} of {strangers}", "strangers given somebody's fact", safe == strangers),
            (f"{same} of {general}", "general answers the same, byte for byte", same == general),
            (minutes(seconds), "for everything, on this machine", seconds < 360),
        ),
        shares=shares,
        details=details(facts, consolidated, distilled),
        next=NEXT,
    )


def verdict(question: Question, reply: str, held: Sequence[str]) -> Reply:
    """Right or wrong. A stranger's answer is wrong when it names what the graph holds of others."""
    if question.kind == "stranger":
        told = names_any(reply, [value for value in held if not names_any(question.question, [value])])
        return Reply(reply, "wrong" if told else "idk" if says_unknown(reply) else "right")
    if question.answers and names_any(reply, question.answers) and not names_any(reply, question.wrong):
        return Reply(reply, "right")
    return Reply(reply, "idk" if says_unknown(reply) else "wrong")


def tally(asked: Sequence[Asked], kinds: Sequence[str], good: Callable[[Reply], bool]) -> dict[str, tuple[int, int]]:
    """Arm -> (how many of these kinds are good, how many there are)."""
    rows = [row for row in asked if row.kind in kinds]
    return {mode: (sum(good(row.replies[mode]) for row in rows), len(rows)) for mode, _ in ARMS}


def details(facts: Sequence[Fact], read: ConsolidationReport, run: DistillationReport) -> list[tuple[str, str]]:
    """What was done, for the report."""
    return [
        ("Turns read", f"{read.episodes} in {read.seconds:.1f} s, giving {read.claims} claims and {len(facts)} facts"),
        ("Proposed and refused", ", ".join(f"{n} {why}" for why, n in sorted(read.rejected.items())) or "nothing"),
        ("Facts taught", f"{len(run.facts)}, in {run.rows} rows, {run.tokens} tokens, {minutes(run.seconds)}"),
        ("Left out of the weights", count(run.refused.values()) or "nothing"),
        ("Gate", "passed" if run.promoted else "; ".join(run.reasons)),
        ("Adapters", ", ".join(run.adapters) or "none"),
    ]


def show(row: Asked) -> None:
    """A question and how it was answered each way, a line each."""
    out.print(Text.assemble("\n", (row.question, "bold"), (f" {row.kind}, expected: {row.expected}", "dim")))
    for mode, title in ARMS:
        reply = row.replies[mode]
        mark, colour = MARKS[reply.verdict]
        said = f"{mark} {' '.join(reply.text.split())}"
        out.print(Text.assemble(f"  {title:22} ", (said, colour)), no_wrap=True, overflow="ellipsis")


def count(words: Iterable[str]) -> str:
    """Words with how often each comes, as "3 policy, 1 secret"."""
    return ", ".join(f"{n} {word}" for word, n in Counter(words).most_common())


def minutes(seconds: float) -> str:
    """Seconds as m:ss."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def heading(text: str) -> None:
    """A line that opens a part."""
    out.print()
    out.rule(Text(text, "bold cyan"), align="left")


@contextmanager
def bar(what: str) -> Iterator[Callable[[float, str], None]]:
    """A progress bar with the time left; gives the callable that moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("gone, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share, word: progress.update(task, completed=share, description=word or what)


if __name__ == "__main__":
    sys.exit(main())
